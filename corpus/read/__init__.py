"""Readers: from the bytes of a unit to tables with schemas.RECORD, one row per record.

No content of a file raises: a record that cannot be read is a row with `error` and `reason`, a file that cannot be read
is one such row. Only a file that cannot be reached raises InputError, and a recipe that names other columns than the
file has raises SchemaMismatch.
"""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from corpus.read.jsonl import check_lines, read_jsonl
from corpus.read.parquet import check_parquet, read_parquet
from corpus.read.rows import DEFECTS, DROPPED, FAILED
from corpus.read.stream import InputStream
from corpus.read.text import read_text
from corpus.read.warc import read_warc
from corpus.read.wet import read_wet
from corpus.recipe import Source
from corpus.units import Unit, unit_of
from manifests.digest import document_id
from manifests.errors import InputError

__all__ = ["DEFECTS", "DROPPED", "FAILED", "READERS", "UnitReader", "check_source", "read_record"]

READERS: dict[str, Callable[[InputStream, Unit, Source], Iterator[pa.Table]]] = {
    "warc": read_warc,
    "wet": read_wet,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "text": read_text,
}


class UnitReader:
    """Iterate it for the tables of a unit (schemas.RECORD; at most rows.BATCH_ROWS rows, about 16 MiB of text each).

    After the iteration `sha256` (64 hex characters) and `num_bytes` are those of the whole file, as it was read.
    Every unit gives at least one row. Raises InputError if the file cannot be reached, SchemaMismatch if a Parquet
    file lacks a column that the recipe names.
    """

    def __init__(self, unit: Unit, source: Source) -> None:
        self.unit = unit
        self.source = source
        self.sha256 = ""
        self.num_bytes = 0

    def __iter__(self) -> Iterator[pa.Table]:
        stream = InputStream(self.unit.uri)
        try:
            yield from READERS[self.source.format](stream, self.unit, self.source)
            stream.drain()
        finally:
            stream.close()
        self.sha256, self.num_bytes = stream.sha256.hexdigest(), stream.num_bytes


def check_source(source: Source, units: Sequence[Unit]) -> None:
    """Open the first unit of a Parquet or JSON lines source; raise SchemaMismatch if the recipe names other columns.

    Of JSON lines the first 100 are looked at: it is enough if one has the text column, or none can be read. A file
    that is no Parquet passes here, since its unit says so in the ledger.
    """
    if not units or source.format not in ("parquet", "jsonl"):
        return
    stream = InputStream(units[0].uri)
    try:
        if source.format == "parquet":
            check_parquet(stream, source)
        else:
            check_lines(stream, source)
    finally:
        stream.close()


def read_record(uri: str, source: Source, offset: int, length: int) -> pa.Table:
    """One row (schemas.RECORD): the record at this offset of this file, read again as UnitReader reads it.

    Where the bytes [offset, offset + length) hold the record alone only they are read, else the file from its start.
    Raises InputError if the file cannot be reached, or no record starts at this offset any more.
    """
    unit = unit_of(source, uri)
    if source.format in ("warc", "wet", "jsonl"):
        row = _read_alone(unit, source, offset, length)
        if row is not None:
            return row
    for table in UnitReader(unit, source):
        found = table.filter(pc.equal(table["offset"], offset))
        if found.num_rows:
            return found.slice(0, 1)
    raise InputError(f"{uri}: no record starts at {offset}. The file is not the one that the corpus was built from.")


def _read_alone(unit: Unit, source: Source, offset: int, length: int) -> pa.Table | None:
    """The record from its own bytes; None if they do not hold exactly one that can be read."""
    stream = InputStream(unit.uri, offset, length)
    try:
        tables = list(READERS[source.format](stream, unit, source))
    finally:
        stream.close()
    table = pa.concat_tables(tables)
    if table.num_rows != 1 or table["error"][0].is_valid or table["offset"][0].as_py() != 0:
        return None
    if source.format == "jsonl" and length != table["length"][0].as_py():
        return None
    columns = {
        "doc_id": pa.array([document_id(unit.source, unit.file, offset)], pa.string()),
        "offset": pa.array([offset], pa.int64()),
        "length": pa.array([length], pa.int64()),
    }
    for name, value in columns.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), value)
    return table
