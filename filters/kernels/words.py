"""Where words are: maximal runs of code points that are not white space, as in Python's str.split().

Finding words is apart from all that is measured on them, so another definition of a word only needs to fill `Words`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import (
    HIGH_BITS,
    LOW_BITS,
    hash_bytes,
    hash_up_to_16,
    load_8,
    load_up_to_8,
    low_bytes,
    trailing_zeros,
)
from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.unicode import LETTER, SPACE, code_point, code_point_classes, width

_BELOW_FIRST_VISIBLE = LOW_BITS * np.uint64(0x21)
_LOWER_CASE_BIT = LOW_BITS * np.uint64(0x20)
_TO_A = LOW_BITS * np.uint64(0x80 - ord("a"))
_PAST_Z = LOW_BITS * np.uint64(0x80 - ord("z") - 1)
_BYTE = np.uint64(0xFF)
_LAST_ASCII_SPACE = np.uint64(0x20)
_ASCII_SPACES = np.uint64(sum(1 << number for number in range(0x21) if chr(number).isspace()))


@dataclass(frozen=True)
class Words:
    """The words of a batch in order; document i has words offsets[i] to offsets[i + 1].

    data: uint8, read-only: the bytes of the words, the text's own unless a definition changes words.
    starts, ends: int64 (num_words,), byte positions in data, end exclusive.
    offsets: int64 (num_documents + 1,).
    hashes: uint64 (num_words,), `filters.kernels.bits.hash_bytes` of the word's bytes: the same on every machine.
    num_chars: int32 (num_words,), code points, at least 1.
    has_letter: bool (num_words,), whether any code point is a letter (str.isalpha).
    """

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    num_chars: npt.NDArray[np.int32]
    has_letter: npt.NDArray[np.bool_]


def find_words(text: TextBuffers) -> Words:
    """The words of each text; equal to str.split(). One pass over the bytes, about 30 bytes of memory a word."""
    num_bytes = int(text.offsets[-1] - text.offsets[0])
    # Two words are at least two bytes and a space apart.
    capacity = num_bytes // 2 + text.num_documents + 1
    return filled_words(text, capacity, code_point_classes(), _find_words)


def filled_words(text: TextBuffers, capacity: int, table: Any, find: Callable[..., None]) -> Words:
    """Words as `find` writes them: a kernel of (data, offsets, table, arrays to fill, offsets of words to fill).

    table: an array, or several in tuples; capacity: the most words there can be. Pages that stay unused are never
    touched, so cost nothing.
    """
    spans = np.empty((2, capacity), np.int64)
    hashes = np.empty(capacity, np.uint64)
    num_chars = np.empty(capacity, np.int32)
    has_letter = np.empty(capacity, np.bool_)
    offsets = np.zeros(text.num_documents + 1, np.int64)
    find(text.data, text.offsets, table, (spans[0], spans[1], hashes, num_chars, has_letter), offsets)
    used = slice(0, int(offsets[-1]))
    return Words(text.data, spans[0, used], spans[1, used], offsets, hashes[used], num_chars[used], has_letter[used])


@kernel
def _find_words(data: Any, offsets: Any, classes: Any, out: Any, word_offsets: Any) -> None:
    starts, ends, hashes, num_chars, has_letter = out
    word = 0
    for document in range(len(offsets) - 1):
        limit = offsets[document + 1]
        position = skip_space(data, offsets[document], limit, classes)
        while position < limit:
            size, first_8, next_8 = short_word(data, position, limit)
            starts[word] = position
            if size > 0:
                hashes[word] = hash_up_to_16(first_8, next_8, size)
                num_chars[word] = size
                has_letter[word] = _has_ascii_letter(first_8) or _has_ascii_letter(next_8)
                position += size
            else:
                end, chars, letter = scan_word(data, position, limit, classes)
                hashes[word] = hash_bytes(data, position, end)
                num_chars[word] = chars
                has_letter[word] = letter
                position = end
            ends[word] = position
            word += 1
            position = skip_space(data, position, limit, classes)
        word_offsets[document + 1] = word


@kernel
def short_word(data: Any, position: int, limit: int) -> Any:
    """Size and bytes (two uint64, zero-padded) of a word of 1 to 15 ASCII bytes before ASCII white space; else size 0.

    Most words are of this kind: two loads give end, hash and letters, and branches that are easily foretold.
    """
    none = np.uint64(0)
    if position + 16 > min(limit, len(data)):
        return 0, none, none
    first = load_8(data, position)
    size = trailing_zeros(_not_visible(first)) >> 3
    if size < 8:
        kept = first & low_bytes(size)
        return (size if _is_ascii_space(first >> np.uint64(8 * size)) else 0), kept, none
    second = load_8(data, position + 8)
    size = trailing_zeros(_not_visible(second)) >> 3
    if size == 8 or not _is_ascii_space(second >> np.uint64(8 * size)):
        return 0, none, none
    return 8 + size, first, second & low_bytes(size)


@kernel
def _is_ascii_space(word: Any) -> Any:
    """Whether the lowest byte is ASCII white space."""
    byte = word & _BYTE
    return byte <= _LAST_ASCII_SPACE and (_ASCII_SPACES >> byte) & np.uint64(1) != np.uint64(0)


@kernel
def _not_visible(word: Any) -> Any:
    """uint64: the lowest high bit set marks the first byte below 0x21 or above 0x7F; higher ones may be wrong."""
    return (((word - _BELOW_FIRST_VISIBLE) & ~word) | word) & HIGH_BITS


@kernel
def ascii_letters(word: Any) -> Any:
    """uint64 with the high bit set in each of 8 ASCII bytes that is a letter."""
    folded = word | _LOWER_CASE_BIT
    return (folded + _TO_A) & ~(folded + _PAST_Z) & HIGH_BITS


@kernel
def _has_ascii_letter(word: Any) -> Any:
    """Whether any of 8 ASCII bytes is a letter."""
    return ascii_letters(word) != np.uint64(0)


@kernel
def skip_space(data: Any, position: int, limit: int, classes: Any) -> int:
    """The first position from `position` on, at most limit, that is not white space."""
    while position < limit:
        byte = data[position]
        if byte > 0x20 and byte < 0x80:
            return position
        if not classes[code_point(data, position, limit)] & SPACE:
            return position
        position += width(byte)
    return min(position, limit)


@kernel
def scan_word(data: Any, position: int, limit: int, classes: Any) -> Any:
    """From a word's first byte: its end, its code points, and whether it has a letter."""
    chars = 0
    letter = False
    while position < limit:
        # Up to 8 bytes at a time while they are visible ASCII, the bulk of most words.
        size = min(8, limit - position)
        word = load_up_to_8(data, position, size)
        num_visible = min(size, trailing_zeros(_not_visible(word)) >> 3)
        letter |= _has_ascii_letter(word & low_bytes(num_visible))
        chars += num_visible
        position += num_visible
        # Then any code points that need the table.
        while position < limit and not 0x20 < data[position] < 0x80:
            kind = classes[code_point(data, position, limit)]
            if kind & SPACE:
                return position, chars, letter
            letter |= (kind & LETTER) != 0
            chars += 1
            position = min(position + width(data[position]), limit)
    return position, chars, letter
