"""One row per record: what every reader yields, and how rows become tables."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa

from corpus.units import Unit
from manifests.digest import document_id
from manifests.schemas import RECORD

BATCH_BYTES = 16 * 1024 * 1024
BATCH_ROWS = 4096

# Records that are whole but hold no document; their fate is `dropped`.
DROPPED = (
    "read.record_type",  # warcinfo, request, metadata, revisit, resource, continuation ...
    "read.http_status",  # anything but 200, as Common Crawl keeps it
    "read.content_type",  # neither declared nor recognised as HTML
    "read.empty",  # nothing but white space
)
# Records that cannot be read; `error` says why, their fate is `failed`.
FAILED = (
    "read.not_an_archive",  # the file's first bytes are of no known format
    "read.no_records",  # a readable file without any record
    "read.broken",  # here the file stops making sense; what follows is not read
    "read.truncated",  # the file ends inside the record
    "read.too_large",  # more than max_record_bytes, as stored or after inflating
    "read.http_header",  # a response without an HTTP status line
    "read.content_encoding",  # the body does not inflate
    "read.invalid_encoding",  # bytes that are not UTF-8 where the format demands it
    "read.invalid_json",  # a line that is no JSON object
    "read.missing_text",  # no text column, or null
    "read.text_type",  # a text column that is no string
)
DEFECTS = DROPPED + FAILED


class Row(NamedTuple):
    """A record. `offset` and `length` are bytes in the file (or row number and 1); see each reader."""

    offset: int
    length: int
    url: str | None = None
    date: str | None = None
    text: str = ""
    reason: str | None = None
    error: str | None = None
    extra: str | None = None


def failed(offset: int, length: int, defect: str, error: str) -> Row:
    """The row of a record that cannot be read."""
    assert defect in FAILED
    return Row(offset, length, reason=defect, error=clean(error))


def clean(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, which UTF-8 and so Arrow cannot hold."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def row_tables(rows: Iterable[Row], unit: Unit) -> Iterator[pa.Table]:
    """Tables with schemas.RECORD of at most BATCH_ROWS rows, each cut when its strings reach BATCH_BYTES.

    So a table holds less than BATCH_BYTES of text, addresses, dates, errors and kept columns, and one record more.
    """
    pending: list[Row] = []
    num_bytes = 0
    for row in rows:
        pending.append(row)
        num_bytes += sum(_num_bytes(value) for value in (row.text, row.url, row.date, row.error, row.extra) if value)
        if len(pending) >= BATCH_ROWS or num_bytes >= BATCH_BYTES:
            yield _table(pending, unit)
            pending, num_bytes = [], 0
    if pending:
        yield _table(pending, unit)


def _num_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def _table(rows: list[Row], unit: Unit) -> pa.Table:
    columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
    columns["doc_id"] = tuple(document_id(unit.source, unit.file, row.offset) for row in rows)
    columns["source"] = (unit.source,) * len(rows)
    columns["file"] = (unit.file,) * len(rows)
    return pa.Table.from_arrays([pa.array(columns[field.name], field.type) for field in RECORD], schema=RECORD)
