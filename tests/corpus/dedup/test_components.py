import random
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.components import connect, forest, stars
from corpus.dedup.nodes import BYTES_PER_NODE, MEMBER_ROWS
from corpus.dedup.work import MEMBERS
from manifests.shards import read_table
from tests.corpus.dedup.corpora import in_order
from tests.corpus.dedup.graphs import Pairs, chain, expected_members, renamed, work_in, write_pairs
from tests.corpus.dedup.memory import peak_bytes


def as_arrays(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    ends = np.array(pairs, np.uint64).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]


def as_pairs(found: tuple[np.ndarray, np.ndarray]) -> Pairs:
    return list(zip(found[0].tolist(), found[1].tolist(), strict=True))


def brute_force(pairs: Pairs) -> Pairs:
    return [(least, node) for node, least in expected_members(pairs) if node != least]


def test_stars_link_each_node_with_the_first_of_its_bucket() -> None:
    keys = np.array([1, 1, 1, 2, 3, 3], np.uint64)
    nodes = np.array([4, 6, 9, 5, 4, 7], np.uint64)
    assert as_pairs(stars([keys], nodes)) == [(4, 6), (4, 9), (4, 7)]


def test_stars_need_all_parts_of_a_key_to_be_equal() -> None:
    keys = [np.array([1, 1, 2], np.uint64), np.array([1, 2, 2], np.uint64)]
    assert as_pairs(stars(keys, np.array([1, 2, 3], np.uint64))) == []


def test_stars_and_forest_of_nothing_are_nothing() -> None:
    nothing = np.zeros(0, np.uint64)
    assert as_pairs(stars([nothing], nothing)) == []
    assert as_pairs(forest(nothing, nothing)) == []


def test_a_chain_becomes_a_star_on_its_least_node() -> None:
    assert as_pairs(forest(*as_arrays([(8, 9), (7, 8), (3, 9), (20, 21)]))) == [(3, 7), (3, 8), (3, 9), (20, 21)]


def test_a_node_paired_with_itself_is_no_component() -> None:
    assert as_pairs(forest(*as_arrays([(5, 5)]))) == []


def test_nodes_of_the_last_unit_keep_all_their_bits() -> None:
    high = (1 << 62) + 1
    assert as_pairs(forest(*as_arrays([(high, high + 1)]))) == [(high, high + 1)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40), st.integers(0, 5))
def test_forest_is_as_by_brute_force_in_any_order(pairs: Pairs, seed: int) -> None:
    mixed = [pair[::-1] for pair in random.Random(seed).sample(pairs, len(pairs))]
    assert as_pairs(forest(*as_arrays(pairs))) == as_pairs(forest(*as_arrays(mixed))) == brute_force(pairs)


def test_members_are_all_of_a_component_with_its_least_node(tmp_path: Path) -> None:
    work = work_in(str(tmp_path))
    entry = connect(work, MEMBERS, write_pairs(work, [(8, 9), (5, 5), (7, 8), (20, 21), (3, 9)]), in_order)
    members = read_table(work.file(MEMBERS))
    assert members.schema == MEMBER_ROWS
    assert members.to_pydict() == {"node": [3, 7, 8, 9, 20, 21], "component": [3, 3, 3, 3, 20, 20]}
    assert (entry.path, entry.rows) == ("duplicates/work/members.parquet", 6)


def test_no_pairs_have_no_members(tmp_path: Path) -> None:
    work = work_in(str(tmp_path))
    assert connect(work, MEMBERS, [], in_order).rows == 0
    assert connect(work, MEMBERS, write_pairs(work, []), in_order, budget_bytes=0).rows == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_members_are_as_by_brute_force(pairs: Pairs) -> None:
    work = work_in("memory://components")
    connect(work, MEMBERS, write_pairs(work, pairs), in_order)
    assert list(zip(*read_table(work.file(MEMBERS)).to_pydict().values(), strict=True)) == expected_members(pairs)


def test_connecting_takes_16_bytes_for_each_document_in_a_pair(tmp_path: Path) -> None:
    num_nodes = 2_000_000
    work = work_in(str(tmp_path))
    # Each pair is in two files, as near-duplicates share several bands.
    pairs = renamed(chain(num_nodes), 1)
    files = write_pairs(work, np.concatenate([pairs, pairs[::-1]]))
    peak = peak_bytes(lambda: connect(work, MEMBERS, files, in_order))
    assert peak <= BYTES_PER_NODE * num_nodes + (10 << 20)
    assert read_table(work.file(MEMBERS))["component"].unique().to_pylist() == [0]
