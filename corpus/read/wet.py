"""WET: the text that Common Crawl extracted, in `conversion` records of the WARC format.

Positions and packing are as in corpus.read.warc.
"""

from collections.abc import Iterator

import pyarrow as pa

from corpus.read.framing import Record, placed_records
from corpus.read.rows import Row, row_tables
from corpus.read.stream import InputStream
from corpus.read.warc import base_row
from corpus.recipe import Source
from corpus.units import Unit


def read_wet(stream: InputStream, unit: Unit, source: Source) -> Iterator[pa.Table]:
    """Tables with schemas.RECORD, one row per record; bytes that are not UTF-8 become U+FFFD in `text`."""
    records = placed_records(stream, "conversion", source.max_record_bytes)
    return row_tables((_row(offset, length, record) for offset, length, record in records), unit)


def _row(offset: int, length: int, record: Record) -> Row:
    row = base_row(offset, length, record)
    if row.reason:
        return row
    text = record.block.decode("utf-8", "replace")
    return row._replace(text=text) if text.strip() else row._replace(reason="read.empty")
