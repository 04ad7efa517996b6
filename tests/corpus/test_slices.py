import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.slices import Slices, decile_edges
from tests.reference.deciles import deciles as slow_deciles


def deciles(scores):
    given_scores = [score for score in scores if score is not None]
    slices = Slices([], decile_edges(np.array(given_scores, np.float64)))
    return slices.deciles(pa.array(scores, pa.float64())).tolist()


def test_twenty_different_scores_are_two_in_each_decile():
    scores = [number / 7 for number in range(20)]
    assert deciles(scores) == [number // 2 for number in range(20)]


def test_documents_that_ten_does_not_divide_are_spread_by_their_rank():
    assert deciles([0.3, 0.1, 0.2]) == [6, 0, 3]


def test_equal_scores_share_the_lowest_decile_that_they_reach():
    assert deciles([1.0, 1.0, 1.0, 1.0]) == [0, 0, 0, 0]
    assert deciles([0.0, 5.0, 5.0, 5.0, 9.0]) == [0, 2, 2, 2, 8]


def test_one_document_is_in_the_lowest_decile():
    assert deciles([0.7]) == [0]


def test_documents_without_a_score_are_in_none_and_do_not_count():
    assert deciles([None, 2.0, None, 1.0]) == [-1, 5, -1, 0]
    assert deciles([None]) == [-1]
    assert deciles([]) == []


def test_the_edges_do_not_depend_on_which_zero_comes_first():
    edges = [decile_edges(np.array(scores)) for scores in ([0.0, -0.0, 1.0], [-0.0, 1.0, 0.0])]
    assert str(edges[0]) == str(edges[1]) == str([0.0] * 6 + [1.0] * 3)


def test_languages_are_numbered_by_their_place_and_unknown_ones_are_minus_one():
    labels = pa.array(["sw", None, "de", "sw"], pa.string())
    assert Slices(["de", "en", "sw"]).language_numbers(labels).tolist() == [2, -1, 0, 2]
    assert Slices().language_numbers(pa.array([None], pa.string())).tolist() == [-1]


@pytest.mark.parametrize("values", [st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False)])
def test_deciles_are_those_of_the_slow_twin(values):
    @given(st.lists(st.none() | values, max_size=60))
    def check(scores):
        assert deciles(scores) == slow_deciles(scores)

    check()
