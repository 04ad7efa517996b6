"""Files that many partitions read part by part, and the other way round.

A cut file is a Parquet file with one row group per partition of its key (empty ones too, so group p is partition p). A
partition is a range of keys, all ranges equally wide. What goes back to units is sorted by node instead, and found
through row-group statistics.

A node is one document as a number: its unit's position in the list of units << 32 | its row in the unit.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.shards import FileEntry, TableWriter, open_parquet, read_row_groups

UInt64s = npt.NDArray[np.uint64]
UInt32s = npt.NDArray[np.uint32]

NODE_GROUP_ROWS = 1 << 16
_HALF = np.uint64(32)


def nodes_of(ordinal: int, rows: UInt32s) -> UInt64s:
    """Nodes of a unit's rows."""
    return rows.astype(np.uint64) | np.uint64(ordinal << 32)


def rows_of(nodes: UInt64s) -> UInt32s:
    """Rows in their units."""
    return nodes.astype(np.uint32)


def partition_of(keys: UInt64s, num_partitions: int) -> npt.NDArray[np.int64]:
    """The partition, 0 to num_partitions - 1 (at most 65,535), of each key; never falls as keys rise."""
    return (((keys >> _HALF) * np.uint64(num_partitions)) >> _HALF).astype(np.int64)


def write_cut(uri: str, table: pa.Table, keys: UInt64s, num_partitions: int, path: str) -> FileEntry:
    """Write rows by the partition of their keys, in their order inside each."""
    partitions = partition_of(keys, num_partitions).astype(np.uint16)  # numpy sorts these by radix
    order = np.argsort(partitions, kind="stable")
    bounds = np.searchsorted(partitions[order], np.arange(num_partitions + 1))
    with TableWriter(uri, table.schema, path=path, cut_each_write=True) as writer:
        for partition in range(num_partitions):
            rows = order[bounds[partition] : bounds[partition + 1]]
            writer.write(table.take(pa.array(rows)))
    assert writer.entry is not None
    return writer.entry


def read_part(uri: str, partition: int) -> pa.Table:
    """One partition of a cut file."""
    return read_row_groups(uri, [partition])


def write_by_node(uri: str, table: pa.Table, path: str) -> FileEntry:
    """Write a table that is sorted by its uint64 column `node`."""
    with TableWriter(uri, table.schema, path=path, cut_each_write=True) as writer:
        for start in range(0, table.num_rows, NODE_GROUP_ROWS):
            writer.write(table.slice(start, NODE_GROUP_ROWS))
    assert writer.entry is not None
    return writer.entry


def read_nodes(uri: str, first: int, stop: int) -> pa.Table:
    """The rows with first <= node < stop of a file of `write_by_node`; touches only row groups that can hold them."""
    with open_parquet(uri) as file:
        column = file.schema_arrow.get_field_index("node")
        groups = []
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(column).statistics
            if statistics.min < stop and statistics.max >= first:
                groups.append(group)
    table = read_row_groups(uri, groups)
    start, end = np.searchsorted(uint64s(table, "node"), np.array([first, stop], np.uint64)).tolist()
    return table.slice(start, end - start)


def uint64s(table: pa.Table, name: str) -> UInt64s:
    """A uint64 column as an array."""
    values: UInt64s = table[name].to_numpy()
    return values


def uint32s(table: pa.Table, name: str) -> UInt32s:
    """A uint32 column as an array."""
    values: UInt32s = table[name].to_numpy()
    return values
