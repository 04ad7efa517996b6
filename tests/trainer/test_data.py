from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import shards
from manifests.digest import digest_bytes
from manifests.errors import InputError, ManifestMismatch, RecipeError
from manifests.manifest import Manifest, write_manifest
from tests.trainer.synthetic import Segments, counting_corpus, make_corpus, small_config, sources_corpus
from trainer.data import Data, documents_of_step, open_data, steps_of_documents
from trainer.stream import TrainStream

# Digests of the row numbers, little-endian int64, of steps 1 to 1,000 of 7 rows each: 24 rows in two shards; 5 rows of
# one source and 11 of another. A change of these is a change of what every run reads.
GOLDEN_ROWS = "e5fec36bb2ec7b41c96c3f80072b08938f71755dcca6b94e8da5b212aa123117"
GOLDEN_MIXED_ROWS = "1b8d068d12f7f14382a57640464dcf79edc6cb0327878dbbbcbce0ff25ec9e9c"

MIXED = [{"from_sample": 0, "weights": {"even": 1.0, "odd": 3.0}}, {"from_sample": 2500, "weights": {"even": 1.0}}]


def write_again(folder: Path, manifest: Manifest, **changes: Any) -> None:
    """The manifest with other facts of its tokenizer or packing."""
    data = manifest.model_dump()
    for key, value in changes.items():
        data["packing" if key in data["packing"] else "tokenizer"][key] = value
    write_manifest(str(folder), Manifest.model_validate(data))


def open_sources(folder: Path, num_even: int = 5, num_odd: int = 11, **settings: Any) -> Data:
    sources_corpus(folder, num_even, num_odd)
    return open_data([str(folder)], small_config(**settings))


def rows_of(data: Data, last_step: int) -> np.ndarray[Any, Any]:
    """The rows of the steps 1 to last_step."""
    return np.concatenate([data.train.rows(step) for step in range(1, last_step + 1)])


def test_a_corpus_is_opened_with_all_that_a_run_needs_of_it(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path)
    data = open_data([f"{tmp_path}/manifest.json"], small_config())
    assert (data.digest, data.sources, data.languages) == (manifest.digest, ("even", "odd"), ())
    assert (data.vocab_size, data.end_of_text_id, data.length) == (64, 0, 32)
    assert shards.read_bytes(data.tokenizer) == b"{}"
    assert data.validation is not None
    assert (data.train.num_rows, data.validation.num_rows) == (24, 5)


def test_the_first_thousand_batches_never_change(tmp_path: Path) -> None:
    counting_corpus(tmp_path / "one")
    data = open_data([str(tmp_path / "one")], small_config(seed=17, global_batch=7))
    assert digest_bytes(rows_of(data, 1000).astype("<i8").tobytes()) == GOLDEN_ROWS
    mixed = open_sources(tmp_path / "two", seed=17, global_batch=7, mixture=MIXED)
    assert digest_bytes(rows_of(mixed, 1000).astype("<i8").tobytes()) == GOLDEN_MIXED_ROWS


def test_without_a_mixture_every_row_is_read_once_an_epoch(tmp_path: Path) -> None:
    rows = rows_of(open_sources(tmp_path, global_batch=8), 4).reshape(2, 16)
    assert [sorted(epoch) for epoch in rows.tolist()] == [list(range(16))] * 2


def test_each_source_of_a_mixture_is_read_once_in_each_of_its_epochs(tmp_path: Path) -> None:
    data = open_sources(tmp_path, 8, 40, global_batch=8, mixture=[{"weights": {"even": 1.0, "odd": 1.0}}])
    rows = rows_of(data, 40)
    even = np.array([data.train.documents(row)["segment_source"] == [0] for row in range(48)])
    for source, num_rows in ((True, 8), (False, 40)):
        mine = rows[even[rows] == source]
        epochs = mine[: len(mine) // num_rows * num_rows].reshape(-1, num_rows)
        assert len(epochs) >= 3
        assert all(sorted(epoch) == np.flatnonzero(even == source).tolist() for epoch in epochs.tolist())


@settings(max_examples=25, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5), st.integers(0, 5)), max_size=4))
def test_weights_that_change_at_any_step_lose_and_repeat_no_row(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "weights"
    if not folder.exists():
        sources_corpus(folder, 13, 29)
    schedule = [{"from_sample": 0, "weights": {"even": 1.0, "odd": 1.0}}]
    for step in sorted({step for step, _, _ in changes}):
        even, odd = next((even, odd) for start, even, odd in changes if start == step)
        schedule.append({"from_sample": step * 3, "weights": {"even": 1.0 + even, "odd": float(odd)}})
    read, state = [], None
    for number, entry in enumerate(schedule):  # each change is a run that was stopped and goes on with new weights
        data = open_data([str(folder)], small_config(global_batch=3, mixture=schedule[: number + 1]))
        if state is not None:
            data.train.check_state(state)
        end = schedule[number + 1]["from_sample"] if number + 1 < len(schedule) else 240
        assert isinstance(end, int)
        assert isinstance(entry["from_sample"], int)
        read += [row for step in range(entry["from_sample"] // 3 + 1, end // 3 + 1) for row in data.train.rows(step)]
        state = data.train.state(end)
    is_even = {row: data.train.documents(row)["segment_source"] == [0] for row in range(42)}
    for source, num_rows in ((True, 13), (False, 29)):
        mine = [row for row in read if is_even[row] == source]
        counts = [mine.count(row) for row in range(42) if is_even[row] == source]
        assert sum(counts) == len(mine)
        assert set(counts) <= {len(mine) // num_rows, -(-len(mine) // num_rows)}
        assert all(
            len(set(mine[at : at + num_rows])) == len(mine[at : at + num_rows]) for at in range(0, len(mine), num_rows)
        )


@settings(max_examples=20, deadline=None)
@given(worlds=st.lists(st.integers(1, 5), min_size=1, max_size=4), mixed=st.booleans(), data=st.data())
def test_resuming_on_other_numbers_of_workers_reads_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, worlds: list[int], mixed: bool, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "resume"
    if not folder.exists():
        sources_corpus(folder, 5, 11)
    config = small_config(global_batch=7, mixture=MIXED if mixed else [])
    whole, state = open_data([str(folder)], config).train, None
    step = 0
    for world in worlds:
        stream = open_data([str(folder)], config).train
        if state is not None:
            stream.check_state(state)
        last = step + data.draw(st.integers(1, 6))
        parts = [list(stream.batches(step + 1, last, rank, world)) for rank in range(world)]
        for number, each in enumerate(range(step + 1, last + 1)):
            rows = np.concatenate([part[number][1].rows for part in parts])
            tokens = np.concatenate([part[number][1].tokens for part in parts])
            assert np.array_equal(rows, whole.rows(each))
            assert np.array_equal(tokens, whole.batch(each, 0, 1).tokens)
        step, state = last, stream.state(last * 7)


def test_three_then_two_then_four_workers_read_what_one_does(tmp_path: Path) -> None:
    data = open_sources(tmp_path, global_batch=10, mixture=MIXED)
    read = [
        data.train.batch(step, rank, world).rows.tolist()
        for first, last, world in ((1, 3, 3), (4, 7, 2), (8, 9, 4))
        for step in range(first, last + 1)
        for rank in range(world)
    ]
    assert [row for part in read for row in part] == rows_of(data, 9).tolist()


def test_a_state_of_another_corpus_is_refused_with_both_digests(tmp_path: Path) -> None:
    one = open_sources(tmp_path / "one")
    two = open_sources(tmp_path / "two", num_odd=12)
    with pytest.raises(ManifestMismatch, match=f"{one.digest}, this data has {two.digest}"):
        two.train.check_state(one.train.state(8))


def test_a_schedule_may_change_from_the_next_sample_on_alone(tmp_path: Path) -> None:
    before = open_sources(tmp_path, mixture=[{"weights": {"odd": 1.0}}])
    entries = [{"weights": {"odd": 2.0}}, {"from_sample": 8, "weights": {"even": 1.0}}]
    after = open_data([str(tmp_path)], small_config(mixture=entries))
    after.train.check_state(before.train.state(8))
    with pytest.raises(RecipeError, match=r"differs from sample 8 on .* checkpoint's 12 samples .* from_sample = 12"):
        after.train.check_state(before.train.state(12))
    none = open_data([str(tmp_path)], small_config())
    none.train.check_state(before.train.state(0))
    with pytest.raises(RecipeError, match="differs from sample 0 on"):
        none.train.check_state(before.train.state(1))
    with pytest.raises(RecipeError, match="a run without a mixture cannot go on with one"):
        before.train.check_state(none.train.state(1))


def test_repeats_are_checked_when_data_is_opened(tmp_path: Path) -> None:
    open_sources(tmp_path, steps=8, global_batch=4, max_repeats=2)  # 32 samples of 16 rows
    with pytest.raises(RecipeError, match=r"'even, odd' would be read 2\.25 times"):
        open_data([str(tmp_path)], small_config(steps=9, global_batch=4, max_repeats=2))
    mixture = [{"weights": {"even": 1.0, "odd": 1.0}}]
    with pytest.raises(RecipeError, match=r"'even' would be read 3\.\d\d times .*of 5 rows"):
        open_data([str(tmp_path)], small_config(steps=8, global_batch=4, max_repeats=2, mixture=mixture))


def test_a_corpus_without_training_rows_is_refused(tmp_path: Path) -> None:
    counting_corpus(tmp_path, num_rows=0)
    with pytest.raises(InputError, match=r"there are no training rows \(and 5 for validation\)"):
        open_data([str(tmp_path)], small_config())


def test_the_context_is_the_length_of_the_packed_rows(tmp_path: Path) -> None:
    counting_corpus(tmp_path)
    shape = small_config().model
    open_data([str(tmp_path)], small_config(model=shape.model_copy(update={"context": 32, "vocab_size": 64})))
    with pytest.raises(RecipeError, match=r"context is 64, .* have length 32\..* \[pack\] length = 64"):
        open_data([str(tmp_path)], small_config(model=shape.model_copy(update={"context": 64})))
    with pytest.raises(RecipeError, match="vocab_size is 63, the tokenizer of .* has 64 tokens"):
        open_data([str(tmp_path)], small_config(model=shape.model_copy(update={"vocab_size": 63})))


def test_several_corpora_are_one_with_names_and_numbers_of_their_own(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    first = sources_corpus(one, 3, 2, name="old")
    second = sources_corpus(two, 4, 6, name="new")
    data = open_data([str(one), str(two)], small_config(global_batch=15))
    assert data.sources == ("old/even", "old/odd", "new/even", "new/odd")
    assert data.digest not in (first.digest, second.digest)
    assert data.digest != open_data([str(two), str(one)], small_config()).digest
    assert sorted(data.train.rows(1).tolist()) == list(range(15))
    batch = data.train.batch(1, 0, 1)
    assert np.bincount(batch.segment_source).tolist() == [3, 2, 4, 6]
    entries = documents_of_step(data, 1)
    assert sorted({(entry["path"], *entry["segment_source"]) for entry in entries}) == [
        (str(one), "old/even"), (str(one), "old/odd"), (str(two), "new/even"), (str(two), "new/odd"),
    ]  # fmt: skip


def test_sources_of_several_corpora_are_mixed_by_name(tmp_path: Path) -> None:
    sources_corpus(tmp_path / "one", 3, 2)
    sources_corpus(tmp_path / "two", 4, 6)
    mixture = [{"weights": {"synthetic-1/odd": 1.0, "synthetic-2/even": 3.0}}]
    data = open_data([str(tmp_path / "one"), str(tmp_path / "two")], small_config(global_batch=64, mixture=mixture))
    assert np.bincount(data.train.batch(1, 0, 1).segment_source).tolist() == [0, 17, 47]


def test_languages_of_several_corpora_get_common_numbers(tmp_path: Path) -> None:
    for name, languages in (("one", ["de", "en"]), ("two", ["en", "fr"])):
        manifest = sources_corpus(tmp_path / name, 2, 2)
        table = shards.read_table(str(tmp_path / name / manifest.packed("train")[0].path))
        spoken = table.set_column(
            table.schema.get_field_index("segment_language"),
            table.schema.field("segment_language"),
            pa.array([[0]] * len(table), table.schema.field("segment_language").type),
        )
        entry = shards.write_table(str(tmp_path / name / manifest.packed("train")[0].path), spoken)
        changed = manifest.packed("train")[0].model_copy(update={"sha256": entry.sha256, "bytes": entry.bytes})
        packing = manifest.packing.model_copy(update={"languages": languages})
        others = [changed, *manifest.shards[1:]]
        write_manifest(str(tmp_path / name), manifest.model_copy(update={"shards": others, "packing": packing}))
    data = open_data([str(tmp_path / "one"), str(tmp_path / "two")], small_config(global_batch=8))
    assert data.languages == ("de", "en", "fr")
    batch = data.train.batch(1, 0, 1)
    found = {
        (row, language) for row, language in zip(batch.rows.tolist(), batch.segment_language.tolist(), strict=True)
    }
    assert found == {(0, 0), (1, -1), (2, -1), (3, -1), (4, 1), (5, -1), (6, -1), (7, -1)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "f" * 64}, r"tokenizer \(SHA-256\) [0-9a-f]{64} and f{64}"),
        ({"pretokenizer": "cl100k_base"}, r"tokenizer \(SHA-256\) [0-9a-f]{64} and [0-9a-f]{64} cl100k_base"),
        ({"length": 16}, "length of packed rows 8 and 16"),
        ({"token_type": "uint32"}, "token type uint16 and uint32"),
    ],
)
def test_corpora_that_do_not_go_together_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    sources_corpus(tmp_path / "one", 1, 1)
    write_again(tmp_path / "two", sources_corpus(tmp_path / "two", 1, 1), **changes)
    with pytest.raises(ManifestMismatch, match=f"one and .*two cannot be mixed: {message}"):
        open_data([str(tmp_path / "one"), str(tmp_path / "two")], small_config())


def test_a_corpus_is_not_named_twice(tmp_path: Path) -> None:
    sources_corpus(tmp_path, 1, 1)
    with pytest.raises(RecipeError, match="one corpus is named twice"):
        open_data([str(tmp_path), f"{tmp_path}/manifest.json"], small_config())


def test_the_documents_of_a_step_are_those_of_its_rows(tmp_path: Path) -> None:
    counting_corpus(tmp_path)
    data = open_data([str(tmp_path)], small_config(seed=9, global_batch=3))
    found = documents_of_step(data, 4)
    rows = data.train.rows(4).tolist()
    assert [item["row"] for item in found] == rows
    assert [item["segment_doc"] for item in found] == [[f"even-{row:06d}", f"odd-{row:06d}"] for row in rows]
    assert [item["segment_source"] for item in found] == [["even", "odd"]] * 3
    lengths = data.train.batch(4, 0, 1).segment_length.tolist()
    assert [length for item in found for length in item["segment_length"]] == lengths
    with pytest.raises(RecipeError, match="step 0: steps count from 1"):
        documents_of_step(data, 0)


@pytest.mark.parametrize("mixture", [[], MIXED])
@pytest.mark.parametrize("last_step", [0, 1, 8, 20, 600])
def test_the_steps_of_rows_are_those_that_going_through_all_steps_finds(
    tmp_path: Path, last_step: int, mixture: list[dict[str, Any]]
) -> None:
    data = open_sources(tmp_path, global_batch=5, mixture=mixture)
    wanted = [0, 2, 3, 8, 15]
    steps = range(1, last_step + 1)
    read = [(step, row) for step in steps for row in data.train.rows(step).tolist() if row in wanted]
    assert data.train.steps(np.array(wanted), last_step) == sorted(read)
    assert data.train.steps(np.array([], np.int64), last_step) == []


def test_a_stream_is_of_the_plan(tmp_path: Path) -> None:
    data = open_sources(tmp_path, mixture=MIXED)
    assert isinstance(data.train, TrainStream)
    assert data.train.state(12) == {"samples_consumed": 12, "manifest_digest": data.digest, "schedule": MIXED}


def test_unknown_sources_of_a_mixture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="unknown source 'evne'; did you mean 'even'"):
        open_sources(tmp_path, mixture=[{"weights": {"evne": 1.0}}])
    folder = tmp_path / "empty"
    make_corpus(folder, [[]], [], 8, 16)
    with pytest.raises(InputError, match="no training rows"):
        open_data([str(folder)], small_config())


def test_the_steps_of_a_document_are_those_of_the_rows_with_its_parts(tmp_path: Path) -> None:
    parts = [
        Segments((("long", 0, (1, 2, 3)), ("a", 0, (4, 0)))),
        Segments((("b", 0, (5, 0)),)),
        Segments((("long", 0, (6, 0)), ("long", 0, (7, 0)))),
    ]
    make_corpus(tmp_path, [parts[:1], parts[1:]], [], 8, 16)
    data = open_data([str(tmp_path)], small_config(global_batch=3, seed=4))
    assert data.train.find(["long"]).tolist() == [0, 2]
    assert data.train.find(["b", "a"]).tolist() == [0, 1]
    assert data.train.find(["c"]).tolist() == []
    assert data.train.segments(np.array([2, 0, 2]))["row"].to_pylist() == [2, 2, 0, 0, 2, 2]
    assert data.train.segments(np.array([2, 0]))["segment_doc"].to_pylist() == ["long", "long", "long", "a"]
    found = steps_of_documents(data, 2, ["long"])
    assert sorted((part["step"], part["row"]) for part in found) == [(1, 0), (1, 2), (1, 2), (2, 0), (2, 2), (2, 2)]
    assert {part["doc_id"] for part in found} == {"long"}
    assert steps_of_documents(data, 2, ["c"]) == steps_of_documents(data, 0, ["a"]) == []
