import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.read import UnitReader, check_source, read_record
from corpus.recipe import Source
from corpus.units import plan_units
from manifests.errors import SchemaMismatch
from tests.corpus.read.archives import outcomes, rows_of


def _file(path: Path, columns: dict[str, Any], **settings: Any) -> bytes:
    pq.write_table(pa.table(columns), path, **settings)
    return path.read_bytes()


def test_rows_keep_their_numbers_over_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    data = _file(path, {"text": [f"t{number}" for number in range(300)], "url": ["u"] * 300}, row_group_size=70)
    rows = rows_of(path, data, "parquet")
    assert [row["offset"] for row in rows] == list(range(300))
    assert {row["length"] for row in rows} == {1}
    assert [row["text"] for row in rows] == [f"t{number}" for number in range(300)]
    source = Source(name="s", format="parquet", paths=[str(path)])
    assert read_record(str(path), source, 299, 1).to_pylist() == [rows[299]]


def test_null_empty_and_too_large_texts_have_reasons(tmp_path: Path) -> None:
    data = _file(tmp_path / "a", {"text": ["a", None, " ", "ü" * 6]})
    rows = rows_of(tmp_path / "a", data, "parquet", max_record_bytes=10)
    assert outcomes(rows) == [None, "read.missing_text", "read.empty", "read.too_large"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_every_kind_of_string_column_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    data = _file(tmp_path / "a", {"text": pa.array(["a", "b", "a"]).cast(kind)})
    assert [row["text"] for row in rows_of(tmp_path / "a", data, "parquet")] == ["a", "b", "a"]


def test_kept_columns_that_json_cannot_hold_are_kept_as_text(tmp_path: Path) -> None:
    data = _file(tmp_path / "a", {"text": ["a"], "when": [datetime.date(2024, 1, 2)], "n": [float("nan")]})
    (row,) = rows_of(tmp_path / "a", data, "parquet", keep_columns=["when", "n"])
    assert row["extra"] == '{"n":"nan","when":"2024-01-02"}'


def test_a_missing_text_column_names_the_columns_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    _file(path, {"id": [1], "content": ["a"]})
    source = Source(name="s", format="parquet", paths=[str(path)])
    units = plan_units(source)
    message = r"a\.parquet: column 'text' is missing; the file has \['id', 'content'\].*columns = { text = 'content' }"
    with pytest.raises(SchemaMismatch, match=message):
        check_source(source, units)
    with pytest.raises(SchemaMismatch, match="column 'text' is missing"):
        list(UnitReader(units[0], source))
    numbers = Source(name="s", format="parquet", paths=[str(path)], columns={"text": "id"})
    with pytest.raises(SchemaMismatch, match="column 'id' is int64, expected a string"):
        check_source(numbers, units)
    keep = Source(name="s", format="parquet", paths=[str(path)], columns={"text": "content"}, keep_columns=["x"])
    with pytest.raises(SchemaMismatch, match="column 'x' is missing"):
        check_source(keep, units)


def test_files_that_are_no_whole_parquet_end_as_rows(tmp_path: Path) -> None:
    # Random letters do not shrink, so that the cut and the damage fall into data pages.
    data = _file(
        tmp_path / "a", {"text": [f"{number * 2654435761 % 2**64:x}" * 9 for number in range(2000)]}, row_group_size=500
    )
    for broken in (b"", b"PAR1", b"no parquet at all", data[:-8], data[: len(data) // 2]):
        (row,) = rows_of(tmp_path / "a", broken, "parquet")
        assert (row["reason"], row["offset"]) == ("read.not_an_archive", 0)
    damaged = bytearray(data)
    middle = len(data) // 2
    damaged[middle : middle + 3000] = bytes(3000)
    rows = rows_of(tmp_path / "a", bytes(damaged), "parquet")
    assert rows[0]["reason"] is None
    assert len({row["offset"] for row in rows}) == len(rows)


def test_a_parquet_file_without_rows_is_one_failed_row(tmp_path: Path) -> None:
    data = _file(tmp_path / "a", {"text": pa.array([], pa.string())})
    assert outcomes(rows_of(tmp_path / "a", data, "parquet")) == ["read.no_records"]
