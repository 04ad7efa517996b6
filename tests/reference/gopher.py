"""Gopher's rules as the paper has them and as we read it where it is silent: the reason for one document, in Python."""

from collections import Counter
from collections.abc import Hashable, Sequence

from tests.reference import lines as split
from tests.reference import tallies

STOP_WORDS = ["the", "be", "to", "of", "and", "that", "have", "with"]
TOP = {2: 0.20, 3: 0.18, 4: 0.16}
DUPLICATE = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def quality(text: str) -> str | None:
    """The first reason of gopher_quality, without the rule's name; None keeps the document."""
    words = text.split()
    lines = split.content_lines(text)
    num_words, num_lines = len(words), max(1, len(lines))
    if num_words < 50:
        return "too_few_words"
    rules = (
        (num_words > 100_000, "too_many_words"),
        (sum(map(len, words)) / num_words < 3, "words_too_short"),
        (sum(map(len, words)) / num_words > 10, "words_too_long"),
        (tallies.num_hashes(text) / num_words > 0.1, "too_many_hashes"),
        (tallies.num_ellipses(text) / num_words > 0.1, "too_many_ellipses"),
        (sum(map(tallies.starts_with_bullet, lines)) / num_lines > 0.9, "too_many_bullet_lines"),
        (sum(map(tallies.ends_with_ellipsis, lines)) / num_lines > 0.3, "too_many_ellipsis_lines"),
        (sum(any(map(str.isalpha, word)) for word in words) / num_words < 0.8, "too_few_alphabetic_words"),
        (tallies.num_stop_words(text, STOP_WORDS) < 2, "too_few_stop_words"),
    )
    return next((reason for holds, reason in rules if holds), None)


def repetition(text: str) -> str | None:
    """The first reason of gopher_repetition, without the rule's name; None keeps the document."""
    if not text:
        return "empty"
    paragraphs, lines, words = split.paragraphs(text), split.content_lines(text), text.split()
    paragraph_chars = [sum(map(len, paragraph)) for paragraph in paragraphs]
    for name, parts, chars in (("paragraph", paragraphs, paragraph_chars), ("line", lines, list(map(len, lines)))):
        num_again, chars_again = _again(parts, chars)
        if num_again > 0 and num_again / len(parts) > 0.30:
            return f"duplicate_{name}s"
        if chars_again > 0 and chars_again / sum(chars) > 0.20:
            return f"duplicate_{name}_chars"
    num_chars = sum(map(len, words))
    for size, limit in (TOP | DUPLICATE).items():
        part = _top_chars(words, size) if size in TOP else _duplicate_chars(words, size)
        if part > 0 and part / num_chars > limit:
            return f"top_{size}_gram" if size in TOP else f"duplicate_{size}_gram"
    return None


def _again(parts: Sequence[Hashable], chars: Sequence[int]) -> tuple[int, int]:
    """Parts seen before, and their characters."""
    seen: set[Hashable] = set()
    again = []
    for index, part in enumerate(parts):
        if part in seen:
            again.append(index)
        seen.add(part)
    return len(again), sum(chars[index] for index in again)


def _places(words: list[str], size: int) -> dict[tuple[str, ...], list[int]]:
    """Where each n-gram that occurs twice starts."""
    ngrams = list(zip(*(words[step:] for step in range(size)), strict=False))
    counts = Counter(ngrams)
    places: dict[tuple[str, ...], list[int]] = {}
    for place, ngram in enumerate(ngrams):
        if counts[ngram] > 1:
            places.setdefault(ngram, []).append(place)
    return places


def _covered(words: list[str], size: int, starts: Sequence[int]) -> int:
    return sum(len(words[index]) for index in {start + step for start in starts for step in range(size)})


def _top_chars(words: list[str], size: int) -> int:
    places = _places(words, size)
    most = max(map(len, places.values()), default=0)
    return max((_covered(words, size, starts) for starts in places.values() if len(starts) == most), default=0)


def _duplicate_chars(words: list[str], size: int) -> int:
    return _covered(words, size, [start for starts in _places(words, size).values() for start in starts])
