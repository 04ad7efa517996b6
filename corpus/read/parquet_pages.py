"""How much memory a Parquet file would take, told from its page headers before any page is unpacked.

Unpacking multiplies in two places. A page of repeated bytes packs a thousand to one and more. And a value that a page
holds once, in a dictionary or as the beginning of the values after it, is written out for every row of a batch: a file
of 1,053 bytes with 64 rows of one text took 3.7 GB. The footer tells neither, and what it says of sizes need not be
true; what a page's own header says is what the page unpacks to. Headers are read on the one pass over the file that its
digest needs anyway.

Not bounded: one row of a column of lists with a DELTA encoding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.read.stream import BLOCK_BYTES, GuardedFile, InputStream
from corpus.read.thrift import CompactReader

MAX_BATCH_ROWS = 64
# Values of one batch and column; whatever is larger is read row by row. pyarrow writes 1,024 rows a page and so
# dictionaries of some MiB: with half of this, reading them takes a fifth longer.
BUDGET_BYTES = 128 * 1024 * 1024
# Text packs 2 to 10 times. Larger pages that pack more are refused: honest writers end a page at about 1 MiB.
_MAX_RATIO = 100
_MAX_LIST_VALUES = 1 << 24
_HEADER_BYTES = (512, 64 * 1024, 1024 * 1024)

_DICTIONARY_PAGE = 2
# Where a header holds what it says of a data page of the first and of the second version: field, and in it encoding.
_DATA_PAGES = {0: (5, 2), 3: (8, 4)}
_DELTA_BYTE_ARRAY = 7
_DELTA = {5, 6, _DELTA_BYTE_ARRAY}


@dataclass
class GroupPlan:
    """How to read a row group: rows at a time, 1 to MAX_BATCH_ROWS; or why not to (a defect of read.rows)."""

    batch_rows: int = MAX_BATCH_ROWS
    defect: str | None = None
    error: str = ""


@dataclass(frozen=True)
class Chunk:
    """One column of one row group as the footer tells it: where its first page starts, and how far its pages go."""

    start: int
    num_bytes: int
    num_values: int
    encodings: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """One row group: its number of rows, and its columns in the order of the file's leaves."""

    num_rows: int
    chunks: list[Chunk]


@dataclass
class _Pages:
    """Sizes in one column chunk, in bytes as unpacked, of pages with the values themselves and of those to multiply."""

    data: int = 0
    multiplied: int = 0
    min_values: int = MAX_BATCH_ROWS  # of all data pages but the last
    max_values: int = 0
    num_values: int = 0
    last_values: int | None = None


class _PageError(Exception):
    """A row group that cannot or must not be read: args are defect and error."""


def read_groups(handle: GuardedFile, num_leaves: int) -> list[Group]:
    """The row groups by the file's footer, each with this number of columns; OSError where it makes no sense."""
    end = handle.seek(0, 2) - 8
    handle.seek(max(0, end))
    size = int.from_bytes(handle.read(4), "little")
    handle.seek(max(0, end - size))
    try:
        groups = [
            Group(int(group[3]), [_chunk(column[3]) for column in group[1]])
            for group in CompactReader(handle.read(size)).struct().get(4, [])
        ]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise OSError(f"the footer makes no sense: {error!r}") from error
    if any(len(group.chunks) != num_leaves or group.num_rows < 0 for group in groups):
        raise OSError("the footer's row groups are not what its schema says")
    return groups


def _chunk(column: dict[int, Any]) -> Chunk:
    """Out of ColumnMetaData: 2 encodings, 5 values, 7 bytes, 9 first data page, 11 dictionary page if there is one."""
    first, dictionary = int(column[9]), int(column.get(11, 0))
    start = min(first, dictionary) if dictionary > 0 else first
    return Chunk(start, int(column[7]), int(column[5]), tuple(int(encoding) for encoding in column[2]))


def plan_groups(
    file: pq.ParquetFile, groups: Sequence[Group], names: Sequence[str], stream: InputStream
) -> list[GroupPlan]:
    """One plan for each row group, for reading these columns; takes bytes from `stream`, which is at its start.

    A row group is refused with `read.too_large` for a page that unpacks to more than BUDGET_BYTES and more than a
    hundredfold, with `read.broken` for pages that cannot be found.
    """
    plans = [GroupPlan() for _ in groups]
    leaves = [leaf for leaf in range(len(file.schema)) if _is_needed(file.schema.column(leaf).path, names)]
    chunks = [(groups[group].chunks[leaf], group, leaf) for group in range(len(groups)) for leaf in leaves]
    dictionaries = _dictionaries(file, groups, names)
    forward = _Forward(stream)
    for chunk, group, leaf in sorted(chunks, key=lambda item: (item[0].start, item[1:])):
        plan = plans[group]
        column = file.schema.column(leaf)
        try:
            pages = _scan(forward, chunk)
            if column.max_repetition_level and pages.max_values > _MAX_LIST_VALUES:
                raise _PageError("read.too_large", f"a page holds {pages.max_values} values of lists")
        except _PageError as error:
            if plan.defect is None:
                plan.defect, plan.error = error.args[0], f"column {column.path!r}: {error.args[1]}"
            continue
        if column.physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):
            shared = column.path in dictionaries
            plan.batch_rows = min(plan.batch_rows, _batch_rows(pages, column.max_repetition_level > 0, shared))
    return plans


def list_leaves(file: pq.ParquetFile, groups: Sequence[Group], names: Sequence[str]) -> list[str]:
    """Paths of the columns of strings in lists: to be read as dictionaries, since one row may repeat a value often.

    Arrow cannot do so where pages have one of the DELTA encodings.
    """
    paths = []
    for leaf in range(len(file.schema)):
        column = file.schema.column(leaf)
        if (
            not column.max_repetition_level
            or column.physical_type != "BYTE_ARRAY"
            or not _is_needed(column.path, names)
        ):
            continue
        encodings = {encoding for group in groups for encoding in group.chunks[leaf].encodings}
        if not encodings & _DELTA:
            paths.append(column.path)
    return paths


def _dictionaries(file: pq.ParquetFile, groups: Sequence[Group], names: Sequence[str]) -> set[str]:
    """Paths of the columns of which Arrow keeps each value once: those above, and those written from dictionaries."""
    schema = file.schema_arrow
    return {*list_leaves(file, groups, names), *(field.name for field in schema if pa.types.is_dictionary(field.type))}


def _is_needed(path: str, names: Sequence[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in names)


def _batch_rows(pages: _Pages, in_lists: bool, shared: bool) -> int:
    """Rows whose values stay below BUDGET_BYTES: no value is larger than its page, few pages hold many rows."""
    multiplied = 0 if shared else pages.multiplied
    by_value = BUDGET_BYTES // multiplied if multiplied else MAX_BATCH_ROWS
    by_page = BUDGET_BYTES // pages.data if pages.data else MAX_BATCH_ROWS
    if not in_lists:
        by_page = max(by_page, pages.min_values)
    return max(1, min(by_value, by_page, MAX_BATCH_ROWS))


def _scan(forward: "_Forward", chunk: Chunk) -> _Pages:
    pages = _Pages()
    position = chunk.start
    end = position + chunk.num_bytes
    while position < end and pages.num_values < chunk.num_values:
        header, num_bytes = forward.header(position)
        kind, unpacked, packed = (_count_in(header, number) for number in (1, 2, 3))
        if unpacked > max(BUDGET_BYTES, _MAX_RATIO * packed):
            raise _PageError("read.too_large", f"the page at byte {position} unpacks from {packed} to {unpacked} bytes")
        _count(pages, kind, unpacked, header)
        position += num_bytes + packed
    return pages


def _count(pages: _Pages, kind: int, unpacked: int, header: dict[int, Any]) -> None:
    if kind == _DICTIONARY_PAGE:
        pages.multiplied = max(pages.multiplied, unpacked)
    if kind not in _DATA_PAGES:
        return
    name, encoding = _DATA_PAGES[kind]
    facts = header.get(name)
    if not isinstance(facts, dict):
        raise _PageError("read.broken", "a data page does not say what it holds")
    num_values = _count_in(facts, 1)
    pages.data = max(pages.data, unpacked)
    if facts.get(encoding) == _DELTA_BYTE_ARRAY:
        pages.multiplied = max(pages.multiplied, unpacked)
    if pages.last_values is not None:
        pages.min_values = min(pages.min_values, pages.last_values)
    pages.last_values = num_values
    pages.max_values = max(pages.max_values, num_values)
    pages.num_values += num_values


def _count_in(fields: dict[int, Any], number: int) -> int:
    value = fields.get(number)
    if not isinstance(value, int) or value < 0:
        raise _PageError("read.broken", f"field {number} of a page header is {value!r}")
    return value


class _Forward:
    """Parts of a stream by position, each at or after the one before."""

    def __init__(self, stream: InputStream) -> None:
        self._stream = stream
        self._data = b""
        self._start = 0

    def header(self, position: int) -> tuple[dict[int, Any], int]:
        """The fields of the page header there by number, and its bytes."""
        for size in _HEADER_BYTES:
            reader = CompactReader(self._at(position, size))
            try:
                return reader.struct(), reader.position
            except IndexError:
                continue
            except ValueError as error:
                raise _PageError("read.broken", f"the page header at byte {position} makes no sense: {error}") from None
        raise _PageError("read.broken", f"the page header at byte {position} does not end")

    def _at(self, position: int, size: int) -> bytes:
        if position < self._start:
            raise _PageError("read.broken", f"the page at byte {position} lies inside another column")
        while position + size > self._start + len(self._data):
            block = self._stream.read(BLOCK_BYTES)
            if not block:
                break
            kept = self._data[position - self._start :]
            self._start += len(self._data) - len(kept)
            self._data = kept + block
        begin = position - self._start
        return self._data[begin : begin + size]
