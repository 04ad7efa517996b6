"""Token shards are made of what they hold already and of the units that changed."""

import json

import pytest

from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.run_local import LocalRunner
from corpus.verify import verify
from tests.conftest import build_local
from tests.corpus.tokenizer_files import write_trained

RECIPE = """
name = "buckets"
[[source]]
name = "lines"
format = "jsonl"
paths = ["*.jsonl"]
[tokenize]
tokenizer = "tokenizer.json"
shards = 3
[pack]
length = 16
validation_ratio = 0.2
"""
TEXT = "A quiet harbour town wakes early. Boats leave before the sun is up, and the market opens at six."


class Stopped(Exception):
    """Ends a build in the middle."""


def write_file(folder, name, num_documents):
    lines = [json.dumps({"text": f"{TEXT} Day {number} of {name}."}) for number in range(num_documents)]
    (folder / f"{name}.jsonl").write_text("\n".join(lines))


def counted(folder, stop_after=None):
    """Build; the digest, and for encode and pack how much was done and how much was used again."""
    counts = {"encode": [0, 0], "pack": [0, 0]}

    def watch(stage, number, total, num_bytes, result):
        if stage in counts:
            counts[stage][bool(result.get("reused"))] += 1
        if (stage, number) == stop_after:
            raise Stopped

    manifest = build(read_recipe(str(folder / "recipe.toml")), str(folder / "out"), LocalRunner(), watch)
    assert verify(str(folder / "out")).problems == []
    return manifest.digest, counts


@pytest.fixture
def corpus(tmp_path):
    """A folder with two files, their recipe and the corpus of it."""
    write_trained(tmp_path)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    for name in "ab":
        write_file(tmp_path, name, 30)
    build_local(tmp_path / "recipe.toml", tmp_path / "out")
    return tmp_path


def fresh(folder):
    return build_local(folder / "recipe.toml", folder / "fresh").digest


def test_a_new_file_is_encoded_alone_and_only_buckets_with_documents_of_it_are_packed(corpus):
    write_file(corpus, "c", 1)
    digest, counts = counted(corpus)
    assert counts == {"encode": [1, 2], "pack": [1, 2]}
    assert digest == fresh(corpus)
    assert counted(corpus) == (digest, {"encode": [0, 3], "pack": [0, 3]})


def test_a_file_that_became_shorter_leaves_no_document_behind(corpus):
    write_file(corpus, "b", 29)
    digest, counts = counted(corpus)
    assert counts["encode"] == [2, 0]
    assert digest == fresh(corpus)


def test_a_file_that_is_gone_leaves_no_document_behind(corpus):
    (corpus / "b.jsonl").unlink()
    digest, counts = counted(corpus)
    assert counts["encode"] == [1, 0]
    assert digest == fresh(corpus)


def test_a_lost_token_shard_is_made_again_of_all_units(corpus):
    (corpus / "out" / "tokens" / "part-00001.parquet").unlink()
    digest, counts = counted(corpus)
    assert counts == {"encode": [2, 0], "pack": [1, 2]}
    assert digest == fresh(corpus)


@pytest.mark.parametrize("stopped_after", [1, 2])
def test_gathering_that_was_stopped_goes_on_with_the_buckets_that_are_missing(corpus, stopped_after):
    write_file(corpus, "c", 30)
    with pytest.raises(Stopped):
        counted(corpus, ("pack", stopped_after))
    digest, counts = counted(corpus)
    assert counts == {"encode": [0, 3], "pack": [3 - stopped_after, stopped_after]}
    assert digest == fresh(corpus)


def test_what_was_gathered_of_a_file_that_is_gone_before_the_end_is_not_kept(corpus):
    before = fresh(corpus)
    write_file(corpus, "c", 30)
    with pytest.raises(Stopped):
        counted(corpus, ("pack", 1))
    (corpus / "c.jsonl").unlink()
    digest, counts = counted(corpus)
    assert counts == {"encode": [2, 0], "pack": [1, 2]}
    assert digest == before
