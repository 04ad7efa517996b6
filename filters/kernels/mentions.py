"""Counting the terms of a lexicon in one pass over the bytes.

A word is a run of letters, digits and combining marks, compared by the hash of its folded code points. A term is one
word or several; the words of a term may be separated by blanks, hyphens and apostrophes, but by nothing else.
"""

import unicodedata
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
from filters.kernels.jit import kernel
from filters.kernels.unicode import code_point, width

HARD, SOFT = 0, 1  # classes of separators in the fold table; every other entry is a folded code point
FOLD_SIZE = 0x20000  # planes 0 and 1; what lies above are ideographs, which have no case
SOFT_PUNCTUATION = frozenset("-'\u00ad\u2010\u2011\u2018\u2019\u02bc")

_OFFSET = np.uint64(0xCBF29CE484222325)  # FNV-1a, taken over code points
_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0x9E3779B97F4A7C15)


@cache
def fold_table() -> npt.NDArray[np.uint32]:
    """uint32 (FOLD_SIZE,), read-only: the folded code point of a word character, else HARD or SOFT."""
    table = np.zeros(FOLD_SIZE, np.uint32)
    for code in range(FOLD_SIZE):
        table[code] = _folded(chr(code))
    table.setflags(write=False)
    return table


def _folded(character: str) -> int:
    if character in SOFT_PUNCTUATION or character.isspace():
        return SOFT
    if not character.isalnum() and not unicodedata.category(character).startswith("M"):
        return HARD
    lower = character.lower()
    return ord(lower) if len(lower) == 1 else ord(character)


@bare_kernel
def _next_word(data: Any, position: Any, end: Any, fold: Any) -> Any:
    """Hash of the next word (0: no more), the position after it, and whether only soft separators came before it.

    Arithmetic is uint64 and wraps modulo 2**64.
    """
    soft = True
    word = _OFFSET
    inside = False
    while position < end:
        code = code_point(data, position, end)
        folded = np.int64(fold[code]) if code < FOLD_SIZE else code
        if folded > SOFT:
            word = (word ^ np.uint64(folded)) * _PRIME
            inside = True
        elif inside:
            break
        elif folded == HARD:
            soft = False
        position = min(position + width(data[position]), end)
    return (word if inside else np.uint64(0)), position, soft


@bare_kernel
def _extend(prefix: Any, word: Any) -> Any:
    """Hash of a phrase with one word more; uint64, wraps modulo 2**64."""
    return ((prefix ^ (prefix >> np.uint64(29))) * _MIX) ^ word


@bare_kernel
def _slot(keys: Any, key: Any) -> Any:
    """Where a key is in the open-addressed table, or the empty slot where it would go."""
    mask = np.uint64(len(keys) - 1)
    slot = (key ^ (key >> np.uint64(32))) & mask
    while keys[slot] != np.uint64(0) and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@kernel
def add_term(term: Any, groups: Any, fold: Any, keys: Any, masks: Any) -> Any:
    """Put one term into the table, in place; its beginnings are entered with an empty mask.

    term: uint8 (num_bytes,), UTF-8; groups: uint16 bit mask; keys: uint64 and masks: uint16, both (capacity,), where
    capacity is a power of two larger than the number of words of all terms. Returns the number of words of the term.
    """
    prefix, position, _ = _next_word(term, 0, len(term), fold)
    num_words = 0
    while True:
        num_words += 1
        slot = _slot(keys, prefix)
        keys[slot] = prefix
        word, position, _ = _next_word(term, position, len(term), fold)
        if word == np.uint64(0):
            masks[slot] |= groups
            return num_words
        prefix = _extend(prefix, word)


@bare_kernel
def _longest_term(data: Any, position: Any, end: Any, word: Any, fold: Any, keys: Any, masks: Any) -> Any:
    """Groups of the longest term that begins with `word` (0: none) and the position after it."""
    best, after, prefix = np.uint16(0), position, word
    while True:
        slot = _slot(keys, prefix)
        if keys[slot] == np.uint64(0):
            return best, after
        if masks[slot] != 0:
            best, after = masks[slot], position
        word, position, soft = _next_word(data, position, end, fold)
        if word == np.uint64(0) or not soft:
            return best, after
        prefix = _extend(prefix, word)


@kernel
def count_terms(data: Any, offsets: Any, fold: Any, keys: Any, masks: Any, num_groups: Any) -> Any:
    """Mentions by document and group, terms taken from left to right without overlap, the longest first.

    data: uint8 (num_bytes,), UTF-8; offsets: int64 (num_documents + 1,); fold: uint32 (FOLD_SIZE,), see fold_table;
    keys: uint64 and masks: uint16, both (capacity,), filled by add_term.
    Returns float64 (num_groups, num_documents), whole numbers.
    """
    counts = np.zeros((num_groups, len(offsets) - 1), np.float64)
    for document in range(len(offsets) - 1):
        position, end = offsets[document], offsets[document + 1]
        word, position, _ = _next_word(data, position, end, fold)
        while word != np.uint64(0):
            mask, position = _longest_term(data, position, end, word, fold, keys, masks)
            for group in range(num_groups):
                if (mask >> group) & 1:
                    counts[group, document] += 1.0
            word, position, _ = _next_word(data, position, end, fold)
    return counts
