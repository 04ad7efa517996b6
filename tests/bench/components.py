"""Connected components: memory and time in one process, in rounds, and by scipy, each in a process of its own.

Run with `python -m tests.bench.components`. The graph: paths of 1,000 nodes, each pair in two of four files, as
near-duplicates share several bands. Bytes are what the process grew by at its peak, for each node.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from corpus.dedup.components import connect
from corpus.dedup.nodes import BYTES_PER_NODE
from corpus.dedup.work import MEMBERS, Work
from manifests.shards import read_table
from tests.corpus.dedup.corpora import in_order
from tests.corpus.dedup.graphs import work_in, write_pairs

NUM_NODES, PATH_NODES, NUM_FILES, NUM_PARTITIONS = 8_000_000, 1000, 4, 8


def _write(work: Work) -> None:
    nodes = np.random.default_rng(1).permutation(NUM_NODES).astype(np.uint64).reshape(-1, PATH_NODES)
    pairs = np.stack([nodes[:, :-1].ravel(), nodes[:, 1:].ravel()], axis=1)
    write_pairs(work, np.concatenate([pairs, pairs[::-1]]), NUM_FILES)


def _here(work: Work, files: list[str]) -> None:
    connect(work, MEMBERS, files, in_order)


def _in_rounds(work: Work, files: list[str]) -> None:
    num_pairs = sum(read_table(work.file(name), ["node"]).num_rows for name in files)
    connect(work, MEMBERS, files, in_order, 2 * num_pairs * BYTES_PER_NODE // NUM_PARTITIONS)


def _scipy(work: Work, files: list[str]) -> None:
    tables = [read_table(work.file(name)) for name in files]
    ends = np.concatenate([table[name].to_numpy() for name in ("first", "node") for table in tables])
    nodes, index = np.unique(ends, return_inverse=True)
    firsts, others = index.reshape(2, -1)
    graph = coo_matrix((np.ones(len(firsts), np.bool_), (firsts, others)), shape=(len(nodes), len(nodes)))
    connected_components(graph, directed=False)


WAYS: dict[str, Callable[[Work, list[str]], None]] = {"one process": _here, "rounds": _in_rounds, "scipy": _scipy}


def _measure(way: str, out: str) -> None:
    """Print what one way takes, in this process."""
    with tempfile.TemporaryDirectory() as small:
        work = work_in(small)
        WAYS[way](work, write_pairs(work, [(1, 2), (2, 3)], 1))  # loads libraries and kernels
    before, start = _peak_bytes(), time.process_time()
    WAYS[way](work_in(out), [f"pairs-{number}.parquet" for number in range(NUM_FILES)])
    seconds, grown = time.process_time() - start, _peak_bytes() - before
    print(f"{way:12} {grown / NUM_NODES:6.1f} bytes a node {seconds:6.1f} s of processor time")


def _peak_bytes() -> int:
    """Of this process alone: ru_maxrss would count from its parent's."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


def main() -> None:
    """Measure each way on the same files."""
    with tempfile.TemporaryDirectory() as out:
        _write(work_in(out))
        for way in WAYS:
            subprocess.run([sys.executable, "-m", "tests.bench.components", way, out], check=True)


if __name__ == "__main__":
    _measure(*sys.argv[1:]) if len(sys.argv) > 1 else main()
