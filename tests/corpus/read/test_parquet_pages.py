import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.read.parquet_pages import BUDGET_BYTES, MAX_BATCH_ROWS, GroupPlan, plan_groups, read_groups
from corpus.read.stream import GuardedFile, InputStream
from tests.corpus.read.archives import outcomes, rows_of

MIB = 1 << 20
VALUE = "x" * (8 * MIB)


@contextlib.contextmanager
def _arrow_peak_below(max_bytes: int) -> Iterator[None]:
    """Fails if Arrow holds more memory at any time in the block."""
    before = pa.default_memory_pool()
    own = pa.proxy_memory_pool(before)
    pa.set_memory_pool(own)
    try:
        yield
    finally:
        pa.set_memory_pool(before)
    assert 0 < own.max_memory() < max_bytes


def _packed(columns: dict[str, Any], **settings: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **{"compression": "zstd", **settings})
    return sink.getvalue()


def _repeated(value: str, num_rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * num_rows, pa.int32()), pa.array([value]))


def _plans(path: Path, data: bytes, *names: str) -> list[GroupPlan]:
    path.write_bytes(data)
    file = pq.ParquetFile(path)
    with contextlib.closing(GuardedFile(str(path))) as handle, contextlib.closing(InputStream(str(path))) as stream:
        return plan_groups(file, read_groups(handle, len(file.schema)), names, stream)


@pytest.mark.parametrize(
    "settings",
    [
        {"store_schema": False},
        {"store_schema": True},
        {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}, "store_schema": False},
        {"use_dictionary": False, "data_page_size": 1, "write_batch_size": 1, "store_schema": False},
    ],
    ids=["dictionary", "dictionary kept", "shared beginnings", "a page a row"],
)
def test_a_small_file_with_large_rows_takes_little_memory(tmp_path: Path, settings: dict[str, Any]) -> None:
    text = _repeated(VALUE, 64)
    data = _packed({"text": text if settings.get("use_dictionary", True) else text.dictionary_decode()}, **settings)
    assert len(data) < MIB
    with _arrow_peak_below(3 * BUDGET_BYTES):  # 64 rows at once are 4 times the budget
        rows = rows_of(tmp_path / "a", data, "parquet", max_record_bytes=MIB)
    assert outcomes(rows) == ["read.too_large"] * 64


def test_a_page_that_unpacks_a_hundredfold_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    sink = io.BytesIO()
    schema = pa.schema({"text": pa.string()})
    with pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=False) as writer:
        for value in ("before", "x" * (BUDGET_BYTES + 1), "after"):
            writer.write_table(pa.table({"text": [value]}, schema))
    with _arrow_peak_below(MIB):
        rows = rows_of(tmp_path / "a", sink.getvalue(), "parquet")
    assert outcomes(rows) == [None, "read.too_large", None]
    assert [row["offset"] for row in rows] == [0, 1, 2]
    assert rows[1]["error"].startswith("rows 1 to 1: column 'text': the page at byte ")


def test_a_row_that_repeats_a_value_in_a_list_is_not_written_out(tmp_path: Path) -> None:
    tags = pa.ListArray.from_arrays([0, 64, 65], _repeated(VALUE, 65))
    data = _packed({"text": ["a", "b"], "tags": tags}, store_schema=False)
    with _arrow_peak_below(3 * BUDGET_BYTES):
        rows = rows_of(tmp_path / "a", data, "parquet", keep_columns=["tags"], max_record_bytes=16 * MIB)
    assert outcomes(rows) == ["read.too_large", None]
    assert len(rows[1]["extra"]) == len('{"tags":[""]}') + len(VALUE)


def test_rows_at_a_time_follow_the_largest_value_that_may_repeat(tmp_path: Path) -> None:
    texts = pa.array([letter * (BUDGET_BYTES // 20) for letter in "abab"])
    data = _packed({"text": texts, "url": ["u"] * 4})
    # The dictionary page holds both values and their lengths, 4 bytes each: a little more than a tenth of the budget.
    assert _plans(tmp_path / "a", data, "text", "url") == [GroupPlan(9)]
    assert _plans(tmp_path / "a", data, "url") == [GroupPlan(MAX_BATCH_ROWS)]


def test_usual_files_are_read_in_whole_batches(tmp_path: Path) -> None:
    texts = [f"{number * 2654435761 % 2**64:x}" * 50 for number in range(5000)]
    data = _packed({"text": texts}, row_group_size=2500, dictionary_pagesize_limit=MIB // 2)
    assert _plans(tmp_path / "a", data, "text") == [GroupPlan(MAX_BATCH_ROWS)] * 2


def test_pages_that_cannot_be_found_are_broken(tmp_path: Path) -> None:
    data = bytearray(_packed({"text": ["a", "b"], "url": ["u", "v"]}))
    data[4:30] = b"\x1c" * 26
    (plan,) = _plans(tmp_path / "a", bytes(data), "text", "url")
    assert (plan.defect, plan.error) == (
        "read.broken",
        "column 'text': the page header at byte 4 makes no sense: it nests too deep",
    )
    assert _plans(tmp_path / "a", bytes(data), "url") == [GroupPlan(MAX_BATCH_ROWS)]


def test_row_groups_are_those_that_pyarrow_sees(tmp_path: Path) -> None:
    path = tmp_path / "a"
    columns = {"text": ["a", "b"] * 9, "n": list(range(18)), "tags": [["x"]] * 18, "x": [0.5] * 18, "e": [True] * 18}
    path.write_bytes(_packed(columns, row_group_size=7, use_dictionary=["text"], write_page_index=True))
    metadata = pq.read_metadata(path)
    with contextlib.closing(GuardedFile(str(path))) as handle:
        groups = read_groups(handle, metadata.num_columns)
        with pytest.raises(OSError, match="not what its schema says"):
            read_groups(handle, 2)
    assert [group.num_rows for group in groups] == [7, 7, 4]
    for index, group in enumerate(groups):
        seen = [metadata.row_group(index).column(leaf) for leaf in range(metadata.num_columns)]
        assert [chunk.num_values for chunk in group.chunks] == [column.num_values for column in seen]
        assert [chunk.num_bytes for chunk in group.chunks] == [column.total_compressed_size for column in seen]
        starts = [column.dictionary_page_offset or column.data_page_offset for column in seen]
        assert [chunk.start for chunk in group.chunks] == starts


def test_a_footer_that_would_end_the_process_gives_rows(tmp_path: Path) -> None:
    # The schema says that there are no nulls, while the column's metadata counts them: pyarrow's own view of this
    # column's metadata ends the process.
    data = _packed({"text": ["a", "b"]})
    optional, required = b"\x25\x02\x18\x04text", b"\x25\x00\x18\x04text"
    assert data.count(optional) == 1
    rows = rows_of(tmp_path / "a", data.replace(optional, required), "parquet")
    assert [row["offset"] for row in rows] == list(range(len(rows)))
    assert rows
