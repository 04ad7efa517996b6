"""Bands and rows for a wanted Jaccard similarity, and the other way round."""

import numpy as np

NUM_PERMUTATIONS = 128
_STEPS = 1000


def found_with(bands: int, rows: int) -> float:
    """The Jaccard similarity at which a pair shares a band with a chance of 1 - 1/e, to two digits.

    Source: Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4.2.
    """
    return round(float((1.0 / bands) ** (1.0 / rows)), 2)


def optimal_bands(threshold: float) -> tuple[int, int]:
    """(bands, rows), bands * rows <= 128, with the least sum of false positive and false negative area.

    The areas lie under the chance to share a band, below the threshold, and above that chance, from the threshold on.
    threshold: in (0, 1). Equal to datasketch 2.0's choice for MinHashLSH(threshold, num_perm=128).
    """
    below, above = _middles(0.0, threshold), _middles(threshold, 1.0)
    errors = {}
    for bands in range(1, NUM_PERMUTATIONS + 1):
        for rows in range(1, NUM_PERMUTATIONS // bands + 1):
            false_positive = np.mean(_chance(below, bands, rows)) * threshold
            false_negative = np.mean(1.0 - _chance(above, bands, rows)) * (1.0 - threshold)
            errors[bands, rows] = float(false_positive + false_negative)
    return min(errors, key=errors.__getitem__)


def _middles(start: float, stop: float) -> np.ndarray:
    return start + (np.arange(_STEPS) + 0.5) * (stop - start) / _STEPS


def _chance(similarity: np.ndarray, bands: int, rows: int) -> np.ndarray:
    shared: np.ndarray = 1.0 - (1.0 - similarity**rows) ** bands
    return shared
