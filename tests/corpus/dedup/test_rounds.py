from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup import nodes, rounds
from corpus.dedup.components import connect
from corpus.dedup.nodes import BYTES_PER_NODE
from corpus.dedup.rounds import connect_in_rounds
from corpus.dedup.runs import UInt64s
from corpus.dedup.work import MEMBERS
from manifests.errors import IntegrityError
from manifests.shards import list_files, read_table
from tests.corpus.dedup.corpora import in_order, shuffled
from tests.corpus.dedup.graphs import Pairs, chain, expected_members, renamed, work_in, write_pairs
from tests.corpus.dedup.memory import peak_bytes


def star(num_nodes: int) -> UInt64s:
    others = np.arange(1, num_nodes, dtype=np.uint64)
    return np.stack([np.zeros_like(others), others], axis=1)


def many(num_nodes: int, num_pairs: int) -> UInt64s:
    return np.random.default_rng(5).integers(0, num_nodes, (num_pairs, 2), np.uint64)


def watching() -> tuple[list[str], Any]:
    """A map that runs in order, and the names of the tasks that it ran."""
    seen: list[str] = []

    def run(task: Any, items: list[dict[str, Any]]) -> Any:
        seen.append(task.__name__)
        return in_order(task, items)

    return seen, run


GRAPHS = {
    "chain": chain(10_000),
    "chain of mixed nodes": renamed(chain(10_000), 1),
    "star": star(5_000),
    "star on a late node": renamed(star(5_000), 2),
    "few pairs": many(10_000, 3_000),
    "pairs about to connect": many(10_000, 5_000),
    "many pairs": many(1_000, 10_000),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_rounds_write_the_same_bytes_as_one_process(tmp_path: Path, name: str) -> None:
    pairs = GRAPHS[name]
    work = work_in(str(tmp_path))
    files = write_pairs(work, pairs)
    here = connect(work, MEMBERS, files, in_order)
    assert here.rows > 0
    tasks, watched = watching()
    # For a quarter of the nodes that so many pairs can have, and less than there are.
    budget_bytes = BYTES_PER_NODE * min(len(pairs) // 2, here.rows - 1)
    assert connect(work, MEMBERS, files, watched, budget_bytes) == here
    assert tasks[0] == "send_pairs"
    assert tasks[-1] == "label_nodes"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40), st.integers(1, 4), st.integers(0, 100))
def test_members_are_as_by_brute_force_whatever_the_partitions_and_the_order_of_tasks(
    pairs: Pairs, num_partitions: int, seed: int
) -> None:
    work = work_in("memory://rounds")
    files = write_pairs(work, pairs, 2)
    connect_in_rounds(work, MEMBERS, files, shuffled(seed), num_partitions)
    members = read_table(work.file(MEMBERS))
    assert list(zip(*members.to_pydict().values(), strict=True)) == expected_members(pairs)


def test_nodes_of_high_units_keep_all_their_bits(tmp_path: Path) -> None:
    high = (1 << 64) - 2
    work = work_in(str(tmp_path))
    connect_in_rounds(work, MEMBERS, write_pairs(work, [(high, high + 1), (3, high)]), in_order, 3)
    assert read_table(work.file(MEMBERS)).to_pydict() == {"node": [3, high, high + 1], "component": [3, 3, 3]}


def test_files_of_the_rounds_are_gone_at_the_end(tmp_path: Path) -> None:
    work = work_in(str(tmp_path))
    files = write_pairs(work, chain(50))
    connect_in_rounds(work, MEMBERS, files, in_order, 3)
    assert list_files(work.file("")) == sorted([MEMBERS, *files])


def test_damaged_edges_are_named(tmp_path: Path) -> None:
    work = work_in(str(tmp_path))

    def damaging(task: Any, items: list[dict[str, Any]]) -> Any:
        yield from in_order(task, items)
        if task is rounds.large_star:
            path = Path(work.file("large-1-00001.parquet"))
            data = bytearray(path.read_bytes())
            data[4:60] = bytes(56)
            path.write_bytes(data)

    with pytest.raises(IntegrityError, match=r"large-1-00001\.parquet: cannot be read"):
        connect_in_rounds(work, MEMBERS, write_pairs(work, chain(50)), damaging, 2)


def test_rounds_of_a_chain_grow_with_the_logarithm_of_its_length(tmp_path: Path) -> None:
    work = work_in(str(tmp_path))
    num_rounds = []
    for length in (100, 10_000):
        tasks, watched = watching()
        connect_in_rounds(work, MEMBERS, write_pairs(work, renamed(chain(length), 3)), watched, 1)
        num_rounds.append(tasks.count("large_star"))
    assert num_rounds == [7, 12]


def test_a_task_holds_the_nodes_of_its_partition_not_its_edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "BLOCK_EDGES", 1 << 15)
    monkeypatch.setattr(nodes, "MIN_WAITING_NODES", 1 << 14)
    num_nodes, num_partitions = 1_000_000, 8
    work = work_in(str(tmp_path))
    files = write_pairs(work, star(num_nodes))
    peaks: list[int] = []

    def measured(task: Any, items: list[dict[str, Any]]) -> Any:
        for item in items:
            results: list[Any] = []
            peaks.append(peak_bytes(lambda item=item, results=results: results.append(task(item))))
            yield results[0]

    connect_in_rounds(work, MEMBERS, files, measured, num_partitions)
    # The edges of the star's centre, all in one partition, are 16 MB.
    assert max(peaks) <= BYTES_PER_NODE * num_nodes // num_partitions + (10 << 20)
