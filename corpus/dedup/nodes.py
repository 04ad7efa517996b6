"""Pairs, nodes and members of components piece by piece, for where they are too many to be copied freely."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from corpus.dedup.runs import NODE_GROUP_ROWS, UInt64s, uint64s
from manifests.shards import FileEntry, TableWriter, open_parquet, read_row_groups, row_groups

Pairs = tuple[UInt64s, UInt64s]

# A row for each document in a component of two or more; a component is named by its least node.
MEMBER_ROWS = pa.schema(
    [pa.field("node", pa.uint64(), nullable=False), pa.field("component", pa.uint64(), nullable=False)]
)

# What `distinct_nodes` holds for each node while it puts new ones among those known.
BYTES_PER_NODE = 16
# Nodes wait until they outnumber this and a 32nd of those known: passing those costs less than finding one among them.
MIN_WAITING_NODES = 1 << 18


def blocks(num_rows: int) -> Iterator[slice]:
    """Slices of NODE_GROUP_ROWS, the last one shorter, that cover so many rows."""
    return (slice(start, start + NODE_GROUP_ROWS) for start in range(0, num_rows, NODE_GROUP_ROWS))


def pair_blocks(uris: Iterable[str]) -> Iterator[Pairs]:
    """(first, node) of each row group of files with these columns, without pairs of a node with itself."""
    for uri in uris:
        for table in row_groups(uri, ["first", "node"]):
            firsts, others = uint64s(table, "first"), uint64s(table, "node")
            differ = firsts != others
            yield firsts[differ], others[differ]


def distinct_nodes(pieces: Iterable[UInt64s], max_nodes: int | None = None) -> UInt64s:
    """All values of the pieces, each once, sorted; stops soon after there are more than max_nodes.

    Holds BYTES_PER_NODE for each distinct value, and beside that about 40 bytes for each value of the largest piece
    and each of MIN_WAITING_NODES.
    """
    nodes = np.zeros(0, np.uint64)
    waiting: list[UInt64s] = []
    num_waiting = 0
    for piece in pieces:
        found = _distinct(np.sort(piece))
        fresh = found[np.searchsorted(nodes, found) == np.searchsorted(nodes, found, "right")]
        waiting.append(fresh)
        num_waiting += len(fresh)
        if num_waiting > max(MIN_WAITING_NODES, len(nodes) // 32):
            nodes, num_waiting = _merge(nodes, waiting), 0
            if max_nodes is not None and len(nodes) > max_nodes:
                return nodes
    return _merge(nodes, waiting)


def _merge(nodes: UInt64s, waiting: list[UInt64s]) -> UInt64s:
    """`nodes` and those that wait, which are others; nothing waits any more."""
    fresh = np.concatenate([nodes[:0], *waiting])
    waiting.clear()
    fresh.sort()
    fresh = _distinct(fresh)
    merged = np.concatenate([nodes, fresh])
    del fresh  # the sort copies the shorter run
    merged.sort(kind="stable")  # Timsort: two sorted runs take one pass
    return merged


def _distinct(nodes: UInt64s) -> UInt64s:
    """Sorted nodes, each once. np.unique (numpy 2.4) hashes them, in 19 times the time for 20 million."""
    first = np.ones(len(nodes), np.bool_)
    np.not_equal(nodes[1:], nodes[:-1], out=first[1:])
    return nodes[first]


def write_members(uri: str, tables: Iterable[pa.Table], path: str) -> FileEntry:
    """Write tables of MEMBER_ROWS that are, one after another, sorted by node; laid out as by `write_by_node`.

    The bytes do not depend on where the rows are cut into tables.
    """
    with TableWriter(uri, MEMBER_ROWS, path=path, cut_each_write=True) as writer:
        waiting = MEMBER_ROWS.empty_table()
        for table in tables:
            waiting = pa.concat_tables([waiting, table])
            while waiting.num_rows >= NODE_GROUP_ROWS:
                writer.write(waiting.slice(0, NODE_GROUP_ROWS))
                waiting = waiting.slice(NODE_GROUP_ROWS)
        if waiting.num_rows:
            writer.write(waiting)
    assert writer.entry is not None
    return writer.entry


def merge_members(uris: Iterable[str]) -> Iterator[pa.Table]:
    """The rows of files of `write_members` as one stream of tables by node; holds a row group of each file."""
    streams = [_reopened(uri) for uri in uris]
    heads = [(next(stream, None), stream) for stream in streams]
    while heads := [(table, stream) for table, stream in heads if table is not None]:
        last = min(uint64s(table, "node")[-1] for table, _ in heads)
        parts, rest = [], []
        for table, stream in heads:
            stop = int(np.searchsorted(uint64s(table, "node"), last, "right"))
            parts.append(table.slice(0, stop))
            rest.append((table.slice(stop) if stop < table.num_rows else next(stream, None), stream))
        yield pa.concat_tables(parts).sort_by("node")
        heads = rest


def _reopened(uri: str) -> Iterator[pa.Table]:
    """The row groups of a file that is opened anew for each: a thousand streams are not a thousand open files."""
    with open_parquet(uri) as file:
        num_groups = file.num_row_groups
    for group in range(num_groups):
        yield read_row_groups(uri, [group])
