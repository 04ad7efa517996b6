"""Slow, obvious twin of corpus.slices: deciles by counting."""

from collections.abc import Sequence


def deciles(scores: Sequence[float | None]) -> list[int]:
    """Of each score the tenths of all scores that lie below it, 0 to 9; -1 for None."""
    known = [score for score in scores if score is not None]
    return [-1 if score is None else 10 * sum(other < score for other in known) // len(known) for score in scores]
