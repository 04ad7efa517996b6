"""JSON lines: one object a line, plain or packed with gzip, Zstandard or LZ4.

Lines end at the line feed alone: other line separators of Unicode belong to the text. Blank lines are no records.
`offset` is the position of the line in the unpacked bytes, `length` its bytes without the line end.
"""

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from corpus.read.compression import UnpackedStream
from corpus.read.rows import Row, clean, failed, row_tables
from corpus.read.stream import InputStream
from corpus.recipe import Source
from corpus.units import Unit
from manifests.digest import canonical_json
from manifests.errors import SchemaMismatch

_SKIP_BYTES = 1 << 20
_CHECKED_LINES = 100


def read_jsonl(stream: InputStream, unit: Unit, source: Source) -> Iterator[pa.Table]:
    """Tables with schemas.RECORD, one row per line that is not blank."""
    return row_tables(_rows(stream, source), unit)


def _rows(stream: InputStream, source: Source) -> Iterator[Row]:
    unpacked = UnpackedStream(stream)
    lines = io.BufferedReader(unpacked, 1 << 18)
    position, num_rows = 0, 0
    while line := lines.readline(source.max_record_bytes + 1):
        offset, length = position, len(line.rstrip(b"\r\n"))
        position += len(line)
        too_large = length > source.max_record_bytes
        if too_large:
            position += _skip_line(lines)
            length = position - offset
        if not line.strip():
            continue
        num_rows += 1
        if unpacked.broken and not line.endswith(b"\n"):
            yield failed(offset, length, "read.truncated", unpacked.broken)
            return
        if too_large:
            error = f"the line has {length} bytes, more than max_record_bytes = {source.max_record_bytes}"
            yield failed(offset, length, "read.too_large", error)
        else:
            yield line_row(line, offset, length, source)
    if unpacked.broken:
        yield failed(position, 0, "read.broken", unpacked.broken)
    elif not num_rows:
        yield failed(0, 0, "read.no_records", "the file holds no line")


def check_lines(stream: InputStream, source: Source) -> None:
    """Raise SchemaMismatch if the first lines can be read and none of them has the text column."""
    column = source.columns.get("text", "text")
    lines = io.BufferedReader(UnpackedStream(stream))
    names: dict[str, None] = {}
    for _ in range(_CHECKED_LINES):
        line = lines.readline(_SKIP_BYTES)
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(line.decode("utf-8"))
            names.update(dict.fromkeys(record if isinstance(record, dict) else ()))
    if names and column not in names:
        raise SchemaMismatch(
            f"{stream.uri}: none of the first {_CHECKED_LINES} lines has {column!r}; they have {list(names)}. Name the "
            f'right one in source {source.name!r}: columns = {{ text = "..." }}.'
        )


def _skip_line(lines: "io.BufferedReader[UnpackedStream]") -> int:
    """Skip past the end of the line; returns the number of bytes skipped."""
    num_bytes = 0
    while part := lines.readline(_SKIP_BYTES):
        num_bytes += len(part)
        if part.endswith(b"\n"):
            break
    return num_bytes


def line_row(line: bytes, offset: int, length: int, source: Source) -> Row:
    """The row of one line."""
    try:
        record = json.loads(line.decode("utf-8-sig" if offset == 0 else "utf-8"))
    except UnicodeDecodeError as error:
        return failed(offset, length, "read.invalid_encoding", f"the line is not UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        return failed(offset, length, "read.invalid_json", f"the line is no JSON: {error.msg} at character {error.pos}")
    except RecursionError:
        return failed(offset, length, "read.invalid_json", "the line nests too deep")
    except ValueError as error:  # integers of more than 4,300 digits
        return failed(offset, length, "read.invalid_json", f"the line holds a value that cannot be read: {error}")
    if not isinstance(record, dict):
        return failed(offset, length, "read.invalid_json", f"the line is no object but {type(record).__name__}")
    return record_row(record, offset, length, source)


def record_row(record: dict[str, Any], offset: int, length: int, source: Source) -> Row:
    """The row of one record of named values, as JSON lines and Parquet give them."""
    column = source.columns.get("text", "text")
    text = record.get(column)
    row = Row(
        offset, length, _string(record, "url", source), _string(record, "date", source), extra=_extra(record, source)
    )
    if text is None:
        return row._replace(reason="read.missing_text", error=f"the record has no {column!r}")
    if not isinstance(text, str):
        return row._replace(reason="read.text_type", error=f"{column!r} is no string but {type(text).__name__}")
    return row._replace(text=clean(text)) if text.strip() else row._replace(reason="read.empty")


def _string(record: dict[str, Any], name: Any, source: Source) -> str | None:
    value = record.get(source.columns.get(name, name))
    return None if value is None else clean(str(value))


def _extra(record: dict[str, Any], source: Source) -> str | None:
    """The record's id and language, and the columns to keep, as one JSON object; None if there are none."""
    values = {name: record.get(name) for name in source.keep_columns}
    for name in ("id", "language"):
        column = source.columns.get(name, name)
        values[name] = record.get(column)
    values = {name: value for name, value in values.items() if value is not None}
    if not values:
        return None
    try:
        return clean(canonical_json(values))
    except (TypeError, ValueError):  # NaN, and Parquet's dates and bytes, which JSON cannot hold
        return clean(canonical_json({name: str(value) for name, value in values.items()}))
