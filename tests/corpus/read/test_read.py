import hashlib
from pathlib import Path

import fsspec
import pytest

from corpus.read import DROPPED, FAILED, UnitReader, read_record
from corpus.read.rows import BATCH_BYTES, BATCH_ROWS, Row, row_tables
from corpus.recipe import Source
from corpus.units import Unit, plan_units
from manifests.digest import document_id
from manifests.errors import InputError
from manifests.schemas import RECORD
from tests.corpus.read.archives import http, packed, record


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("warc", packed(record(http())) + b"garbage" * 100_000),
        ("jsonl", b'{"text": "a"}\n' * 3),
        ("text", b"a"),
        ("parquet", b"no parquet"),
    ],
)
def test_digest_and_size_are_those_of_the_whole_file_even_where_it_is_broken(
    tmp_path: Path, format: str, data: bytes
) -> None:
    path = tmp_path / "f"
    path.write_bytes(data)
    source = Source(name="s", format=format, paths=[str(path)])  # type: ignore[arg-type]
    reader = UnitReader(plan_units(source)[0], source)
    tables = list(reader)
    assert all(table.schema == RECORD for table in tables)
    assert (reader.sha256, reader.num_bytes) == (hashlib.sha256(data).hexdigest(), len(data))


def test_batches_are_cut_by_rows_and_by_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n' * (BATCH_ROWS + 1))
    source = Source(name="s", format="jsonl", paths=[str(path)])
    assert [table.num_rows for table in UnitReader(plan_units(source)[0], source)] == [BATCH_ROWS, 1]
    path.write_bytes((b'{"text": "' + b"x" * (BATCH_BYTES // 2) + b'"}\n') * 3)
    assert [table.num_rows for table in UnitReader(plan_units(source)[0], source)] == [2, 1]


@pytest.mark.parametrize("column", ["url", "date", "extra", "error"])
def test_batches_are_cut_by_the_bytes_of_every_column(column: str) -> None:
    rows = [Row(number, 1, **{column: "ü" * (BATCH_BYTES // 6 + 1)}) for number in range(7)]
    assert [table.num_rows for table in row_tables(rows, Unit("0" * 16, "s", "f", "f", 0, ""))] == [3, 3, 1]


def test_ids_depend_on_source_file_and_offset_alone(tmp_path: Path) -> None:
    ids = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jsonl").write_bytes(b'{"text": "a"}\n{"text": "b"}\n')
        source = Source(name="s", format="jsonl", paths=[str(tmp_path / folder / "*.jsonl")])
        (table,) = UnitReader(plan_units(source)[0], source)
        ids.append(table["doc_id"].to_pylist())
    assert ids == [[document_id("s", "a.jsonl", 0), document_id("s", "a.jsonl", 14)]] * 2


def test_remote_files_are_read_and_read_again() -> None:
    fsspec.filesystem("memory").pipe("/read-test/a.warc.gz", packed(record(http()), record(http(b"<html>2"))))
    source = Source(name="s", format="warc", paths=["memory://read-test/*.gz"])
    (unit,) = plan_units(source)
    (table,) = UnitReader(unit, source)
    assert table["text"].to_pylist()[1] == "<html>2"
    row = table.to_pylist()[1]
    assert read_record(unit.uri, source, row["offset"], row["length"]).to_pylist() == [row]


def test_a_file_that_has_vanished_is_an_input_error_not_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n')
    source = Source(name="s", format="jsonl", paths=[str(path)])
    units = plan_units(source)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.jsonl: cannot be read: No such file"):
        list(UnitReader(units[0], source))


def test_a_record_that_is_not_there_any_more_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n')
    source = Source(name="s", format="jsonl", paths=[str(path)])
    with pytest.raises(InputError, match="no record starts at 3"):
        read_record(str(path), source, 3, 5)
    with pytest.raises(InputError, match="no path of source 's' leads to this file"):
        read_record("/elsewhere/b.jsonl", source, 0, 5)


def test_defects_are_declared_once_each() -> None:
    assert len(set(DROPPED + FAILED)) == len(DROPPED) + len(FAILED)
    assert all(name.startswith("read.") for name in DROPPED + FAILED)
