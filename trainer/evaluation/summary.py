"""Means with standard errors, and bootstrap intervals of means."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 2_000


def mean_and_error(values: Mapping[str, npt.NDArray[np.float64]], slices: Sequence[str | None]) -> dict[str, Any]:
    """num_items; `<name>` and `<name>_error` of each measure; `by_slice`: the same for each named slice, sorted.

    The standard error is the standard deviation (n - 1) / sqrt(n); None for one item.
    """
    names = sorted({name for name in slices if name is not None})
    places = {name: [place for place, found in enumerate(slices) if found == name] for name in names}
    by_slice = {
        name: _summary({key: column[place] for key, column in values.items()}) for name, place in places.items()
    }
    return {**_summary(values), "by_slice": by_slice}


def _summary(values: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, Any]:
    num_items = len(next(iter(values.values())))
    found: dict[str, Any] = {"num_items": num_items}
    for name, column in values.items():
        found[name] = float(column.mean())
        found[f"{name}_error"] = float(column.std(ddof=1) / np.sqrt(num_items)) if num_items > 1 else None
    return found


def bootstrap(values: npt.NDArray[np.float64], seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean from NUM_RESAMPLES resamples; width 0 where all values are equal.

    values: float64 (n,), n at least 1. Equal arguments give equal bounds. Source: Efron 1979, "Bootstrap methods".
    """
    generator = np.random.default_rng(seed)
    rounds = NUM_RESAMPLES // 100  # all at once would be 2,000 numbers for each value
    means = [values[generator.integers(0, len(values), (100, len(values)))].mean(axis=1) for _ in range(rounds)]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)
