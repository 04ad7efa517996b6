"""Components of pairs, in memory."""

import numpy as np
import pyarrow as pa

from corpus.dedup.components import Components
from corpus.dedup.runs import uint64s, write_by_node
from corpus.dedup.work import Work
from manifests.shards import FileEntry, read_table


def connect(work: Work, name: str, files: list[str], run_map: object) -> FileEntry:
    """Write node and component of each document in a pair."""
    components = Components()
    for file in files:
        table = read_table(work.file(file))
        components.add(uint64s(table, "first"), uint64s(table, "node"))
    roots, others = components.stars()
    first = np.unique(roots)
    nodes, least = np.concatenate([first, others]), np.concatenate([first, roots])
    order = np.argsort(nodes)
    return write_by_node(work.file(name), pa.table({"node": nodes[order], "component": least[order]}), name)
