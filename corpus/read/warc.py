"""WARC: every record is a row; those that are HTML pages carry their HTML.

Files may be plain, or packed with gzip, Zstandard (also with a dictionary frame) or LZ4. A document is what Common
Crawl takes for its text: a `response` record with HTTP status 200 whose content type is HTML, by the HTTP header or by
`WARC-Identified-Payload-Type`, or by its first bytes where no type is given. Every other record is a row with a reason.

Position of a record: `offset` is the byte in the file where its member starts (its own first byte in a plain file),
`length` the bytes to the next record, so that a range request for these bytes fetches it. In a file that packs several
records into one member (gzip over a whole file), record k of a member has the member's offset plus k and is found by
reading the file from its start; offsets are unique and ascending in every case.

Records are framed by corpus.read.framing and not by fastwarc, which does not tell where a broken or inner record lies,
takes a missing Content-Length for zero and does not notice a file that ends inside a header. The tests hold the two
against each other on real archives.
"""

from collections.abc import Iterator

import pyarrow as pa

from corpus.read.charset import decode_page
from corpus.read.framing import Record, placed_records
from corpus.read.http import EncodingError, TooLargeError, decoded_body, looks_like_html, parse_message
from corpus.read.rows import Row, failed, row_tables
from corpus.read.stream import InputStream
from corpus.recipe import Source
from corpus.units import Unit

HTML_TYPES = ("text/html", "application/xhtml+xml")
# Types that say nothing: the first bytes decide.
_UNKNOWN_TYPES = ("", "unknown", "unknown/unknown", "application/unknown", "application/octet-stream", "*/*")


def read_warc(stream: InputStream, unit: Unit, source: Source) -> Iterator[pa.Table]:
    """Tables with schemas.RECORD, one row per WARC record; `text` is HTML."""
    return row_tables(
        (
            _response_row(offset, length, record, source.max_record_bytes)
            for offset, length, record in placed_records(stream, "response", source.max_record_bytes)
        ),
        unit,
    )


def _response_row(offset: int, length: int, record: Record, max_bytes: int) -> Row:
    row = base_row(offset, length, record)
    if row.reason:
        return row
    message = parse_message(record.block)
    stored_type = _media_type(record.headers.get("content-type", ""))
    if message.status is None:
        if stored_type == "application/http":
            error = "the response does not start with an HTTP status line"
            return failed(offset, length, "read.http_header", error)._replace(url=row.url, date=row.date)
        # Not over HTTP (DNS look-ups, FTP): the record's own type is the document's.
        content_type: str | None = record.headers.get("content-type", "")
    else:
        content_type = message.headers.get("content-type", "")
    if message.status not in (None, 200):
        return row._replace(reason="read.http_status")
    declared = (_media_type(content_type or ""), _media_type(record.headers.get("warc-identified-payload-type", "")))
    if not any(name in HTML_TYPES for name in declared) and not all(name in _UNKNOWN_TYPES for name in declared):
        return row._replace(reason="read.content_type")
    try:
        body = decoded_body(message, max_bytes)
    except TooLargeError as error:
        return row._replace(reason="read.too_large", error=str(error))
    except EncodingError as error:
        return row._replace(reason="read.content_encoding", error=f"the body does not inflate: {error}")
    if not body.strip():
        return row._replace(reason="read.empty")
    if not any(name in HTML_TYPES for name in declared) and not looks_like_html(body):
        return row._replace(reason="read.content_type")
    return row._replace(text=decode_page(body, content_type))


def base_row(offset: int, length: int, record: Record) -> Row:
    """The row without text; with a reason if the record is broken or of another type than wanted."""
    reason = record.defect or (None if record.wanted else "read.record_type")
    return Row(offset, length, record.url, record.date, reason=reason, error=record.error)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
