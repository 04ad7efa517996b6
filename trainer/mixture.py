"""Which source each sample is of, and the how-manieth of that source it is: closed forms, nothing is counted through.

A schedule is a list of phases with weights. A phase is cut into blocks of BLOCK_SAMPLES samples that all follow one
pattern: each source has a whole number of samples in a block, its quota, spread as evenly as a fixed stride spreads
them. How many samples of a source come before any sample is then blocks * quota + the count inside one block.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from manifests.errors import RecipeError
from manifests.strict import did_you_mean
from trainer.config import MixtureConfig
from trainer.order import Rows

BLOCK_SAMPLES = 1 << 16
# BLOCK_SAMPLES / golden ratio, odd: multiples of it modulo the block visit every place once and, at any point, lie
# nearly evenly, so that a batch has each source's share to within 3 samples of 256, 5.5 of 1,024, mostly 2.
_STRIDE = 40503


@dataclass(frozen=True)
class Phase:
    """From a sample on, counted from 0, each source has its quota of each BLOCK_SAMPLES samples."""

    from_sample: int
    quotas: tuple[int, ...]


class Mixture:
    """Samples to (source number, cursor: how many samples of that source come before), and back."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = tuple(phases)
        self._from_sample = np.array([phase.from_sample for phase in phases], dtype=np.int64)
        self._quotas = np.array([phase.quotas for phase in phases], dtype=np.int64)
        self._before = np.zeros_like(self._quotas)  # cursors where each phase starts
        for number in range(1, len(self.phases)):
            self._before[number] = self._count(number - 1, int(self._from_sample[number]))

    def locate(self, samples: Rows) -> tuple[Rows, Rows]:
        """Source number and cursor of each sample. int64 (num_samples,), in and out."""
        phase = np.searchsorted(self._from_sample, samples, side="right") - 1
        since: Rows = samples - self._from_sample[phase]
        block, inside = since // BLOCK_SAMPLES, since % BLOCK_SAMPLES
        source, before = np.empty_like(samples), np.empty_like(samples)
        for number in np.unique(phase).tolist():
            pattern, mine = _pattern(self.phases[number].quotas), phase == number
            source[mine] = pattern.source[inside[mine]]
            before[mine] = pattern.before[inside[mine]]
        cursor: Rows = before + self._before[phase, source] + block * self._quotas[phase, source]
        return source, cursor

    def counts(self, num_samples: int) -> Rows:
        """How many of the first num_samples samples are of each source, int64 (num_sources,)."""
        return self._count(int(np.searchsorted(self._from_sample, num_samples, side="right")) - 1, num_samples)

    def samples(self, source: int, cursors: Rows) -> Rows:
        """The sample at each cursor of a source, what `locate` undoes; each must be below the counts of some sample."""
        phase = np.searchsorted(self._before[:, source], cursors, side="right") - 1
        result: Rows = cursors - self._before[phase, source]
        for number in np.unique(phase).tolist():
            mine = phase == number
            block, inside = np.divmod(result[mine], self._quotas[number, source])
            place = np.flatnonzero(_pattern(self.phases[number].quotas).source == source)[inside]
            result[mine] = self._from_sample[number] + block * BLOCK_SAMPLES + place
        return result

    def first_difference(self, other: "Mixture") -> int | None:
        """The first sample that may be another in the two; None if they are the same. Blocks begin with their phase."""
        for mine, theirs in itertools.zip_longest(self.phases, other.phases):
            if mine != theirs:
                return min(phase.from_sample for phase in (mine, theirs) if phase is not None)
        return None

    def _count(self, number: int, num_samples: int) -> Rows:
        """The cursors at a sample of a phase, or at its end."""
        block, inside = divmod(num_samples - int(self._from_sample[number]), BLOCK_SAMPLES)
        some = _pattern(self.phases[number].quotas).source[:inside]
        counts: Rows = np.bincount(some, minlength=self._quotas.shape[1])
        cursors: Rows = self._before[number] + block * self._quotas[number] + counts
        return cursors


@dataclass(frozen=True)
class _Pattern:
    """Of each sample of a block: number of its source, and how many before it in the block are of the same source."""

    source: Rows
    before: Rows


@functools.lru_cache(maxsize=16)
def _pattern(quotas: tuple[int, ...]) -> _Pattern:
    places = np.arange(BLOCK_SAMPLES, dtype=np.int64) * _STRIDE % BLOCK_SAMPLES
    source = np.searchsorted(np.cumsum(quotas), places, side="right")
    by_source = np.argsort(source, kind="stable")
    before = np.empty(BLOCK_SAMPLES, np.int64)
    before[by_source] = np.arange(BLOCK_SAMPLES) - (np.cumsum(quotas) - quotas)[source[by_source]]
    return _Pattern(source, before)


def quotas_of(weights: Sequence[float]) -> tuple[int, ...]:
    """Whole numbers that add up to BLOCK_SAMPLES, nearest to the weights' shares by largest remainder.

    Exact arithmetic; of equal remainders the first one is rounded up.
    """
    exact = [Fraction(weight) for weight in weights]
    shares = [weight * BLOCK_SAMPLES / sum(exact) for weight in exact]
    quotas = [int(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda index: quotas[index] - shares[index])
    for index in by_remainder[: BLOCK_SAMPLES - sum(quotas)]:
        quotas[index] += 1
    return tuple(quotas)


def make_mixture(schedule: Sequence[MixtureConfig], num_rows: dict[str, int]) -> Mixture:
    """The mixture of a config's schedule, which is not empty. num_rows: of each source, by name, in order.

    Raises RecipeError for a source that is unknown, has no training rows or gets no sample.
    """
    return Mixture([Phase(entry.from_sample, _phase_quotas(entry, num_rows)) for entry in schedule])


def _phase_quotas(entry: MixtureConfig, num_rows: dict[str, int]) -> tuple[int, ...]:
    where = f"[[mixture]] from_sample = {entry.from_sample}"
    for name, weight in entry.weights.items():
        if name not in num_rows:
            near = did_you_mean(name, num_rows)
            raise RecipeError(f"{where}: unknown source {name!r}{near} Known sources: {', '.join(num_rows)}.")
        if weight and not num_rows[name]:
            raise RecipeError(
                f"{where}: source {name!r} has weight {weight} but no training rows. Leave it out, or build the corpus "
                "with more documents of it."
            )
    quotas = quotas_of([entry.weights.get(name, 0.0) for name in num_rows])
    for name, quota in zip(num_rows, quotas, strict=True):
        if entry.weights.get(name) and not quota:
            share = entry.weights[name] / sum(entry.weights.values())
            raise RecipeError(
                f"{where}: the weight {entry.weights[name]} of source {name!r} is a share of {share:.2g}, less than "
                f"one of {BLOCK_SAMPLES:,} samples: it would never be read. Raise it, or leave the source out."
            )
    return quotas


def check_repeats(mixture: Mixture, num_samples: int, num_rows: dict[str, int], max_repeats: float) -> None:
    """Raise RecipeError if a run of num_samples samples reads the rows of a source more often than max_repeats."""
    for (name, rows), samples in zip(num_rows.items(), mixture.counts(num_samples).tolist(), strict=True):
        if samples > max_repeats * rows:
            raise RecipeError(
                f"source {name!r} would be read {samples / rows:.2f} times ({samples:,} samples of {rows:,} rows); "
                f"max_repeats is {max_repeats:g}. Lower its weight in [[mixture]] or steps to at most "
                f"{int(max_repeats * rows):,} of its samples, or add documents to it."
            )
