"""Readers: from the bytes of a unit to tables with schemas.RECORD, one row per record.

No content of a file raises: a record that cannot be read is a row with `error` and `reason`, a file that cannot be read
is one such row. Only a file that cannot be reached raises InputError, and a recipe that names other columns than its
files have raises SchemaMismatch in `check_source`, before anything is read.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

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

__all__ = ["CHECKED_UNITS", "DEFECTS", "DROPPED", "FAILED", "READERS", "UnitReader", "check_source", "read_record"]

READERS: dict[str, Callable[[InputStream, Unit, Source], Iterator[pa.Table]]] = {
    "warc": read_warc,
    "wet": read_wet,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "text": read_text,
}

CHECKED_UNITS = 1000
_CHECKING_THREADS = 16


class UnitReader:
    """Iterate it for the tables of a unit (schemas.RECORD; at most rows.BATCH_ROWS rows, about 16 MiB each).

    After the iteration `sha256` (64 hex characters) and `num_bytes` are those of the whole file, as it was read.
    Every unit gives at least one row. Raises InputError if the file cannot be reached.
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
    """Hold a source's columns against its files; raise SchemaMismatch, naming the file, if the recipe names others.

    Of Parquet the footers of the first CHECKED_UNITS units are read; a file that is no Parquet passes here, since its
    unit says so in the ledger. Of JSON lines the first 100 of the first unit are looked at: it is enough if one has the
    text column, or none can be read.
    """
    if source.format == "parquet":
        # Remote footers take a few round trips each; the first bad file in order is named whatever comes back first.
        with ThreadPoolExecutor(_CHECKING_THREADS) as pool:
            for _ in pool.map(lambda unit: check_parquet(unit.uri, source), units[:CHECKED_UNITS]):
                pass
    elif source.format == "jsonl" and units:
        with contextlib.closing(InputStream(units[0].uri)) as stream:
            check_lines(stream, source)


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
