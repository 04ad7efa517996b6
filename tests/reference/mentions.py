"""The obvious way to count the terms of a lexicon: words as strings, the longest term tried first."""

import unicodedata


def words(text: str) -> list[tuple[str, bool]]:
    """(lower-cased word, whether only blanks, hyphens and apostrophes stand between it and the word before)."""
    found, word, soft = [], "", True
    for character in text + "\0":
        if character.isalnum() or unicodedata.category(character).startswith("M"):
            word += character.lower() if len(character.lower()) == 1 else character
            continue
        if word:
            found.append((word, soft))
            word, soft = "", True
        if not (character.isspace() or character in "-'\u00ad\u2010\u2011\u2018\u2019\u02bc"):
            soft = False
    return found


def count_terms(text: str, terms: dict[str, set[str]], groups: tuple[str, ...]) -> list[int]:
    """Mentions of each group, from left to right without overlap, the longest term first."""
    phrases = {tuple(word for word, _ in words(term)): found for term, found in terms.items()}
    longest = max(map(len, phrases), default=0)
    document, counts, position = words(text), dict.fromkeys(groups, 0), 0
    while position < len(document):
        step = 1
        for length in range(longest, 0, -1):
            part = document[position : position + length]
            key = tuple(word for word, _ in part)
            if len(part) == length and key in phrases and all(soft for _, soft in part[1:]):
                for group in phrases[key]:
                    counts[group] += 1
                step = length
                break
        position += step
    return [counts[group] for group in groups]
