import datetime
import json
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.read import CHECKED_UNITS, check_source, read_record
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


@pytest.mark.parametrize(
    "settings",
    [
        {"compression": "zstd", "data_page_version": "2.0"},
        {"compression": "none", "use_dictionary": False, "data_page_size": 100, "write_batch_size": 7},
        {"compression": "gzip", "use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
        {"compression": "brotli", "dictionary_pagesize_limit": 200, "write_batch_size": 7},
        {"compression": "lz4", "write_page_checksum": True, "write_statistics": False},
        {"use_content_defined_chunking": True, "store_schema": False},
    ],
    ids=lambda settings: next(iter(settings.values())),
)
def test_rows_do_not_depend_on_how_pages_are_written(tmp_path: Path, settings: dict[str, Any]) -> None:
    texts = [None if number % 11 == 5 else f"text {number % 40} " * (number % 7 + 1) for number in range(200)]
    tags = [None if number % 5 == 3 else ["a", f"{number}"] * (number % 4) for number in range(200)]
    data = _file(tmp_path / "a", {"text": texts, "tags": tags}, row_group_size=150, **settings)
    rows = rows_of(tmp_path / "a", data, "parquet", keep_columns=["tags"])
    assert [row["text"] or None for row in rows] == texts
    assert [row["extra"] and json.loads(row["extra"])["tags"] for row in rows] == tags
    assert [row["offset"] for row in rows] == list(range(200))


def test_a_record_counts_with_all_columns_that_are_read(tmp_path: Path) -> None:
    data = _file(tmp_path / "a", {"text": ["a", "a", "a"], "url": ["b", "bb", None], "more": ["x" * 99] * 3})
    assert outcomes(rows_of(tmp_path / "a", data, "parquet", max_record_bytes=2)) == [None, "read.too_large", None]


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
    numbers = Source(name="s", format="parquet", paths=[str(path)], columns={"text": "id"})
    with pytest.raises(SchemaMismatch, match="column 'id' is int64, expected a string"):
        check_source(numbers, units)
    keep = Source(name="s", format="parquet", paths=[str(path)], columns={"text": "content"}, keep_columns=["x"])
    with pytest.raises(SchemaMismatch, match="column 'x' is missing"):
        check_source(keep, units)


def test_every_footer_is_looked_at_before_anything_is_read(tmp_path: Path) -> None:
    for name, columns in (("a", {"text": ["x"]}), ("b", {"body": ["x"]}), ("c", {"text": [1]}), ("d", {"text": ["x"]})):
        _file(tmp_path / f"{name}.parquet", columns)
    (tmp_path / "e.parquet").write_bytes(b"no parquet")
    source = Source(name="s", format="parquet", paths=[str(tmp_path / "*.parquet")])
    units = plan_units(source)
    with pytest.raises(SchemaMismatch, match=r"b\.parquet: column 'text' is missing.* a source of their own"):
        check_source(source, units)
    with pytest.raises(SchemaMismatch, match=r"c\.parquet: column 'text' is int64"):
        check_source(source, [units[0], *units[2:]])
    check_source(source, [units[0], *units[3:]])
    check_source(source, [units[0]] * CHECKED_UNITS + [units[1]])


@pytest.mark.parametrize(
    ("columns", "reason", "error"),
    [
        (
            {"body": ["x", "y"], "n": [1, 2]},
            "read.missing_text",
            r"the file has no column 'text'; it has ['body', 'n']",
        ),
        ({"text": [1, 2]}, "read.text_type", "column 'text' is no string but int64"),
    ],
)
def test_a_file_without_texts_is_one_failed_row(
    tmp_path: Path, columns: dict[str, Any], reason: str, error: str
) -> None:
    (row,) = rows_of(tmp_path / "a", _file(tmp_path / "a", columns), "parquet")
    assert (row["offset"], row["reason"], row["error"]) == (0, reason, error)


def test_files_that_are_no_whole_parquet_end_as_rows(tmp_path: Path) -> None:
    # Random letters do not shrink, so that the cut and the damage fall into data pages.
    data = _file(
        tmp_path / "a", {"text": [f"{number * 2654435761 % 2**64:x}" * 9 for number in range(2000)]}, row_group_size=500
    )
    for broken in (b"", b"PAR1", b"no parquet at all", data[:-8], data[: len(data) // 2]):
        (row,) = rows_of(tmp_path / "a", broken, "parquet")
        assert (row["reason"], row["offset"]) == ("read.not_an_archive", 0)


def test_damage_inside_a_row_group_leaves_the_other_groups(tmp_path: Path) -> None:
    texts = [f"{number * 2654435761 % 2**64:x}" * 9 for number in range(2000)]
    data = bytearray(_file(tmp_path / "a", {"text": texts}, row_group_size=500))
    start = pq.ParquetFile(tmp_path / "a").metadata.row_group(1).column(0).data_page_offset
    data[start : start + 300] = bytes(300)
    rows = rows_of(tmp_path / "a", bytes(data), "parquet")
    assert [row["offset"] for row in rows] == [*range(500), 500, *range(1000, 2000)]
    assert {row["reason"] for row in rows[:500] + rows[501:]} == {None}
    assert (rows[500]["reason"], rows[500]["error"][:17]) == ("read.broken", "rows 500 to 999: ")
    assert rows[501]["text"] == texts[1000]


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_end_as_rows_with_numbers_of_their_own(tmp_path: Path, seed: int) -> None:
    columns = {"text": [f"{number}" * 9 for number in range(90)], "tags": [["a", "b"]] * 90}
    data = bytearray(_file(tmp_path / "a", columns, row_group_size=40, compression="zstd"))
    random = Random(seed)
    for _ in range(8):
        data[random.randrange(len(data))] = random.randrange(256)
    rows = rows_of(tmp_path / "a", bytes(data), "parquet", keep_columns=["tags"])
    assert rows
    assert len({row["offset"] for row in rows}) == len(rows)


def test_a_parquet_file_without_rows_is_one_failed_row(tmp_path: Path) -> None:
    data = _file(tmp_path / "a", {"text": pa.array([], pa.string())})
    assert outcomes(rows_of(tmp_path / "a", data, "parquet")) == ["read.no_records"]
