import math

import numpy as np
import pytest
from scipy import stats

from manifests.errors import RecipeError
from trainer.paired import MAX_PAIRS, holm, paired_difference, power, seeds_needed


def test_a_difference_counted_by_hand():
    found = paired_difference([10.0, 20.0, 30.0], [11.0, 22.0, 33.0])
    # Differences 1, 2, 3: mean 2, SD 1. With 2 degrees of freedom the 97.5 % point of t is 0.95 / sqrt(2 * 0.975 *
    # 0.025), which is 4.303 in printed tables.
    half_width = 0.95 / math.sqrt(2 * 0.975 * 0.025) / math.sqrt(3)
    assert (found.num_pairs, found.mean, found.sd) == (3, 2.0, 1.0)
    assert (found.low, found.high) == pytest.approx((2.0 - half_width, 2.0 + half_width), rel=1e-9)
    # With 2 degrees of freedom P(T > t) = 1/2 - t / (2 sqrt(2 + t^2)); here t = 2 sqrt(3).
    assert found.p_value == pytest.approx(1.0 - math.sqrt(12.0 / 14.0), rel=1e-12)


def test_the_difference_equals_scipys_paired_t_test():
    generator = np.random.default_rng(3)
    first = generator.normal(1.3, 0.01, 7)
    second = first + generator.normal(-0.002, 0.004, 7)
    found, expected = paired_difference(list(first), list(second), 0.1), stats.ttest_rel(second, first)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.9)), rel=1e-10)


def test_what_all_pairs_share_cancels():
    noise = [0.0, 5.0, -3.0]
    found = paired_difference(noise, [value + 0.5 for value in noise])
    assert (found.mean, found.sd, found.low, found.high, found.p_value) == (0.5, 0.0, 0.5, 0.5, 0.0)
    same = paired_difference(noise, noise)
    assert (same.mean, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_one_pair_and_lists_of_unlike_lengths_are_refused():
    with pytest.raises(RecipeError, match="at least 2 seeds"):
        paired_difference([1.0], [2.0])
    with pytest.raises(RecipeError, match="2 and 3 values are not pairs"):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0])


def test_holms_correction_of_a_textbook_example():
    # Four hypotheses with p = 0.01, 0.04, 0.03, 0.005 at 0.05: the first and the last are rejected, the others not.
    # By hand: 4 * 0.005 = 0.02, 3 * 0.01 = 0.03, 2 * 0.03 = 0.06, then 1 * 0.04 is raised to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.4]) == pytest.approx([0.8, 0.8])
    assert holm([0.7, 0.9, 0.6]) == [1.0, 1.0, 1.0]
    assert holm([]) == []


def test_power_equals_that_of_many_simulated_tests():
    generator = np.random.default_rng(5)
    differences = generator.normal(0.5, 0.4, (40_000, 5))
    found = (stats.ttest_1samp(differences, 0.0, axis=1).pvalue < 0.05).mean()
    # Three standard errors of a share near 0.56 over 40,000 trials.
    assert power(0.5, 0.4, 5) == pytest.approx(found, abs=3 * math.sqrt(0.25 / 40_000))
    assert power(0.0, 0.4, 5) == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("ratio", [0.2, 0.5, 1.0, 3.0])
def test_the_pairs_needed_are_the_fewest_that_reach_the_power(ratio):
    needed = seeds_needed(1.0, ratio)
    assert needed is not None
    assert power(ratio, 1.0, needed) >= 0.8
    assert needed == 2 or power(ratio, 1.0, needed - 1) < 0.8


def test_the_pairs_needed_are_those_of_printed_tables():
    # Paired t test, two-sided 0.05, power 0.8: effect sizes 0.5 and 0.8 need 34 and 15 pairs (G*Power's manual).
    assert [seeds_needed(1.0, effect) for effect in (0.5, 0.8)] == [34, 15]
    assert seeds_needed(1.0, -0.5) == 34
    assert seeds_needed(2.0, 1.0) == 34
    assert seeds_needed(1.0, 0.5, min_power=0.95) == 54


def test_no_spread_needs_two_pairs_and_no_effect_is_out_of_reach():
    assert seeds_needed(0.0, 0.1) == 2
    assert seeds_needed(1.0, 0.0) is None
    assert seeds_needed(1.0, 2.0 / math.sqrt(MAX_PAIRS)) is None


def test_intervals_of_ten_thousand_experiments_without_a_difference_cover_zero_as_often_as_they_say():
    num_experiments, num_seeds = 10_000, 5
    generator = np.random.default_rng(11)
    shared = generator.normal(1.2, 0.02, (num_experiments, num_seeds))  # what a seed does to both arms
    arms = shared + generator.normal(0.0, 0.003, (2, num_experiments, num_seeds))
    found = [paired_difference(first, second) for first, second in zip(*arms.tolist(), strict=True)]
    covered = sum(one.low <= 0.0 <= one.high for one in found)
    low, high = stats.binom.interval(0.999, num_experiments, 0.95)
    assert low <= covered <= high
    assert covered == sum(one.p_value >= 0.05 for one in found)
