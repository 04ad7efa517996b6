"""Plain text: one file is one document, plain or packed with gzip, Zstandard or LZ4."""

import io
from collections.abc import Iterator

import pyarrow as pa

from corpus.read.charset import decode_plain
from corpus.read.compression import UnpackedStream
from corpus.read.rows import Row, failed, row_tables
from corpus.read.stream import InputStream
from corpus.recipe import Source
from corpus.units import Unit


def read_text(stream: InputStream, unit: Unit, source: Source) -> Iterator[pa.Table]:
    """One table with schemas.RECORD and one row: offset 0, length the file's bytes.

    Text that is not UTF-8 is decoded by its byte order mark or by detection.
    """
    return row_tables([_row(stream, source.max_record_bytes)], unit)


def _row(stream: InputStream, max_bytes: int) -> Row:
    unpacked = UnpackedStream(stream)
    data = io.BufferedReader(unpacked).read(max_bytes + 1)
    stream.drain()
    length = stream.num_bytes
    if len(data) > max_bytes:
        return failed(0, length, "read.too_large", f"the text has more than max_record_bytes = {max_bytes} bytes")
    if unpacked.broken:
        return failed(0, length, "read.broken", unpacked.broken)
    text = decode_plain(data)
    return Row(0, length, text=text) if text.strip() else Row(0, length, reason="read.empty")
