from pathlib import Path

import numpy as np
import pytest

from manifests import shards
from manifests.errors import InputError, IntegrityError, RecipeError, SchemaMismatch
from manifests.manifest import Manifest, read_manifest, write_manifest
from tests.trainer.synthetic import Segments, counting_corpus, make_corpus
from trainer.stream import PackedRows, TrainStream, documents_of_step, steps_of_rows, validation_rows

# A row of 8 + 1 tokens: a document of 4 tokens, one of 3 and two tokens of padding.
ROW = Segments((("a", 0, (5, 6, 7, 0)), ("b", 1, (8, 9, 0))))


def one_row(folder: Path) -> PackedRows:
    manifest = make_corpus(folder, [[ROW]], [], 8, 16)
    return PackedRows(str(folder), manifest, manifest.packed("train"), 1)


def test_segments_and_sources_are_spread_over_tokens_and_padding_is_minus_one(tmp_path: Path) -> None:
    batch = one_row(tmp_path).read(np.array([0, 0]))
    assert batch.tokens[1].tolist() == [5, 6, 7, 0, 8, 9, 0, 0, 0]
    assert batch.segment.tolist() == [[0, 0, 0, 0, 1, 1, 1, -1, -1]] * 2
    assert batch.spread(batch.segment_source).tolist() == [[0, 0, 0, 0, 1, 1, 1, -1, -1]] * 2


def test_bytes_of_a_segment_are_spread_over_its_text_tokens(tmp_path: Path) -> None:
    batch = one_row(tmp_path).read(np.array([0]))
    assert batch.token_bytes(end_of_text_id=0).tolist() == [[3, 3, 3, 0, 3, 3, 0, 0, 0]]


def test_rows_come_in_the_order_asked_for_over_shards_and_row_groups(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path, num_rows=9)
    reader = PackedRows(str(tmp_path), manifest, manifest.packed("train"), 1)
    rows = np.array([8, 0, 3, 2, 8])
    starts = reader.read(rows).tokens[:, 0]
    assert starts.tolist() == [1 + (row * 7) % 63 for row in rows.tolist()]


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 6])
def test_the_parts_of_all_workers_are_the_global_batch(tmp_path: Path, world_size: int) -> None:
    manifest = counting_corpus(tmp_path)
    stream = TrainStream(str(tmp_path), manifest, seed=3, global_batch=12)
    parts = [stream.batch(5, rank, world_size).tokens for rank in range(world_size)]
    assert np.array_equal(np.concatenate(parts), stream.batch(5, 0, 1).tokens)


@pytest.mark.parametrize("world_size", [1, 3])
def test_each_row_knows_its_number_and_its_place_in_training(tmp_path: Path, world_size: int) -> None:
    stream = TrainStream(str(tmp_path), counting_corpus(tmp_path), seed=3, global_batch=6)
    parts = [stream.batch(5, rank, world_size) for rank in range(world_size)]
    assert np.concatenate([part.samples for part in parts]).tolist() == list(range(24, 30))
    assert (
        np.concatenate([part.cut(0, 1).rows for part in parts]).tolist() == stream.rows(5)[:: 6 // world_size].tolist()
    )
    assert stream.reader.read(np.array([7, 2])).samples.tolist() == [-1, -1]


def test_an_epoch_of_steps_has_every_row_once_and_the_next_begins_where_it_ends(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path, num_rows=24)
    stream = TrainStream(str(tmp_path), manifest, seed=3, global_batch=8)
    rows = np.concatenate([stream.rows(step) for step in range(1, 7)])
    assert sorted(rows[:24].tolist()) == list(range(24))
    assert sorted(rows[24:].tolist()) == list(range(24))


def test_a_batch_larger_than_the_corpus_repeats_rows(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path, num_rows=3)
    stream = TrainStream(str(tmp_path), manifest, seed=0, global_batch=6)
    assert sorted(stream.rows(1).tolist()) == [0, 0, 1, 1, 2, 2]


def test_prefetched_batches_are_those_of_their_steps(tmp_path: Path) -> None:
    stream = TrainStream(str(tmp_path), counting_corpus(tmp_path), seed=1, global_batch=4)
    seen = [(step, batch.tokens.tolist()) for step, batch, _ in stream.batches(4, 6, rank=1, world_size=2)]
    assert seen == [(step, stream.batch(step, 1, 2).tokens.tolist()) for step in (4, 5, 6)]


def test_a_flipped_byte_names_the_shard(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path)
    path = tmp_path / manifest.packed("train")[1].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    stream = TrainStream(str(tmp_path), manifest, seed=0, global_batch=24)
    with pytest.raises(IntegrityError, match=r"packed/32/part-00001\.parquet: its SHA-256 is .* the manifest says"):
        stream.batch(1, 0, 1)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path)
    (tmp_path / manifest.packed("train")[0].path).unlink()
    with pytest.raises(IntegrityError, match=r"part-00000\.parquet: .* is not there"):
        TrainStream(str(tmp_path), manifest, seed=0, global_batch=24).batch(1, 0, 1)


def test_rows_of_another_length_than_the_manifest_says_are_refused(tmp_path: Path) -> None:
    data = counting_corpus(tmp_path).model_dump()
    data["packing"]["length"] = 16
    manifest = Manifest.model_validate(data)
    with pytest.raises(SchemaMismatch, match=r"the manifest says 17 of uint16"):
        TrainStream(str(tmp_path), manifest, seed=0, global_batch=1).batch(1, 0, 1)


def test_a_table_without_segments_is_refused(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path)
    shard = manifest.packed("train")[0]
    table = shards.read_table(str(tmp_path / shard.path)).drop_columns(["segment_source"])
    entry = shards.write_table(str(tmp_path / shard.path), table, shard.path)
    changed = shard.model_copy(update={"sha256": entry.sha256, "bytes": entry.bytes})
    reader = PackedRows(str(tmp_path), manifest, [changed], 1)
    with pytest.raises(SchemaMismatch, match="column 'segment_source' is missing"):
        reader.read(np.array([0]))


def test_a_corpus_without_training_rows_is_refused(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path, num_rows=0)
    with pytest.raises(InputError, match=r"has no training rows .*has 5"):
        TrainStream(str(tmp_path), manifest, seed=0, global_batch=1)


def test_a_corpus_without_validation_rows_has_no_validation_reader(tmp_path: Path) -> None:
    assert validation_rows(str(tmp_path), counting_corpus(tmp_path, num_validation=0)) is None


def test_the_documents_of_a_step_are_those_of_its_rows(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path)
    stream = TrainStream(str(tmp_path), manifest, seed=9, global_batch=3)
    found = documents_of_step(str(tmp_path), manifest, seed=9, global_batch=3, step=4)
    rows = stream.rows(4).tolist()
    assert [item["row"] for item in found] == rows
    assert [item["segment_doc"] for item in found] == [[f"even-{row:06d}", f"odd-{row:06d}"] for row in rows]
    assert [item["segment_source"] for item in found] == [["even", "odd"]] * 3
    lengths = stream.batch(4, 0, 1).segment_length.tolist()
    assert [length for item in found for length in item["segment_length"]] == lengths
    with pytest.raises(RecipeError, match="step 0: steps count from 1"):
        documents_of_step(str(tmp_path), manifest, seed=9, global_batch=3, step=0)


@pytest.mark.parametrize("last_step", [0, 1, 8, 20])
def test_the_steps_of_rows_are_those_that_going_through_all_steps_finds(tmp_path: Path, last_step: int) -> None:
    manifest = counting_corpus(tmp_path)  # 24 rows: steps of five reach the fifth epoch
    stream = TrainStream(str(tmp_path), manifest, seed=9, global_batch=5)
    wanted = [0, 7, 8, 23]
    read = [(step, row) for step in range(1, last_step + 1) for row in stream.rows(step).tolist() if row in wanted]
    assert steps_of_rows(manifest, 9, 5, last_step, np.array(wanted)) == sorted(read)
    assert steps_of_rows(manifest, 9, 5, last_step, np.array([], np.int64)) == []


def test_a_corpus_may_lie_on_any_file_system(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path)
    for shard in manifest.packed("train"):
        shards.write_bytes(f"memory://corpus/{shard.path}", (tmp_path / shard.path).read_bytes())
    write_manifest("memory://corpus", manifest)
    remote = TrainStream("memory://corpus", read_manifest("memory://corpus"), seed=0, global_batch=24)
    local = TrainStream(str(tmp_path), manifest, seed=0, global_batch=24)
    assert np.array_equal(remote.batch(1, 0, 1).tokens, local.batch(1, 0, 1).tokens)
