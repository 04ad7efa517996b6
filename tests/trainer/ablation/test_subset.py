import pyarrow.compute as pc
import pytest

from manifests import shards
from manifests.errors import RecipeError
from manifests.manifest import read_manifest
from tests.trainer.ablation.corpora import LENGTH, NUM_TRAIN, clean_corpus, corpus, row, tiny_config
from trainer.ablation.subset import train_rows, train_tokens, write_subset
from trainer.context import Context
from trainer.loop import train

ROW_TOKENS = LENGTH + 1


@pytest.fixture
def parent(tmp_path):
    clean_corpus(tmp_path / "a")
    return str(tmp_path / "a")


def rows_of(folder, manifest):
    """(doc_id, tokens) of the training rows, in order."""
    tables = [shards.read_table(f"{folder}/{shard.path}") for shard in manifest.packed("train")]
    return [
        (docs[0], tokens)
        for table in tables
        for docs, tokens in zip(table["segment_doc"].to_pylist(), table["tokens"].to_pylist(), strict=True)
    ]


def test_a_subset_has_whole_rows_of_its_parent_in_their_order_and_the_tokens_asked_for(parent, tmp_path):
    made = write_subset(parent, 20 * ROW_TOKENS + 5, 0, str(tmp_path / "part"))
    assert (train_rows(made), train_tokens(made), made.packing.num_validation_rows) == (20, 20 * ROW_TOKENS, 0)
    assert made == read_manifest(str(tmp_path / "part"))
    assert made.parents == [read_manifest(parent).digest]
    some, every = rows_of(tmp_path / "part", made), rows_of(parent, read_manifest(parent))
    assert len(some) == 20
    assert some == [one for one in every if one in some]
    for shard in made.packed("train"):
        table = shards.read_table(f"{tmp_path}/part/{shard.path}")
        assert (shard.rows, shard.tokens) == (len(table), pc.sum(pc.list_flatten(table["segment_length"])).as_py())


def test_a_subset_is_a_function_of_the_seed_and_each_row_is_as_likely(parent, tmp_path):
    digests, counts = set(), dict.fromkeys(range(NUM_TRAIN), 0)
    for seed in range(40):
        made = write_subset(parent, 16 * ROW_TOKENS, seed, str(tmp_path / f"part-{seed}"))
        digests.add(made.digest)
        for doc_id, _ in rows_of(tmp_path / f"part-{seed}", made):
            counts[int(doc_id.removeprefix("doc-"))] += 1
    assert len(digests) == 40
    # Each count is binomial, 10 +- 2.7, and there are 64 of them.
    assert 0 < min(counts.values()) <= max(counts.values()) < 24
    again = write_subset(parent, 16 * ROW_TOKENS, 3, str(tmp_path / "again"))
    assert again.digest == read_manifest(str(tmp_path / "part-3")).digest


def test_a_subset_of_another_size_or_corpus_replaces_the_one_that_is_there(parent, tmp_path):
    out = str(tmp_path / "part")
    first = write_subset(parent, 16 * ROW_TOKENS, 0, out)
    assert write_subset(parent, 16 * ROW_TOKENS, 0, out) == first
    assert train_rows(write_subset(parent, 8 * ROW_TOKENS, 0, out)) == 8
    corpus(tmp_path / "b", [row(number) for number in range(100, 130)])
    other = write_subset(str(tmp_path / "b"), 8 * ROW_TOKENS, 0, out)
    assert {doc_id for doc_id, _ in rows_of(out, other)} <= {f"doc-{number:06d}" for number in range(100, 130)}


def test_less_than_a_row_is_refused(parent, tmp_path):
    with pytest.raises(RecipeError, match="no row has 16 tokens or fewer"):
        write_subset(parent, ROW_TOKENS - 1, 0, str(tmp_path / "part"))


def test_a_subset_is_trained_on_as_any_corpus(parent, tmp_path):
    write_subset(parent, 16 * ROW_TOKENS, 0, str(tmp_path / "part"))
    done = train((str(tmp_path / "part"),), tiny_config(), str(tmp_path / "run"), Context())
    assert done["step"] == 12
