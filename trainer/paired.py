"""Paired differences with intervals, correction for many comparisons, and how many pairs show an effect.

The pairs are runs with the same seed: what they share (initialisation, schedule, order of batches) cancels in their
difference. Differences are taken as normal; Student's t with num_pairs - 1 degrees of freedom accounts for the few.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from manifests.errors import RecipeError

MAX_PAIRS = 1_000_000  # beyond this an effect counts as out of reach


@dataclass(frozen=True)
class PairedDifference:
    """Mean of second - first over num_pairs pairs, its confidence interval [low, high], and the two-sided p-value.

    sd: standard deviation of the differences, with num_pairs - 1 in the denominator.
    """

    num_pairs: int
    mean: float
    sd: float
    low: float
    high: float
    p_value: float


def paired_difference(first: Sequence[float], second: Sequence[float], alpha: float = 0.05) -> PairedDifference:
    """Compare two lists of the same length by pairs; the interval covers with probability 1 - alpha.

    Differences that are all equal give an interval of width 0, and the p-value 1 (all zero) or 0.
    Raises RecipeError for fewer than two pairs: they have no spread. Source: Student 1908, "The probable error of a
    mean".
    """
    if len(first) != len(second):
        raise RecipeError(f"{len(first)} and {len(second)} values are not pairs. Give two lists of the same length.")
    num_pairs = len(first)
    if num_pairs < 2:
        raise RecipeError(f"{num_pairs} pair has no spread. Give at least 2 seeds.")
    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    mean, sd = float(differences.mean()), float(differences.std(ddof=1))
    error = sd / math.sqrt(num_pairs)
    if error == 0.0:
        return PairedDifference(num_pairs, mean, sd, mean, mean, 1.0 if mean == 0.0 else 0.0)
    half_width = float(special.stdtrit(num_pairs - 1, 1.0 - alpha / 2.0)) * error
    p_value = 2.0 * float(special.stdtr(num_pairs - 1, -abs(mean) / error))
    return PairedDifference(num_pairs, mean, sd, mean - half_width, mean + half_width, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in [0, 1], in the order given: those below alpha are significant, whatever depends on what.

    The i-th smallest of n (from 0) is multiplied by n - i and raised to those before it. Source: Holm 1979, "A simple
    sequentially rejective multiple test procedure".
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def power(effect: float, sd: float, num_pairs: int, alpha: float = 0.05) -> float:
    """Probability in [0, 1] that a two-sided paired t test at level alpha finds a mean difference of `effect`.

    From the noncentral t distribution with noncentrality effect / sd * sqrt(num_pairs). sd > 0, num_pairs >= 2.
    Source: Cohen 1988, "Statistical power analysis for the behavioral sciences", chapter 2.
    """
    degrees = num_pairs - 1
    noncentrality = abs(effect) / sd * math.sqrt(num_pairs)
    bound = float(special.stdtrit(degrees, 1.0 - alpha / 2.0))
    above = 1.0 - float(special.nctdtr(degrees, noncentrality, bound))
    return above + float(special.nctdtr(degrees, noncentrality, -bound))


def seeds_needed(sd: float, effect: float, min_power: float = 0.8, alpha: float = 0.05) -> int | None:
    """The smallest number of pairs whose power for a mean difference of `effect` is at least min_power; 2 or more.

    sd: of the differences, as observed; of few pairs it is itself uncertain, and so is this number. None if more than
    MAX_PAIRS would be needed.
    """
    if sd == 0.0:
        return 2
    high = 2
    while power(effect, sd, high, alpha) < min_power:
        high *= 2
        if high > MAX_PAIRS:
            return None
    low = high // 2  # one pair, or a number that is known not to be enough
    while high - low > 1:
        middle = (low + high) // 2
        if power(effect, sd, middle, alpha) < min_power:
            low = middle
        else:
            high = middle
    return high
