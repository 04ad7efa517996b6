"""Files that one unit writes and many partitions read, and the other way round.

A run is a Parquet file with one row group per partition of its key (empty ones too, so group p is partition p), sorted
by key inside: the runs of all units are shuffle, resume state and index in one. A partition is a range of keys, all
ranges equally wide. What goes back to units is sorted by node instead, and found through row-group statistics.

A node is one document as a number: its unit's position in the sorted list of units << 32 | its row in the unit.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import IntegrityError
from manifests.shards import FileEntry, TableWriter, open_parquet

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
    """The partition, 0 to num_partitions - 1, of each key; never falls as keys rise."""
    return (((keys >> _HALF) * np.uint64(num_partitions)) >> _HALF).astype(np.int64)


def write_run(
    uri: str, table: pa.Table, partitions: npt.NDArray[np.int64], num_partitions: int, path: str
) -> FileEntry:
    """Write rows that are sorted by partition; `partitions` names that of each row."""
    bounds = np.searchsorted(partitions, np.arange(num_partitions + 1))
    with TableWriter(uri, table.schema, path=path, cut_each_write=True) as writer:
        for partition in range(num_partitions):
            first, last = int(bounds[partition]), int(bounds[partition + 1])
            writer.write(table.slice(first, last - first))
    assert writer.entry is not None
    return writer.entry


def read_run(uri: str, partition: int, num_partitions: int) -> pa.Table:
    """One partition of a run. Raises IntegrityError if the run was cut into another number of partitions."""
    with open_parquet(uri) as file:
        if file.num_row_groups != num_partitions:
            raise IntegrityError(
                f"{uri}: has {file.num_row_groups} partitions, the recipe says {num_partitions}. "
                f"Remove the unit's folder and run the build again."
            )
        return file.read_row_group(partition)


def write_by_node(uri: str, table: pa.Table) -> None:
    """Write a table that is sorted by its uint64 column `node`."""
    with TableWriter(uri, table.schema, cut_each_write=True) as writer:
        for start in range(0, table.num_rows, NODE_GROUP_ROWS):
            writer.write(table.slice(start, NODE_GROUP_ROWS))


def read_unit(uri: str, ordinal: int) -> pa.Table:
    """The rows of one unit from a file of `write_by_node`; touches only row groups that can hold them."""
    first, last = ordinal << 32, (ordinal + 1) << 32
    with open_parquet(uri) as file:
        column = file.schema_arrow.get_field_index("node")
        groups = []
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(column).statistics
            if statistics.min < last and statistics.max >= first:
                groups.append(group)
        table = file.read_row_groups(groups) if groups else file.schema_arrow.empty_table()
    nodes = uint64s(table, "node")
    start, stop = np.searchsorted(nodes, np.array([first, last], np.uint64)).tolist()
    return table.slice(start, stop - start)


def uint64s(table: pa.Table, name: str) -> UInt64s:
    """A uint64 column as an array."""
    values: UInt64s = table[name].to_numpy()
    return values


def uint32s(table: pa.Table, name: str) -> UInt32s:
    """A uint32 column as an array."""
    values: UInt32s = table[name].to_numpy()
    return values
