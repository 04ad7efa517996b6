"""Parquet: one row is one record; `offset` is the row's number in the file, `length` is 1.

Row groups are streamed, so memory does not grow with the file, only with a row group's columns.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.read.jsonl import record_row
from corpus.read.rows import Row, failed, row_tables
from corpus.read.stream import GuardedFile, InputStream
from corpus.recipe import Source
from corpus.units import Unit
from manifests.errors import SchemaMismatch

_BATCH_ROWS = 64
_NAMED = ("text", "id", "url", "date", "language")


def read_parquet(stream: InputStream, unit: Unit, source: Source) -> Iterator[pa.Table]:
    """Tables with schemas.RECORD, one row per row.

    Raises SchemaMismatch if the text column is missing or is no string. The file's digest needs a pass of its own
    over the bytes, since Parquet is read from its end.
    """
    stream.drain()
    return row_tables(_rows(stream, source), unit)


def check_parquet(stream: InputStream, source: Source) -> None:
    """Raise SchemaMismatch if the file is Parquet and lacks a column that the source names."""
    with contextlib.closing(GuardedFile(stream.uri)) as handle:
        try:
            schema = pq.ParquetFile(handle).schema_arrow
        except (pa.ArrowException, OSError):
            return
        check_columns(schema, stream.uri, source)


def check_columns(schema: pa.Schema, uri: str, source: Source) -> None:
    """Raise SchemaMismatch unless the text column and all columns to keep are there, and the text is a string."""
    text = source.columns.get("text", "text")
    declared = [text, *source.columns.values(), *source.keep_columns]
    for name in declared:
        if name not in schema.names:
            remedy = f"columns = {{ text = {_likeliest(schema)!r} }}" if name == text else "columns or keep_columns"
            raise SchemaMismatch(
                f"{uri}: column {name!r} is missing; the file has {schema.names}. Name the right one in source "
                f"{source.name!r}: {remedy}."
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
    number = 0
    with contextlib.closing(GuardedFile(stream.uri)) as handle:
        try:
            file = pq.ParquetFile(handle)
        except (pa.ArrowException, OSError) as error:
            yield failed(0, 1, "read.not_an_archive", f"the file is no whole Parquet file: {error}")
            return
        check_columns(file.schema_arrow, stream.uri, source)
        batches = file.iter_batches(batch_size=_BATCH_ROWS, columns=_needed(file.schema_arrow, source))
        while True:
            try:
                batch = next(batches, None)
                records = batch.to_pylist() if batch is not None else []
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                yield failed(number, 1, "read.broken", f"row {number} and what follows cannot be read: {error}")
                return
            if batch is None:
                break
            for record in records:
                yield _row(record, number, source)
                number += 1
    if not number:
        yield failed(0, 1, "read.no_records", "the file holds no row")


def _needed(schema: pa.Schema, source: Source) -> list[str]:
    names = [source.columns.get(name, name) for name in _NAMED]  # type: ignore[call-overload]
    return [name for name in dict.fromkeys([*names, *source.keep_columns]) if name in schema.names]


def _row(record: dict[str, Any], number: int, source: Source) -> Row:
    text = record.get(source.columns.get("text", "text"))
    if text is not None and len(text) * 4 > source.max_record_bytes:
        num_bytes = len(text.encode("utf-8"))
        if num_bytes > source.max_record_bytes:
            error = f"the text has {num_bytes} bytes, more than max_record_bytes = {source.max_record_bytes}"
            return failed(number, 1, "read.too_large", error)
    return record_row(record, number, 1, source)
