import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.union_find import flatten, join_pairs
from tests.reference import union_find as reference


def joined(num_nodes, pairs, dtype=np.int64):
    """The flat parents after all pairs."""
    ends = np.array(pairs, dtype).reshape(-1, 2)
    ends.flags.writeable = False
    parent = np.arange(num_nodes, dtype=np.uint32)
    join_pairs(parent, ends[:, 0], ends[:, 1])
    flatten(parent)
    return parent


def test_the_root_of_a_component_is_its_least_node():
    assert joined(7, [(6, 4), (4, 5), (2, 1)]).tolist() == [0, 1, 1, 3, 4, 4, 4]


def test_a_later_pair_with_a_lesser_node_moves_the_whole_component():
    assert joined(4, [(2, 3), (1, 2), (3, 0)]).tolist() == [0, 0, 0, 0]


def test_no_nodes_and_no_pairs_are_fine():
    assert joined(0, []).tolist() == []
    assert joined(2, []).tolist() == [0, 1]


def test_a_node_paired_with_itself_stays_alone():
    assert joined(2, [(1, 1)]).tolist() == [0, 1]


def test_parents_stay_uint32():
    assert joined(3, [(1, 2)]).dtype == np.uint32


@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.uint64])
def test_ends_may_be_integers_of_any_kind(dtype):
    assert joined(4, [(3, 1), (1, 0)], dtype).tolist() == [0, 0, 2, 0]


@pytest.mark.parametrize("step", [1, -1])
def test_a_chain_of_a_million_nodes_is_one_component(step):
    num_nodes = 1_000_000
    nodes = np.arange(num_nodes)[::step]
    parent = np.arange(num_nodes, dtype=np.uint32)
    join_pairs(parent, nodes[:-1], nodes[1:])
    flatten(parent)
    assert not parent.any()


@settings(deadline=None)  # the first call compiles
@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60))
    ),
    st.integers(0, 3),
)
def test_components_are_those_of_the_slow_twin_in_any_order(case, seed):
    num_nodes, pairs = case
    mixed = [pair[::-1] for pair in random.Random(seed).sample(pairs, len(pairs))]
    expected = reference.least_nodes(num_nodes, pairs)
    assert joined(num_nodes, pairs).tolist() == joined(num_nodes, mixed).tolist() == expected
