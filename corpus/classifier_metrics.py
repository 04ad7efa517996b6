"""How well scores tell two classes apart: ranking, calibration, and the thresholds for wanted keep rates.

Everywhere: scores is float64 (num_texts,) in [0, 1], is_positive bool (num_texts,), both classes occur.
"""

from typing import TypedDict

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Scores = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NUM_BINS = 10


class Bin(TypedDict):
    """Texts whose score is from `low` to below `high` (to 1.0 in the last bin)."""

    low: float
    high: float
    num_texts: int
    mean_score: float
    positive_ratio: float


class Confusion(TypedDict):
    """Counts of texts at a threshold; a text is taken for positive if its score is the threshold or more."""

    threshold: float
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


class KeepRate(TypedDict):
    """The threshold (inclusive) that keeps `wanted_ratio` of the negative texts, and what it really keeps."""

    wanted_ratio: float
    threshold: float
    kept_negative_ratio: float
    kept_positive_ratio: float


def roc_auc(scores: Scores, is_positive: Flags) -> float:
    """Chance in [0, 1] that a positive text scores above a negative one; ties count one half."""
    ranks = rankdata(scores)
    num_positive, num_negative = int(is_positive.sum()), int((~is_positive).sum())
    above = ranks[is_positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))


def average_precision(scores: Scores, is_positive: Flags) -> float:
    """Mean precision in [0, 1] over the recall gained at each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(is_positive[order])[ends]
    gained = np.diff(found, prepend=0)
    return float(np.sum(gained * found / (ends + 1)) / is_positive.sum())


def reliability(scores: Scores, is_positive: Flags) -> list[Bin]:
    """NUM_BINS bins of equal width; means of an empty bin are 0.0."""
    number = np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    counts = np.bincount(number, minlength=NUM_BINS)
    divisors = np.maximum(counts, 1)
    means = np.bincount(number, scores, NUM_BINS) / divisors
    ratios = np.bincount(number, is_positive, NUM_BINS) / divisors
    return [
        {
            "low": index / NUM_BINS,
            "high": (index + 1) / NUM_BINS,
            "num_texts": int(counts[index]),
            "mean_score": float(means[index]),
            "positive_ratio": float(ratios[index]),
        }
        for index in range(NUM_BINS)
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error in [0, 1]: |mean score - share of positives| of the bins, weighted by their texts.

    Source: Naeini et al. 2015.
    """
    gaps = sum(found["num_texts"] * abs(found["mean_score"] - found["positive_ratio"]) for found in bins)
    return gaps / sum(found["num_texts"] for found in bins)


def confusion(scores: Scores, is_positive: Flags, threshold: float) -> Confusion:
    """Counts at an inclusive threshold."""
    kept = scores >= threshold
    return {
        "threshold": threshold,
        "true_positive": int((kept & is_positive).sum()),
        "false_positive": int((kept & ~is_positive).sum()),
        "false_negative": int((~kept & is_positive).sum()),
        "true_negative": int((~kept & ~is_positive).sum()),
    }


def keep_rate(scores: Scores, is_positive: Flags, wanted_ratio: float) -> KeepRate:
    """The score of the last negative text kept; equal scores cannot be told apart and are kept with it.

    wanted_ratio: above 0; at least one negative text is kept.
    """
    descending = np.sort(scores[~is_positive])[::-1]
    threshold = float(descending[max(round(wanted_ratio * len(descending)), 1) - 1])
    kept = scores >= threshold
    return {
        "wanted_ratio": wanted_ratio,
        "threshold": threshold,
        "kept_negative_ratio": float(kept[~is_positive].mean()),
        "kept_positive_ratio": float(kept[is_positive].mean()),
    }
