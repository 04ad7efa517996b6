"""Plain words with terms masked, slow and obvious: one character at a time, every length of a term tried."""

import unicodedata

SOFT = set("-'\u00ad\u2010\u2011\u2018\u2019\u02bc")


def _is_word(character):
    if ord(character) >= 0x20000:  # ideographs, and what is not assigned yet
        return True
    return character not in SOFT and (character.isalnum() or unicodedata.category(character).startswith("M"))


def _lower(character):
    lower = character.lower()
    return lower if len(lower) == 1 else character


def _words(text):
    """(word, whether only soft characters lie between it and the one before)."""
    words, word, soft = [], "", True
    for character in [*text, "."]:
        if _is_word(character):
            word += _lower(character)
            continue
        if word:
            words.append((word, soft))
            word, soft = "", True
        soft = soft and (character in SOFT or character.isspace())
    return words


def _term_at(words, start, terms):
    """Number of words of the longest term that begins here, 0 for none."""
    for end in range(len(words), start, -1):
        joined = tuple(word for word, _ in words[start:end])
        if joined in terms and all(soft for _, soft in words[start + 1 : end]):
            return end - start
    return 0


def masked_windows(text, terms, max_words):
    """The windows of one text, each a list of words."""
    terms = {tuple(word for word, _ in _words(term)) for term in terms}
    words, found, start = _words(text), [], 0
    while start < len(words):
        if "0" <= words[start][0][0] <= "9":
            start += 1
            continue
        size = _term_at(words, start, terms)
        if not size:
            found.append(words[start][0])
        elif not found or found[-1] != "_":
            found.append("_")
        start += size or 1
    return [found[at : at + max_words] for at in range(0, len(found), max_words)]
