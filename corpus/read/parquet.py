"""Parquet: one row is one record; `offset` is the row's number in the file, `length` is 1.

Rows are read in batches whose values stay below 128 MiB, or one by one where a single value may be larger, so memory
does not grow with the file; corpus.read.parquet_pages says how that is known beforehand. A record above
max_record_bytes, counted over the columns that are read, is not decoded. What cannot be read fails by row group: one
row with the reason stands for all of its rows, and the groups after it are read.
"""

import contextlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.read.jsonl import record_row
from corpus.read.parquet_pages import BUDGET_BYTES, GroupPlan, list_leaves, plan_groups, read_groups
from corpus.read.rows import Row, failed, row_tables
from corpus.read.stream import GuardedFile, InputStream
from corpus.read.value_bytes import row_bytes
from corpus.recipe import Source
from corpus.units import Unit
from manifests.errors import SchemaMismatch

_NAMED = ("text", "id", "url", "date", "language")
_BROKEN = (pa.ArrowException, OSError, UnicodeDecodeError)
# A file that declares more rows is no file: numbers of rows must stay below 2**63.
_MAX_ROWS = 1 << 48


def read_parquet(stream: InputStream, unit: Unit, source: Source) -> Iterator[pa.Table]:
    """Tables with schemas.RECORD, one row per row; a file without a text column is one failed row.

    Other columns that a file lacks count as null, as in JSON lines: `check_parquet` is where recipes are held against
    files. The bytes are read twice, since Parquet starts at its end: once for digest and page headers, once for rows.
    """
    return row_tables(_rows(stream, source), unit)


def check_parquet(uri: str, source: Source) -> None:
    """Raise SchemaMismatch if the file is Parquet and lacks a column that the source names."""
    with contextlib.closing(GuardedFile(uri)) as handle:
        try:
            schema = pq.ParquetFile(handle).schema_arrow
        except _BROKEN:
            return
        check_columns(schema, uri, source)


def check_columns(schema: pa.Schema, uri: str, source: Source) -> None:
    """Raise SchemaMismatch unless the text column and all columns to keep are there, and the text is a string."""
    text = source.columns.get("text", "text")
    declared = [text, *source.columns.values(), *source.keep_columns]
    for name in declared:
        if name not in schema.names:
            remedy = f"columns = {{ text = {_likeliest(schema)!r} }}" if name == text else "columns or keep_columns"
            raise SchemaMismatch(
                f"{uri}: column {name!r} is missing; the file has {schema.names}. Name the right one in source "
                f"{source.name!r}: {remedy}. Put files with other columns into a source of their own."
            )
    found = schema.field(text).type
    if not _is_text(found):
        raise SchemaMismatch(
            f"{uri}: column {text!r} is {found}, expected a string. Name another one in source {source.name!r}: "
            f"columns = {{ text = {_likeliest(schema)!r} }}."
        )


def _likeliest(schema: pa.Schema) -> str:
    strings = [field.name for field in schema if _is_text(field.type)]
    usual = [name for name in strings if name.lower() in ("content", "raw_content", "body", "document", "article")]
    return str([*usual, *strings, "the column with the text"][0])


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))


def _rows(stream: InputStream, source: Source) -> Iterator[Row]:
    with contextlib.closing(GuardedFile(stream.uri)) as handle:
        try:
            file = pq.ParquetFile(handle)
            schema = file.schema_arrow
            groups = read_groups(handle, len(file.schema))
            names = _needed(schema, source)
            plans = plan_groups(file, groups, names, stream)
            if lists := list_leaves(file, groups, names):
                file = pq.ParquetFile(handle, read_dictionary=lists)
        except _BROKEN as error:
            yield failed(0, 1, "read.not_an_archive", f"the file is no whole Parquet file: {_one_line(error)}")
            return
        if defect := _defect(schema, source, sum(group.num_rows for group in groups)):
            yield defect
            return
        number = 0
        for group, plan in enumerate(plans):
            yield from _group_rows(file, group, plan, range(number, number + groups[group].num_rows), names, source)
            number += groups[group].num_rows


def _defect(schema: pa.Schema, source: Source, num_rows: int) -> Row | None:
    """The row of a file that has no rows that could be read."""
    column = source.columns.get("text", "text")
    if column not in schema.names:
        return failed(0, 1, "read.missing_text", f"the file has no column {column!r}; it has {schema.names}")
    if not _is_text(schema.field(column).type):
        return failed(0, 1, "read.text_type", f"column {column!r} is no string but {schema.field(column).type}")
    if num_rows > _MAX_ROWS:
        return failed(0, 1, "read.not_an_archive", f"the file is no whole Parquet file: it claims {num_rows} rows")
    return None if num_rows else failed(0, 1, "read.no_records", "the file holds no row")


def _group_rows(
    file: pq.ParquetFile, group: int, plan: GroupPlan, numbers: range, names: list[str], source: Source
) -> Iterator[Row]:
    if plan.defect:
        yield failed(numbers.start, 1, plan.defect, f"rows {numbers.start} to {numbers.stop - 1}: {plan.error}")
        return
    number = numbers.start
    batches = file.iter_batches(batch_size=plan.batch_rows, row_groups=[group], columns=names)
    while number < numbers.stop:
        try:
            batch = next(batches, None)
            records = (
                None if batch is None else list(_batch_rows(batch.slice(0, numbers.stop - number), number, source))
            )
        except _BROKEN as error:
            yield failed(
                number, 1, "read.broken", f"rows {number} to {numbers.stop - 1} cannot be read: {_one_line(error)}"
            )
            return
        if records is None:
            error_text = f"rows {number} to {numbers.stop - 1} are declared but not there"
            yield failed(number, 1, "read.broken", error_text)
            return
        yield from records
        number += len(records)


def _batch_rows(batch: pa.RecordBatch, number: int, source: Source) -> Iterator[Row]:
    """The rows of a batch, whose first has this number; those that are too large are not decoded."""
    sizes = row_bytes(batch, min(source.max_record_bytes, BUDGET_BYTES))
    records = batch.to_pylist() if int(sizes.sum()) <= BUDGET_BYTES else None
    for index, num_bytes in enumerate(sizes.tolist()):
        if num_bytes > source.max_record_bytes:
            error = f"the row has {num_bytes} bytes, more than max_record_bytes = {source.max_record_bytes}"
            yield failed(number + index, 1, "read.too_large", error)
        else:
            record = records[index] if records is not None else batch.slice(index, 1).to_pylist()[0]
            yield record_row(record, number + index, 1, source)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _needed(schema: pa.Schema, source: Source) -> list[str]:
    names = [source.columns.get(name, name) for name in _NAMED]  # type: ignore[call-overload]
    return [name for name in dict.fromkeys([*names, *source.keep_columns]) if name in schema.names]
