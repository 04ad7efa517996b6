"""Connected components in rounds over partitions of the nodes, for more nodes than one process should hold.

Alternating large-star and small-star (Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii 2014, "Connected
Components in MapReduce and Beyond"; rounds conjectured there: O(log(num_nodes))). The edges of a node come together
in its partition, where a star links some neighbours with the least of them instead. A round that changes nothing
leaves each component as one star on its least node.

A task holds the nodes of its partition and the least neighbour of each, never its edges: a component of half of all
documents, whose edges all meet in one partition, takes no more memory than any other. There are never more edges than
pairs at first, and in the end fewer than nodes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, pairwise

import numpy as np
import pyarrow as pa

from corpus.dedup.nodes import MEMBER_ROWS, Pairs, blocks, distinct_nodes, merge_members, pair_blocks, write_members
from corpus.dedup.plan import Item, RunMap, Task
from corpus.dedup.runs import UInt64s, partition_of, uint64s
from corpus.dedup.work import Work
from manifests.shards import FileEntry, TableWriter, join, open_parquet, remove

EDGES = pa.schema([pa.field("node", pa.uint64(), nullable=False), pa.field("neighbour", pa.uint64(), nullable=False)])
# Edges that are sorted by partition and written together: row groups of a thousand where there are four thousand
# partitions, and about 400 MB while they are sorted.
BLOCK_EDGES = 1 << 22
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: partitions get equally many nodes, also of one unit


def connect_in_rounds(
    work: Work, target: str, pair_files: list[str], run_map: RunMap, num_partitions: int
) -> FileEntry:
    """Write the members of components, as corpus.dedup.components.connect does.

    Each task holds BYTES_PER_NODE for each node of its partition, over which nodes are spread evenly, and a block of
    edges. The file does not depend on the number of partitions, nor on where and in which order tasks run.
    """
    rounds = _Rounds(work.file(""), run_map, num_partitions)
    rounds.send(pair_files)
    for number in count(1):
        large_changed = rounds.replace(large_star, f"large-{number}")
        small_changed = rounds.replace(small_star, f"small-{number}")
        if not (large_changed or small_changed):
            break
    rounds.replace(label_nodes, "labels")
    entry = write_members(work.file(target), merge_members(rounds.uris()), work.path(target))
    rounds.remove()
    return entry


class _Rounds:
    """The edges of the moment in their files, and the maps that write others in their place."""

    def __init__(self, folder: str, run_map: RunMap, num_partitions: int) -> None:
        self.folder, self.run_map, self.num_partitions = folder, run_map, num_partitions
        self.source, self.num_sources = "edges", 0

    def send(self, pair_files: list[str]) -> None:
        """Begin with the edges of these pairs."""
        self.num_sources = len(pair_files)
        items = [{"pairs": name, "target": _file("edges", number)} for number, name in enumerate(pair_files)]
        self._run(send_pairs, items)

    def replace(self, task: Task, target: str) -> bool:
        """Run a task over all partitions; True if one changed something. The files that it read are removed."""
        items = [{"partition": number, "target": _file(target, number)} for number in range(self.num_partitions)]
        results = self._run(task, items)
        self.remove()
        self.source, self.num_sources = target, self.num_partitions
        return any(result["changed"] for result in results)

    def uris(self) -> list[str]:
        """Where the files of the moment lie."""
        return [join(self.folder, _file(self.source, number)) for number in range(self.num_sources)]

    def remove(self) -> None:
        """Remove the files of the moment."""
        for uri in self.uris():
            remove(uri)

    def _run(self, task: Task, items: list[Item]) -> list[Item]:
        each = {"folder": self.folder, "num_partitions": self.num_partitions}
        each |= {"source": self.source, "num_sources": self.num_sources}
        return list(self.run_map(task, [{**each, **item} for item in items]))


def send_pairs(item: Item) -> Item:
    """Write a file of pairs as edges in both directions. item: `folder`, `pairs`, `num_partitions`, `target`."""
    with _writing(item) as edges:
        for firsts, others in pair_blocks([join(item["folder"], item["pairs"])]):
            edges.add_both_ways(firsts, others)
    return {}


def large_star(item: Item) -> Item:
    """Link each neighbour that is greater than its node with the least of the node and its neighbours.

    item: `folder`, `partition`, `num_partitions`, `source` and `num_sources` (files of edges in both directions),
    `target`. Writes edges from the greater to the lesser node alone. Returns `changed`: some edge is not as it was.
    """
    nodes, least = _least_neighbours(item)
    changed = False
    with _writing(item) as edges:
        for node, neighbour in _edges_of(item):
            greater = neighbour > node
            centres = least[np.searchsorted(nodes, node[greater])]
            edges.add(neighbour[greater], centres)
            changed |= not np.array_equal(centres, node[greater])
    return {"changed": changed}


def small_star(item: Item) -> Item:
    """Link each node, and its neighbours, with the least of these neighbours.

    item: as for `large_star`, but its edges go from the greater to the lesser node alone, and those written in both
    directions. Returns `changed`.
    """
    nodes, least = _least_neighbours(item)
    changed = False
    with _writing(item) as edges:
        for block in blocks(len(nodes)):
            edges.add_both_ways(nodes[block], least[block])
        for node, neighbour in _edges_of(item):
            centres = least[np.searchsorted(nodes, node)]
            others = neighbour != centres
            edges.add_both_ways(neighbour[others], centres[others])
            changed |= bool(others.any())
    return {"changed": changed}


def label_nodes(item: Item) -> Item:
    """Write the partition's members, by node.

    item: as for `large_star`; its edges are those that a round without changes left. Returns `changed`, false.
    """
    nodes, least = _least_neighbours(item)
    tables = (pa.table([nodes[block], least[block]], schema=MEMBER_ROWS) for block in blocks(len(nodes)))
    write_members(join(item["folder"], item["target"]), tables, item["target"])
    return {"changed": False}


def _least_neighbours(item: Item) -> Pairs:
    """The partition's nodes, sorted, and for each the least of it and its neighbours."""
    nodes = distinct_nodes(node for node, _ in _edges_of(item))
    least = nodes.copy()
    for node, neighbour in _edges_of(item):
        np.minimum.at(least, np.searchsorted(nodes, node), neighbour)
    return nodes, least


def _edges_of(item: Item) -> Iterator[Pairs]:
    """(nodes, neighbours) of the partition, a row group at a time. Raises IntegrityError where a file is damaged."""
    for number in range(item["num_sources"]):
        with open_parquet(join(item["folder"], _file(item["source"], number))) as file:
            for group in range(item["partition"], file.num_row_groups, item["num_partitions"]):
                table = file.read_row_group(group)
                yield uint64s(table, "node"), uint64s(table, "neighbour")


def _file(name: str, number: int) -> str:
    return f"{name}-{number:05}.parquet"


class _Edges:
    """Takes edges and writes them in blocks, each as a row group for every partition of their nodes."""

    def __init__(self, writer: TableWriter, num_partitions: int) -> None:
        self._writer, self._num_partitions = writer, num_partitions
        self._waiting: list[Pairs] = []
        self._num_waiting = 0

    def add(self, nodes: UInt64s, neighbours: UInt64s) -> None:
        """Edges from nodes[i] to neighbours[i], for the partition of nodes[i]."""
        self._waiting.append((nodes, neighbours))
        self._num_waiting += len(nodes)
        if self._num_waiting >= BLOCK_EDGES:
            self.flush()

    def add_both_ways(self, nodes: UInt64s, neighbours: UInt64s) -> None:
        """The same, and those back."""
        self.add(nodes, neighbours)
        self.add(neighbours, nodes)

    def flush(self) -> None:
        """Write what waits."""
        if not self._num_waiting:
            return
        nodes, neighbours = (np.concatenate(ends) for ends in zip(*self._waiting, strict=True))
        self._waiting, self._num_waiting = [], 0
        partitions = partition_of(nodes * _SPREAD, self._num_partitions)
        order = np.lexsort([nodes, partitions])
        table = pa.table([nodes[order], neighbours[order]], schema=EDGES)
        bounds = np.searchsorted(partitions[order], np.arange(self._num_partitions + 1)).tolist()
        for first, last in pairwise(bounds):
            self._writer.write(table.slice(first, last - first))


@contextmanager
def _writing(item: Item) -> Iterator[_Edges]:
    """Edges for the item's target."""
    with TableWriter(join(item["folder"], item["target"]), EDGES, cut_each_write=True) as writer:
        edges = _Edges(writer, item["num_partitions"])
        yield edges
        edges.flush()
