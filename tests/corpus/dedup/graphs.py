"""Pairs in files, and the members of their components as they should be."""

import numpy as np
import pyarrow as pa

from corpus.dedup.runs import UInt64s, write_by_node
from corpus.dedup.work import Work

Pairs = list[tuple[int, int]]


def work_in(out: str) -> Work:
    """A work folder without units."""
    return Work(out=out, digest="", units=[], num_old=0, config={}, partitions=1)


def write_pairs(work: Work, pairs: UInt64s | Pairs, num_files: int = 3) -> list[str]:
    """Deal pairs out to files; their names."""
    ends = np.array(pairs, np.uint64).reshape(-1, 2)
    names = [f"pairs-{number}.parquet" for number in range(num_files)]
    for number, name in enumerate(names):
        part = ends[number::num_files]
        part = part[np.argsort(part[:, 1], kind="stable")]
        write_by_node(work.file(name), pa.table({"first": part[:, 0], "node": part[:, 1]}), name)
    return names


def chain(num_nodes: int) -> UInt64s:
    """Each node with the next."""
    nodes = np.arange(num_nodes, dtype=np.uint64)
    return np.stack([nodes[:-1], nodes[1:]], axis=1)


def renamed(pairs: UInt64s, seed: int) -> UInt64s:
    """The same graph with other nodes, of two units."""
    names = np.random.default_rng(seed).permutation(int(pairs.max()) + 1).astype(np.uint64)
    mixed: UInt64s = names[pairs] | (names[pairs] % np.uint64(2)) << np.uint64(32)
    return mixed


def expected_members(pairs: Pairs) -> Pairs:
    """(node, least node of its component), by node, of those in components of two or more."""
    component = {node: {node} for pair in pairs for node in pair}
    for first, second in pairs:
        if component[first] is not component[second]:
            component[first] |= component[second]
            component.update(dict.fromkeys(component[second], component[first]))
    return [(node, min(component[node])) for node in sorted(component) if len(component[node]) > 1]
