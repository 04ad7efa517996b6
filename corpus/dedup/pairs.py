"""Pairs of documents that share a key: equal ones by their equality keys, candidates by the bands of their signatures.

Runs of units are collected into few files with one row group for each partition of the keys; a partition is then merged
on its own. A set of n equal keys gives n - 1 pairs (its first document with each other), not n * (n - 1) / 2: the
components are the same, and a page found a million times costs a million.
"""

import numpy as np
import pyarrow as pa

from corpus.dedup.components import forest, stars
from corpus.dedup.keys import KINDS
from corpus.dedup.plan import numbered_task
from corpus.dedup.runs import (
    nodes_of,
    read_nodes,
    read_part,
    rows_of,
    uint32s,
    uint64s,
    write_by_node,
    write_cut,
)
from corpus.dedup.work import TWINS, Work
from manifests.shards import FileEntry, read_table

PAIRS = pa.schema([pa.field("first", pa.uint64(), nullable=False), pa.field("node", pa.uint64(), nullable=False)])


def kinds_of(work: Work) -> list[str]:
    """The kinds of equality that this work looks for."""
    return [kind for kind in KINDS if work.config[kind]]


@numbered_task(Work)
def collect_equal(work: Work, number: int) -> list[FileEntry]:
    """Bring the equality keys of a group of units together, by partition."""
    group = work.groups[number]
    for ordinal in group:
        work.units[ordinal].check()
    rows = {ordinal: work.excluded(ordinal) for ordinal in group}
    return [_collect(work, kind, number, rows) for kind in kinds_of(work)]


@numbered_task(Work)
def pair_equal(work: Work, partition: int) -> list[FileEntry]:
    """Merge one partition of the equality keys of each kind."""
    return [_pair(work, kind, partition, ["high", "low"]) for kind in kinds_of(work)]


@numbered_task(Work)
def collect_bands(work: Work, number: int) -> list[FileEntry]:
    """Bring the bands of a group of units together, by partition; of documents with equal words only the first's."""
    group = work.groups[number]
    rows = {}
    for ordinal in group:
        twins = read_nodes(work.file(TWINS), ordinal << 32, (ordinal + 1) << 32)
        later = uint64s(twins, "node")[uint64s(twins, "component") != uint64s(twins, "node")]
        rows[ordinal] = np.union1d(work.excluded(ordinal), rows_of(later))
    return [_collect(work, "bands", number, rows)]


@numbered_task(Work)
def pair_bands(work: Work, partition: int) -> list[FileEntry]:
    """Merge one partition of the bands."""
    return [_pair(work, "bands", partition, ["key"])]


def pair_files(work: Work, *names: str) -> list[str]:
    """Names of the files of pairs that these runs gave."""
    return [f"{name}-pairs-{partition:05}.parquet" for name in names for partition in range(work.partitions)]


def _collect(work: Work, name: str, number: int, excluded: dict[int, np.ndarray]) -> FileEntry:
    """Write the runs `name` of the units in `excluded`, without the rows given there, as nodes by partition."""
    tables = []
    for ordinal, rows in excluded.items():
        run = read_table(work.unit_file(ordinal, f"{name}.parquet"))
        nodes = pa.array(nodes_of(ordinal, uint32s(run, "row")))
        table = run.drop_columns("row").append_column("node", nodes)
        tables.append(table.filter(pa.array(~np.isin(uint32s(run, "row"), rows))) if len(rows) else table)
    joined = pa.concat_tables(tables)
    file = f"{name}-{number:05}.parquet"
    return write_cut(work.file(file), joined, uint64s(joined, joined.column_names[0]), work.partitions, work.path(file))


def _pair(work: Work, name: str, partition: int, keys: list[str]) -> FileEntry:
    parts = [read_part(work.file(f"{name}-{number:05}.parquet"), partition) for number in range(len(work.groups))]
    table = pa.concat_tables(parts)
    columns = [uint64s(table, key) for key in keys]
    # A stable sort of what is laid out by unit and row: nodes rise within equal keys.
    order = np.argsort(columns[0], kind="stable") if len(keys) == 1 else np.lexsort(columns[::-1])
    found = forest(*stars([column[order] for column in columns], uint64s(table, "node")[order]))
    file = f"{name}-pairs-{partition:05}.parquet"
    return write_by_node(work.file(file), pa.table(list(found), schema=PAIRS), work.path(file))
