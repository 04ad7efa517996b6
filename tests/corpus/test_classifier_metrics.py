"""Ranking, calibration and thresholds, on scores few enough to count by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import classifier_metrics as metrics

#                  best                       worst
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.1])
POSITIVE = np.array([True, False, True, True, False, False])

labelled = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30).filter(
    lambda pairs: len({positive for _, positive in pairs}) == 2
)


def arrays(pairs):
    return np.array([score / 5 for score, _ in pairs]), np.array([positive for _, positive in pairs])


def test_the_area_is_the_share_of_pairs_in_order():
    # 0.9 beats three negatives; 0.7 two of them; 0.6 one, and ties with one: 6.5 of 9 pairs.
    assert metrics.roc_auc(SCORES, POSITIVE) == pytest.approx(6.5 / 9)


@given(labelled)
def test_the_area_counts_pairs_and_half_of_ties(pairs):
    scores, positive = arrays(pairs)
    won = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert metrics.roc_auc(scores, positive) == pytest.approx(sum(won) / len(won))


def test_average_precision_takes_equal_scores_at_once():
    # Recall grows by a third at 0.9 (precision 1), at 0.7 (2 of 3) and at 0.6 (3 of 5).
    assert metrics.average_precision(SCORES, POSITIVE) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_bins_hold_their_lower_limit_and_the_last_one_holds_one():
    bins = metrics.reliability(np.array([0.0, 0.1, 0.19, 1.0]), np.array([True, False, True, True]))
    assert [found["num_texts"] for found in bins] == [1, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert (bins[1]["mean_score"], bins[1]["positive_ratio"]) == (pytest.approx(0.145), 0.5)
    assert (bins[5]["mean_score"], bins[5]["positive_ratio"]) == (0.0, 0.0)


def test_the_calibration_error_weighs_the_gap_of_each_bin_by_its_texts():
    bins = metrics.reliability(np.array([0.75, 0.75, 0.75, 0.25]), np.array([True, True, False, False]))
    assert metrics.calibration_error(bins) == pytest.approx((3 * abs(0.75 - 2 / 3) + 0.25) / 4)


def test_a_score_at_the_threshold_is_kept():
    assert metrics.confusion(SCORES, POSITIVE, 0.7) == {
        "threshold": 0.7,
        "true_positive": 2,
        "false_positive": 1,
        "false_negative": 1,
        "true_negative": 2,
    }


def test_the_threshold_keeps_the_wanted_share_of_the_negative_texts():
    assert metrics.keep_rate(SCORES, POSITIVE, 2 / 3) == {
        "wanted_ratio": 2 / 3,
        "threshold": 0.6,
        "kept_negative_ratio": 2 / 3,
        "kept_positive_ratio": 1.0,
    }
    assert metrics.keep_rate(SCORES, POSITIVE, 0.01)["threshold"] == 0.8


def test_equal_scores_are_kept_together():
    kept = metrics.keep_rate(np.array([0.5, 0.5, 0.5, 0.9]), np.array([False, False, False, True]), 0.4)
    assert (kept["threshold"], kept["kept_negative_ratio"]) == (0.5, 1.0)
