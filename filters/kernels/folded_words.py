"""Words that compare equal however a text is set: case, punctuation, white space and Unicode forms do not count.

A word is what stands between white space, without its code points that are no letter, digit or mark, the rest case
folded and decomposed (NFKD): `Don’t` is `dont`, `ﬁne` is `fine`. A CJK ideograph is a word of its own, since Chinese
has no spaces; kana, Thai and other such scripts are not cut.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import mix
from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.unicode import code_point, width

# What the fold table says of a code point; every other entry is the code point that it folds to.
DROPPED, SPACE = 0, 1
EXPANDED = 1 << 31  # or this bit and a position in `expansions`, where the number of code points and they follow
FOLD_SIZE = 0x20000  # planes 0 and 1; planes 2 and 3 are ideographs, which stay as they are; no text lies above
_FIRST_IDEOGRAPH, _END_OF_IDEOGRAPHS = 0x3400, 0x40000
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)

_OFFSET = np.uint64(0xCBF29CE484222325)  # FNV-1a, taken over code points
_PRIME = np.uint64(0x100000001B3)


@dataclass(frozen=True)
class FoldedWords:
    """The folded words of a batch in order; document i has words offsets[i] to offsets[i + 1].

    starts, ends: int64 (num_words,), byte positions in the text's data of the first code point that counts and after
    the last one; offsets: int64 (num_documents + 1,); hashes: uint64 (num_words,), of the folded code points.
    places: int64 (num_words,), number of the word in its document as written, where punctuation between white space is
    a word too; num_places: int64 (num_documents,), the number of such words.
    """

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    places: npt.NDArray[np.int64]
    num_places: npt.NDArray[np.int64]


def find_folded_words(text: TextBuffers) -> FoldedWords:
    """The folded words of each text, in one pass; about 32 bytes of memory a word."""
    num_bytes = int(text.offsets[-1] - text.offsets[0])
    # Two words are at least two bytes and a space apart, ideographs three bytes. Unused pages are never touched.
    capacity = num_bytes // 2 + text.num_documents + 1
    starts, ends, places = np.empty((3, capacity), np.int64)
    hashes = np.empty(capacity, np.uint64)
    offsets = np.zeros(text.num_documents + 1, np.int64)
    num_places = np.zeros(text.num_documents, np.int64)
    _find_words(text.data, text.offsets, fold_table(), (starts, ends, hashes, places), (offsets, num_places))
    used = slice(0, int(offsets[-1]))
    return FoldedWords(starts[used], ends[used], offsets, hashes[used], places[used], num_places)


@cache
def fold_table() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """The table of all code points, uint32 (FOLD_SIZE,), and the expansions it points to; both read-only.

    Made once in a process, in about 0.2 s.
    """
    table = np.zeros(FOLD_SIZE, np.uint32)
    expansions: list[int] = []
    for number in range(FOLD_SIZE):
        character = chr(number)
        folded = [ord(part) for part in fold(character)]
        if character.isspace():
            table[number] = SPACE
        elif len(folded) == 1:
            table[number] = folded[0]
        elif folded:
            table[number] = EXPANDED | len(expansions)
            expansions += [len(folded), *folded]
    both = table, np.array(expansions, np.uint32)
    for array in both:
        array.setflags(write=False)
    return both


def fold(character: str) -> str:
    """The code points that count of one: case folded, decomposed, without all but letters, digits and marks."""
    if not character.isascii():
        character = unicodedata.normalize("NFKD", character)
    folded = character.casefold()
    if not folded.isascii():
        folded = unicodedata.normalize("NFKD", folded)
    return "".join(part for part in folded if _counts(part))


def _counts(character: str) -> bool:
    if character.isalnum():
        return True
    return unicodedata.category(character).startswith("M") and ord(character) not in _VARIATION_SELECTORS


@kernel
def _find_words(data: Any, text_offsets: Any, tables: Any, out: Any, out_counts: Any) -> None:
    starts, ends, hashes, places = out
    offsets, num_places = out_counts
    word = 0
    for document in range(len(text_offsets) - 1):
        position, limit = text_offsets[document], text_offsets[document + 1]
        place = 0
        while position < limit:
            state, start, end, position, num_bare = _next_word(data, position, limit, tables)
            place += num_bare
            if start < 0:
                break
            starts[word], ends[word], hashes[word], places[word] = start, end, mix(state), place
            word += 1
            place += 1
        offsets[document + 1] = word
        num_places[document] = place


@kernel
def _next_word(data: Any, position: Any, limit: Any, tables: Any) -> Any:
    """Hash, start (-1: no more words) and end of the next word, where to go on, and runs of punctuation before it."""
    fold_of, expansions = tables
    state = _OFFSET
    start, end, num_bare = np.int64(-1), np.int64(-1), np.int64(0)
    marked = False
    while position < limit:
        byte = data[position]
        code = np.int64(byte) if byte < 0x80 else code_point(data, position, limit)
        folded = np.int64(fold_of[code]) if code < FOLD_SIZE else code
        after = position + 1 if byte < 0x80 else min(position + width(byte), limit)
        if SPACE < folded < _FIRST_IDEOGRAPH:
            state = _step(state, folded)
            start = position if start < 0 else start
            end = after
        elif folded == SPACE:
            if start >= 0:
                return state, start, end, after, num_bare
            num_bare += marked
            marked = False
        elif is_ideograph(folded):
            if start >= 0:
                return state, start, end, position, num_bare
            return _step(state, folded), position, after, after, num_bare
        elif folded == DROPPED or _is_dropped_above(folded):
            marked = True
        else:
            state = _step_all(state, folded, expansions)
            start = position if start < 0 else start
            end = after
        position = after
    return state, start, end, position, num_bare + (marked and start < 0)


@kernel
def is_ideograph(folded: Any) -> Any:
    """Whether a folded code point is a CJK ideograph."""
    return _FIRST_IDEOGRAPH <= folded < 0xA000 or FOLD_SIZE <= folded < _END_OF_IDEOGRAPHS


@kernel
def _is_dropped_above(folded: Any) -> Any:
    return _END_OF_IDEOGRAPHS <= folded < EXPANDED


@kernel
def _step_all(state: Any, folded: Any, expansions: Any) -> Any:
    if folded < EXPANDED:
        return _step(state, folded)
    place = folded - EXPANDED
    for part in range(place + 1, place + 1 + np.int64(expansions[place])):
        state = _step(state, np.int64(expansions[part]))
    return state


@kernel
def _step(state: Any, folded: Any) -> Any:
    """Hash of a word with one code point more; uint64, wraps modulo 2**64."""
    return (state ^ np.uint64(folded)) * _PRIME
