import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup import components
from corpus.dedup.components import Components, forest, stars

Pairs = list[tuple[int, int]]


def as_arrays(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    ends = np.array(pairs, np.uint64).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]


def as_pairs(found: tuple[np.ndarray, np.ndarray]) -> Pairs:
    return list(zip(found[0].tolist(), found[1].tolist(), strict=True))


def brute_force(pairs: Pairs) -> Pairs:
    sets = {node: {node} for pair in pairs for node in pair}
    for first, second in pairs:
        joined = sets[first] | sets[second]
        sets.update({node: joined for node in joined})
    return [(min(sets[node]), node) for node in sorted(sets) if min(sets[node]) != node]


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


def test_pairs_that_come_in_pieces_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "MIN_WAITING_PAIRS", 2)
    generator = random.Random(1)
    pairs = [(generator.randrange(100), generator.randrange(100)) for _ in range(90)]
    collected = Components()
    for start in range(0, 90, 4):
        collected.add(*as_arrays(pairs[start : start + 4]))
        assert sum(len(firsts) for firsts, _ in collected._pairs) <= 2 * 100
    assert as_pairs(collected.stars()) == brute_force(pairs)
