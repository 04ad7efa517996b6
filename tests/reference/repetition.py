"""Repetition by counting everything, in quadratic comfort."""

from collections import Counter
from collections.abc import Hashable, Sequence


def repeated(segments: Sequence[Hashable], num_chars: Sequence[int]) -> tuple[int, int]:
    """Segments seen before, and their characters."""
    again = [index for index, segment in enumerate(segments) if segment in segments[:index]]
    return len(again), sum(num_chars[index] for index in again)


def _ngrams(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


def _chars_under(words: list[str], size: int, chosen: set[tuple[str, ...]]) -> int:
    """Characters of the words that lie in a copy of any of the chosen n-grams."""
    covered: set[int] = set()
    for start, ngram in enumerate(_ngrams(words, size)):
        if ngram in chosen:
            covered.update(range(start, start + size))
    return sum(len(words[index]) for index in covered)


def top_chars(words: list[str], size: int) -> int:
    counts = Counter(_ngrams(words, size))
    most = max(counts.values(), default=0)
    if most < 2:
        return 0
    return max(_chars_under(words, size, {ngram}) for ngram, count in counts.items() if count == most)


def duplicate_chars(words: list[str], size: int) -> int:
    counts = Counter(_ngrams(words, size))
    return _chars_under(words, size, {ngram for ngram, count in counts.items() if count > 1})
