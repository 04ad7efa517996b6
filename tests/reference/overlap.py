"""Overlap of documents with items by lists of words, looking at every pair of places."""

from collections import Counter

from tests.reference.folded_words import folded_words

Words = tuple[str, ...]
Places = set[tuple[int, Words]]


def ngrams(item: str, n: int, min_words: int) -> Places:
    """(first folded word, the n-gram) for the shortest n-gram that begins at each folded word or punctuation before."""
    words, num_places = folded_words(item)
    size = min(n, num_places)
    shortest: dict[int, Words] = {}
    for written in range(num_places - size + 1):
        inside = [index for index, word in enumerate(words) if written <= word[3] < written + size]
        if len(inside) >= min_words:
            ngram = tuple(words[index][0] for index in inside)
            shortest[inside[0]] = min(ngram, shortest.get(inside[0], ngram), key=len)
    return set(shortest.items())


def overlap(
    document: str, items: list[str], limits: tuple[int, int, int], min_overlap: float
) -> tuple[int, float, int, int, list[bool]]:
    """Item of which most is found (-1: none), its share found, n-grams, items, and which words match.

    limits: n, min_words, max_items.
    """
    words = [word for word, *_ in folded_words(document)[0]]
    places = {tuple(words[start:end]): None for start in range(len(words)) for end in range(start + 1, len(words) + 1)}
    shares: dict[int, float] = {}
    found: dict[int, set[Words]] = {}
    for number, (own, common) in _indexed(items, *limits).items():
        here = {(start, ngram) for start, ngram in own if ngram in places}
        if here:
            num_words = len(folded_words(items[number])[0]) - len(_covered(common) - _covered(own))
            shares[number] = len(_covered(here)) / num_words
            found[number] = {ngram for _, ngram in here}
    wanted = {ngram for number, own in found.items() if shares[number] >= min_overlap for ngram in own}
    matched = [
        any(tuple(words[start : start + len(ngram)]) == ngram and start <= word < start + len(ngram)
            for ngram in wanted for start in range(len(words)))
        for word in range(len(words))
    ]  # fmt: skip
    best = min(shares, key=lambda number: (-shares[number], number), default=-1)
    return best, shares.get(best, 0.0), len(set().union(*found.values())), len(shares), matched


def _indexed(items: list[str], n: int, min_words: int, max_items: int) -> dict[int, tuple[Places, Places]]:
    """The n-grams of each different item: those that at most max_items have, and the others."""
    first: dict[Words, int] = {}
    for number, item in enumerate(items):
        first.setdefault(tuple(word for word, *_ in folded_words(item)[0]), number)
    places = {number: ngrams(items[number], n, min_words) for number in first.values()}
    holders = Counter(ngram for own in places.values() for ngram in {ngram for _, ngram in own})
    return {
        number: (
            {place for place in own if holders[place[1]] <= max_items},
            {place for place in own if holders[place[1]] > max_items},
        )
        for number, own in places.items()
    }


def _covered(places: Places) -> set[int]:
    return {word for start, ngram in places for word in range(start, start + len(ngram))}
