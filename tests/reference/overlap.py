"""Overlap of documents with items by lists of words, looking at every pair of places."""

from tests.reference.folded_words import folded_words

Words = tuple[str, ...]


def ngrams(item: str, n: int, min_words: int) -> set[tuple[int, Words]]:
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
    document: str, items: list[str], n: int, min_words: int, min_overlap: float
) -> tuple[int, float, int, int, list[bool]]:
    """Item of which most is found (-1: none), its share found, n-grams, items, and which words match."""
    words = [word for word, *_ in folded_words(document)[0]]
    places = {tuple(words[start:end]): None for start in range(len(words)) for end in range(start + 1, len(words) + 1)}
    shares: dict[int, float] = {}
    found: dict[int, set[Words]] = {}
    for number, item in enumerate(items):
        here = {(start, ngram) for start, ngram in ngrams(item, n, min_words) if ngram in places}
        covered = {word for start, ngram in here for word in range(start, start + len(ngram))}
        if here:
            shares[number] = len(covered) / len(folded_words(item)[0])
            found[number] = {ngram for _, ngram in here}
    wanted = {ngram for number, own in found.items() if shares[number] >= min_overlap for ngram in own}
    matched = [
        any(tuple(words[start : start + len(ngram)]) == ngram and start <= word < start + len(ngram)
            for ngram in wanted for start in range(len(words)))
        for word in range(len(words))
    ]  # fmt: skip
    best = min(shares, key=lambda number: (-shares[number], number), default=-1)
    return best, shares.get(best, 0.0), len(set().union(*found.values())), len(shares), matched
