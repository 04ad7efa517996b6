import errno
import os

import numpy as np
import pyarrow as pa
import pytest

from manifests import shards
from manifests.errors import InputError, IntegrityError, StorageError, storage_error
from manifests.shards import TableWriter

TEXTS = pa.table({"id": list(range(9)), "text": pa.array([f"text {n}" * 50 for n in range(9)], pa.large_string())})


def test_file_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "folder" / "file"
    with pytest.raises(RuntimeError, match="stop"), shards.atomic_writer(str(target)) as file:
        file.write(b"half")
        raise RuntimeError("stop")
    assert list(target.parent.iterdir()) == []
    entry = shards.write_bytes(str(target), b"whole", "file")
    assert target.read_bytes() == b"whole"
    assert (entry.path, entry.bytes, entry.sha256[:8]) == ("file", 5, "5d5766cf")


def test_a_writer_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), TableWriter(str(tmp_path / "t.parquet"), TEXTS.schema) as writer:
        writer.write(TEXTS)
        raise RuntimeError("stop")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("limit", [1, 500, 1 << 30])
def test_bytes_of_a_table_do_not_depend_on_its_batches(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", limit)
    digests = set()
    for name, cuts in (("one", [9]), ("two", [4, 5]), ("each", [1] * 9)):
        with TableWriter(str(tmp_path / name), TEXTS.schema) as writer:
            start = 0
            for cut in cuts:
                writer.write(TEXTS.slice(start, cut))
                start += cut
        digests.add(writer.entry.sha256)
        assert shards.read_table(str(tmp_path / name)).equals(TEXTS)
    assert len(digests) == 1


KINDS = [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_row_groups_are_cut_by_the_bytes_of_every_column_of_strings(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 10)
    extra = pa.array([b"1234567", b"12", None, b"12345", b"1", b"1"]).cast(kind)
    table = pa.table({"text": pa.array(["a", "b", "c", "d", "e", "f"], pa.large_string()), "extra": extra})
    uri = str(tmp_path / "t.parquet")
    # 8 and 3 reach 10; then 1, 6 and 2 are 9, and 2 more reach it.
    for cuts in ([6], [1, 5], [3, 3]):
        with TableWriter(uri, table.schema) as writer:
            start = 0
            for cut in cuts:
                writer.write(table.slice(start, cut))
                start += cut
        with shards.open_parquet(uri) as file:
            assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [2, 4]


def test_row_groups_are_partitions_when_each_write_is_one(tmp_path):
    uri = str(tmp_path / "runs.parquet")
    with TableWriter(uri, TEXTS.schema, cut_each_write=True) as writer:
        writer.write(TEXTS.slice(0, 2))
        writer.write(TEXTS.slice(0, 0))
        writer.write(TEXTS.slice(2))
    with shards.open_parquet(uri) as file:
        assert [file.read_row_group(group).num_rows for group in range(file.num_row_groups)] == [2, 0, 7]


def test_paths_in_memory_work_like_local_ones():
    shards.write_bytes("memory://shards-test/a/b", b"x")
    assert shards.exists("memory://shards-test/a/b")
    assert shards.read_bytes("memory://shards-test/a/b") == b"x"
    assert shards.list_files("memory://shards-test") == ["a/b"]
    shards.remove("memory://shards-test")
    assert shards.list_files("memory://shards-test") == []


@pytest.mark.parametrize(("code", "remedy"), [(errno.ENOSPC, "Free space"), (errno.EACCES, "write permission")])
def test_failed_write_says_where_and_what_to_do(tmp_path, code, remedy):
    with (
        pytest.raises(StorageError, match=f"out.bin: cannot be written: .*{remedy}"),
        shards.atomic_writer(str(tmp_path / "out.bin")),
    ):
        raise OSError(code, os.strerror(code))


def test_full_disk_fails_with_what_to_do():
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full on this system")
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")
    with pytest.raises(StorageError, match="same command again: finished work is kept"):
        raise storage_error("out", OSError(errno.ENOSPC, "No space left on device"))


def test_broken_parquet_is_named(tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(IntegrityError, match=r"broken.parquet: cannot be read as Parquet"):
        shards.read_table(str(path))


def test_damage_inside_a_parquet_file_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "damaged.parquet"
    with TableWriter(str(path), TEXTS.schema, cut_each_write=True) as writer:
        writer.write(TEXTS.slice(0, 4))
        writer.write(TEXTS.slice(4))
    with shards.open_parquet(str(path)) as file:
        start = file.metadata.row_group(1).column(1).data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 60] = bytes(60)
    path.write_bytes(data)
    message = r"damaged\.parquet: cannot be read as Parquet: .*\. Remove it and run the build again\."
    with pytest.raises(IntegrityError, match=message):
        shards.read_table(str(path))
    groups = shards.row_groups(str(path))
    assert next(groups).equals(TEXTS.slice(0, 4))
    with pytest.raises(IntegrityError, match=message):
        next(groups)
    assert shards.read_table(str(path), ["id"]).equals(TEXTS.select(["id"]))


@pytest.mark.parametrize("page", ["dictionary_page_offset", "data_page_offset"])
def test_a_flipped_bit_in_any_page_is_found_also_where_the_file_is_read_in_part(tmp_path, page):
    # Random numbers, which zstd stores as they are: without checksums a flipped bit is just another number.
    values = np.random.default_rng(5).permutation(np.arange(1000, dtype=np.uint64) << np.uint64(40))
    table = pa.table({"id": values, "other": values})
    path = tmp_path / "numbers.parquet"
    with TableWriter(str(path), table.schema, cut_each_write=True) as writer:
        writer.write(table)
        writer.write(table)
    with shards.open_parquet(str(path)) as file:
        damaged = getattr(file.metadata.row_group(1).column(1), page) + 500
    data = bytearray(path.read_bytes())
    data[damaged] ^= 1
    path.write_bytes(data)
    message = r"numbers\.parquet: cannot be read as Parquet: .*CRC checksum.* Remove it and run the build again\."
    with shards.open_parquet(str(path)) as file:
        assert file.read_row_group(0).equals(table)
        assert file.read_row_group(1, columns=["id"]).equals(table.select(["id"]))
        for read in (lambda: file.read_row_group(1), lambda: file.read_row_groups([1]), file.read):
            with pytest.raises(IntegrityError, match=message):
                read()


def test_row_groups_of_some_columns_come_in_their_order(tmp_path):
    uri = str(tmp_path / "t.parquet")
    with TableWriter(uri, TEXTS.schema, cut_each_write=True) as writer:
        for start in (0, 3, 6):
            writer.write(TEXTS.slice(start, 3))
    assert [group.to_pydict() for group in shards.row_groups(uri, ["id"])] == [
        {"id": [0, 1, 2]},
        {"id": [3, 4, 5]},
        {"id": [6, 7, 8]},
    ]


def test_digest_of_a_missing_file_names_it(tmp_path):
    with pytest.raises(InputError, match=r"no.txt: cannot be read"):
        shards.file_digest(str(tmp_path / "no.txt"))


def test_digest_follows_a_changed_file(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"a")
    first = shards.file_digest(str(path))
    path.write_bytes(b"bb")
    assert shards.file_digest(str(path)) != first


def test_digest_is_taken_anew_where_nothing_tells_that_a_file_changed(monkeypatch):
    monkeypatch.setattr(shards, "_MARKS", ())
    shards.write_bytes("memory://digest-test/a", b"a")
    first = shards.file_digest("memory://digest-test/a")
    shards.write_bytes("memory://digest-test/a", b"b")
    assert shards.file_digest("memory://digest-test/a") != first


def test_digest_follows_a_changed_file_in_memory():
    shards.write_bytes("memory://digest-test/b", b"a")
    first = shards.file_digest("memory://digest-test/b")
    shards.write_bytes("memory://digest-test/b", b"b")
    assert shards.file_digest("memory://digest-test/b") != first


def test_two_colons_in_a_local_name_are_part_of_it(tmp_path):
    uri = str(tmp_path / "a::b")
    shards.write_bytes(uri, b"x")
    assert shards.read_bytes(uri) == b"x"
    assert os.listdir(tmp_path) == ["a::b"]


@pytest.mark.parametrize(("uri", "text"), [("nowhere://a/b", "Protocol not known: nowhere"), ("gs://a/b", "gcsfs")])
def test_protocols_that_are_not_there_are_named_with_the_remedy(uri, text):
    with pytest.raises(InputError, match=f"{uri}: .*{text}"):
        shards.exists(uri)
