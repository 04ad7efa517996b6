from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from manifests import shards
from manifests.errors import IntegrityError, SchemaMismatch
from manifests.manifest import Manifest
from manifests.shards import ROW_GROUP_ROWS
from tests.trainer.synthetic import counting_corpus, make_corpus, sources_corpus, table_of, train_rows
from tests.trainer.test_stream import ROW
from trainer.packed import PackedRows, PackedShard, form_of, validation_rows

NO_LANGUAGE = np.array([-1])


def starts_of(rows: list[int]) -> list[int]:
    """The first tokens of counting rows."""
    return [1 + (row * 7) % 63 for row in rows]


def test_rows_come_in_the_order_asked_for_over_shards(tmp_path: Path) -> None:
    reader = train_rows(tmp_path, counting_corpus(tmp_path, num_rows=9))
    batch = reader.read(np.array([8, 0, 3, 2, 8]))
    assert batch.tokens[:, 0].tolist() == starts_of([8, 0, 3, 2, 8])
    assert batch.rows.tolist() == [8, 0, 3, 2, 8]


def test_each_row_keeps_its_own_segments(tmp_path: Path) -> None:
    other = type(ROW)((("c", 1, (3, 0)), ("d", 1, (4, 0)), ("e", 1, (2, 1, 0))))
    reader = train_rows(tmp_path, make_corpus(tmp_path, [[ROW, other], [other]], [], 8, 16))
    batch = reader.read(np.array([2, 0, 1]))  # sources are shards of their own: ROW, other, other
    assert batch.num_segments.tolist() == [3, 2, 3]
    assert batch.segment_length.tolist() == [2, 2, 3, 4, 3, 2, 2, 3]
    assert batch.segment_source.tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    assert batch.segment_bytes.tolist() == [3, 3, 6, 9, 6, 3, 3, 6]
    assert reader.documents(0) == {
        "segment_doc": ["a", "b"], "segment_start": [0, 0], "segment_length": [4, 3], "segment_source": [0, 1],
    }  # fmt: skip


def test_row_groups_that_do_not_fit_are_decoded_again(tmp_path: Path) -> None:
    manifest = sources_corpus(tmp_path, 2 * ROW_GROUP_ROWS + 10, 5)
    whole = train_rows(tmp_path, manifest)
    little = PackedRows(whole.packed, whole.form, lane_rows=[1])
    rows = np.random.default_rng(0).integers(0, whole.num_rows, 200)
    assert np.array_equal(little.read(rows).tokens, whole.read(rows).tokens)
    held = little._groups[0]._held
    assert len(held) == 1


def test_threads_may_share_a_reader(tmp_path: Path) -> None:
    manifest = sources_corpus(tmp_path, ROW_GROUP_ROWS + 10, 500)
    reader = train_rows(tmp_path, manifest)
    little = PackedRows(reader.packed, reader.form, lane_rows=[ROW_GROUP_ROWS])
    batches = [np.random.default_rng(seed).integers(0, reader.num_rows, 50) for seed in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda rows: little.read(rows).tokens, batches))
    for rows, tokens in zip(batches, found, strict=True):
        assert np.array_equal(tokens, reader.read(rows).tokens)


def test_a_flipped_byte_names_shard_and_row_group_and_nothing_is_read(tmp_path: Path) -> None:
    manifest = sources_corpus(tmp_path, 4 * ROW_GROUP_ROWS, 0)
    path = tmp_path / manifest.packed("train")[1].path
    with shards.open_parquet(str(path)) as file:
        column = file.metadata.row_group(1).column(0)
        middle = column.data_page_offset + column.total_compressed_size // 2
    data = bytearray(path.read_bytes())
    data[middle] ^= 1
    path.write_bytes(bytes(data))
    reader = train_rows(tmp_path, manifest)
    message = r"train-0000-00001\.parquet: row group 1 damaged: its SHA-256 is .* the manifest says"
    with pytest.raises(IntegrityError, match=message) as caught:
        reader.read(np.array([2 * ROW_GROUP_ROWS]))  # of its row group 0, which is whole
    assert str(caught.value).count("row group") == 1


def test_a_byte_that_changes_after_the_shard_was_checked_names_the_row_group(tmp_path: Path) -> None:
    manifest = sources_corpus(tmp_path, 4 * ROW_GROUP_ROWS, 0)
    path = tmp_path / manifest.packed("train")[0].path
    reader = train_rows(tmp_path, manifest)
    reader.read(np.array([0]))
    with shards.open_parquet(str(path)) as file:
        column = file.metadata.row_group(1).column(0)
    with open(path, "r+b") as raw:
        raw.seek(column.data_page_offset + column.total_compressed_size // 2)
        byte = raw.read(1)[0]
        raw.seek(-1, 1)
        raw.write(bytes([byte ^ 1]))
    with pytest.raises(IntegrityError, match=r"row group 1: .*train-0000-00000\.parquet"):
        reader.read(np.array([ROW_GROUP_ROWS]))


def test_another_file_of_the_same_form_is_refused(tmp_path: Path) -> None:
    manifest = make_corpus(tmp_path, [[ROW]], [], 8, 16)
    path = tmp_path / manifest.packed("train")[0].path
    shards.write_table(str(path), table_of([type(ROW)((("a", 0, (5, 6, 8, 0)),))], 8))
    with pytest.raises(IntegrityError, match="every row group is whole in itself, so it is another file"):
        train_rows(tmp_path, manifest).read(np.array([0]))


def test_a_shard_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    manifest = make_corpus(tmp_path, [[ROW]], [], 8, 16)
    path = tmp_path / manifest.packed("train")[0].path
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(IntegrityError, match="the file's end, which lists its row groups, is damaged"):
        train_rows(tmp_path, manifest).read(np.array([0]))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path)
    (tmp_path / manifest.packed("train")[0].path).unlink()
    with pytest.raises(IntegrityError, match=r"train-0000-00000\.parquet: .* is not there"):
        train_rows(tmp_path, manifest).read(np.array([0]))


def test_rows_of_another_length_than_the_manifest_says_are_refused(tmp_path: Path) -> None:
    data = counting_corpus(tmp_path).model_dump()
    data["packing"]["length"] = 16
    with pytest.raises(SchemaMismatch, match=r"tokens are .*\[66\], the manifest says .*\[34\]"):
        train_rows(tmp_path, Manifest.model_validate(data)).read(np.array([0]))


def test_a_table_without_segments_is_refused(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path)
    shard = manifest.packed("train")[0]
    table = shards.read_table(str(tmp_path / shard.path)).drop_columns(["segment_source"])
    entry = shards.write_table(str(tmp_path / shard.path), table, shard.path)
    changed = shard.model_copy(update={"sha256": entry.sha256, "bytes": entry.bytes})
    reader = PackedRows([PackedShard(str(tmp_path), changed, 0, 0, NO_LANGUAGE)], form_of(manifest))
    with pytest.raises(SchemaMismatch, match="column 'segment_source' is missing"):
        reader.read(np.array([0]))


def test_row_groups_of_other_sizes_are_refused(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path)
    shard = manifest.packed("train")[0]
    table = shards.read_table(str(tmp_path / shard.path))
    with shards.TableWriter(str(tmp_path / shard.path), table.schema, cut_each_write=True) as writer:
        writer.write(table.slice(0, 3))
        writer.write(table.slice(3))
    assert writer.entry is not None
    changed = shard.model_copy(update={"sha256": writer.entry.sha256})
    reader = PackedRows([PackedShard(str(tmp_path), changed, 0, 0, NO_LANGUAGE)], form_of(manifest))
    with pytest.raises(SchemaMismatch, match=r"its row groups have \[3, 5\] rows, expected \[8\]"):
        reader.read(np.array([0]))


def test_a_shard_of_an_unknown_source_is_refused(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path)
    changed = [shard.model_copy(update={"source": "neither"}) for shard in manifest.shards]
    with pytest.raises(IntegrityError, match="is of source 'neither', which the manifest has not"):
        train_rows(tmp_path, manifest.model_copy(update={"shards": changed}))


def test_a_corpus_without_validation_rows_has_no_validation_reader(tmp_path: Path) -> None:
    assert validation_rows(str(tmp_path), counting_corpus(tmp_path, num_validation=0)) is None
