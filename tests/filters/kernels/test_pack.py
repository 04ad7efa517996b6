import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.pack import best_fit, copy_pieces, sum_pieces
from tests.reference import pack as reference


def placed(sizes, capacity):
    row_of, num_rows = best_fit(np.array(sizes, np.int64), capacity)
    return row_of.tolist(), num_rows


def test_an_item_goes_to_the_fullest_row_that_has_room():
    # Rows get 6, then 7 (no room beside 6); 3 fits both and takes the fuller, 4 then fills the first.
    assert placed([6, 7, 3, 4], 10) == ([0, 1, 1, 0], 2)


def test_an_item_of_full_size_has_a_row_of_its_own():
    assert placed([5, 5, 1, 4], 5) == ([0, 1, 2, 2], 3)


def test_of_equally_full_rows_the_one_filled_last_is_taken():
    assert placed([6, 6, 4, 4], 10) == ([0, 1, 1, 0], 2)


def test_no_items_need_no_rows():
    assert placed([], 10) == ([], 0)


def test_capacity_of_one_gives_each_item_a_row():
    assert placed([1, 1, 1], 1) == ([0, 1, 2], 3)


@given(st.integers(1, 70).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=60))))
@settings(deadline=None)  # the first call compiles
def test_best_fit_is_its_slow_twin(case):
    capacity, sizes = case
    assert placed(sizes, capacity) == reference.best_fit(sizes, capacity)


def test_read_only_sizes_are_taken():
    sizes = np.array([2, 3], np.int64)
    sizes.flags.writeable = False
    assert best_fit(sizes, 5)[1] == 1


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_pieces_are_copied_to_their_places_and_nothing_else_is_written(dtype):
    tokens = np.arange(10, 20, dtype=dtype)
    tokens.flags.writeable = False
    starts, lengths, places = np.array([7, 0, 3]), np.array([2, 1, 0]), np.array([0, 4, 3])
    out = np.full(6, 99, dtype)
    copy_pieces(tokens, starts, lengths, places, out)
    assert out.tolist() == [17, 18, 99, 99, 10, 99]
    expected = np.full(6, 99, dtype)
    reference.copy_pieces(tokens, starts, lengths, places, expected)
    assert out.tolist() == expected.tolist()


@given(
    st.lists(st.integers(0, 6), max_size=30),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=10),
)
@settings(deadline=None)  # the first call compiles
def test_sums_of_pieces_are_their_slow_twin(ids, pieces):
    weights = np.array([0, 1, 2, 3, 2**31 - 1, 5, 6], np.int32)
    tokens = np.array(ids, np.uint16)
    starts = np.array([min(start, len(ids)) for start, _ in pieces], np.int64)
    lengths = np.array(
        [min(length, len(ids) - start) for start, (_, length) in zip(starts, pieces, strict=True)], np.int64
    )
    assert sum_pieces(tokens, starts, lengths, weights).tolist() == reference.sum_pieces(
        tokens, starts, lengths, weights
    )
