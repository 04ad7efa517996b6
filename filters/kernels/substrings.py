"""Which characters of a document lie in long substrings that occur in it more than once.

A character is covered if any run of at least `size` code points that contains it occurs at another place too; copies
may overlap. It is enough to look at runs of exactly `size`: a longer repeated run is made of them. Each is looked up
by a rolling hash and compared byte for byte, so the result is exact.

Most runs need no look-up. Cut the text into blocks of half that size: every run holds a whole block, so the copy of a
run holds a copy of a block. Few texts have many such copies, and the table of blocks stays in the nearest cache.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import load_8, load_up_to_8, mix, num_code_points
from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.unicode import code_point, width

# From 512 code points on, Thue-Morse sequences of two letters can make all runs share a hash modulo 2**64 though they
# differ, and comparing them all would take quadratic time.
MAX_SIZE = 500

_FACTOR = np.uint64(0x9FB21C651E98DF25)  # odd, so that no code point ever drops out
_TAG_SHIFT = np.uint64(32)
_POSITION = np.uint64(0xFFFFFFFF)
_EMPTY = np.uint64(0)
_MIN_TABLE_BITS = 4
_BLOCK_ROOM = 4  # a look-up of what is no block meets an empty slot at once in 5 of 6 cases
_SEEN_TWICE = np.uint64(1)  # the lowest bit of a block's key; the next one is set, so that no key is empty


class RepeatedChars(NamedTuple):
    """Code points of each document, those covered by repeated runs, and those of the longest unbroken stretch of them.

    All int64 (num_documents,).
    """

    num_chars: npt.NDArray[np.int64]
    repeated: npt.NDArray[np.int64]
    longest: npt.NDArray[np.int64]


def repeated_chars(text: TextBuffers, size: int) -> RepeatedChars:
    """How much of each document is covered by runs of `size` code points that occur in it more than once.

    size: 1 to MAX_SIZE. Time is linear in the text; memory is 14 to 26 bytes for each byte
    of the longest document, which must be shorter than 4 GiB, and a 25th of that for its blocks at size 100.
    """
    assert 1 <= size <= MAX_SIZE
    num_bytes = int(np.diff(text.offsets).max(initial=0))
    assert num_bytes < int(_POSITION)
    table = np.empty(1 << int(_table_bits(num_bytes)), np.uint64)
    blocks = np.empty(1 << int(_table_bits(_BLOCK_ROOM * (num_bytes // _block_size(size)))), np.uint64)
    flags = np.empty((2, num_bytes), np.bool_)
    counts = np.zeros((3, text.num_documents), np.int64)
    _repeated_chars(text.data, text.offsets, size, (table, blocks, flags[0], flags[1]), counts)
    return RepeatedChars(*counts)


@kernel
def _table_bits(num_runs: Any) -> Any:
    """Slots for so many runs as a power of two, at most two thirds full."""
    bits = _MIN_TABLE_BITS
    while (1 << bits) < num_runs + num_runs // 2:
        bits += 1
    return bits


@kernel
def _block_size(size: Any) -> Any:
    """The longest block of which every run holds a whole one."""
    return (size + 1) // 2


@kernel
def _repeated_chars(data: Any, offsets: Any, size: Any, room: Any, counts: Any) -> None:
    table, blocks, hits, starts = room
    for document in range(len(offsets) - 1):
        first, limit = offsets[document], offsets[document + 1]
        num_chars = num_code_points(data, first, limit)
        counts[0, document] = num_chars
        if num_chars <= size:
            continue
        num_blocks = num_chars // _block_size(size)
        block_bits, bits = _table_bits(_BLOCK_ROOM * num_blocks), _table_bits(num_chars - size + 1)
        blocks[: 1 << block_bits] = _EMPTY
        _read_blocks(data, (first, limit), _block_size(size), blocks, np.uint64(64 - block_bits))
        hits[: limit - first] = False
        if not _find_copies(data, (first, limit), _block_size(size), (blocks, hits), np.uint64(64 - block_bits)):
            continue
        table[: 1 << bits] = _EMPTY
        starts[: limit - first] = False
        if _find_repeats(data, (first, limit), size, (table, hits, starts), np.uint64(64 - bits)):
            _count_covered(data, (first, limit), size, starts, counts[1:, document])


@kernel
def _code(data: Any, position: Any, limit: Any) -> Any:
    """The code point at a position as uint64, and where the next one starts."""
    byte = data[position]
    if byte < 0x80:
        return np.uint64(byte), position + 1
    return np.uint64(code_point(data, position, limit)), min(position + width(byte), limit)


@kernel
def _slot(blocks: Any, key: Any, shift: Any) -> Any:
    """Where a block's key is in the table, or the empty slot where it would go."""
    slot = np.int64(key >> shift)
    while blocks[slot] != _EMPTY and blocks[slot] | _SEEN_TWICE != key | _SEEN_TWICE:
        slot = (slot + 1) & np.int64((np.uint64(1) << (np.uint64(64) - shift)) - np.uint64(1))
    return slot


@kernel
def _block_key(state: Any) -> Any:
    return (mix(state) | np.uint64(2)) & ~_SEEN_TWICE


@kernel
def _read_blocks(data: Any, span: Any, block_size: Any, blocks: Any, shift: Any) -> None:
    """Put the blocks of a text into the table, those that occur twice with a mark. uint64, wraps modulo 2**64."""
    position, limit = span
    state, num_chars = np.uint64(0), 0
    while position < limit:
        code, position = _code(data, position, limit)
        state = state * _FACTOR + code
        num_chars += 1
        if num_chars == block_size:
            key = _block_key(state)
            slot = _slot(blocks, key, shift)
            blocks[slot] = key if blocks[slot] == _EMPTY else key | _SEEN_TWICE
            state, num_chars = np.uint64(0), 0


@kernel
def _find_copies(data: Any, span: Any, block_size: Any, room: Any, shift: Any) -> Any:
    """Flag the last byte of every copy of a block but itself, and of few others; whether there is one."""
    blocks, hits = room
    first, limit = span
    last_factor = _power(block_size)
    state, num_chars, num_since, found = np.uint64(0), 0, 0, False
    start = position = first
    while position < limit:
        code, position = _code(data, position, limit)
        state = state * _FACTOR + code
        num_since = num_since + 1 if num_since < block_size else 1  # block_size: here ends a block of the table
        if num_chars < block_size:
            num_chars += 1
        else:
            oldest, start = _code(data, start, limit)
            state -= oldest * last_factor
        if num_chars == block_size:
            known = blocks[_slot(blocks, _block_key(state), shift)]
            if known != _EMPTY and (num_since < block_size or known & _SEEN_TWICE):
                hits[position - first - 1] = found = True
    return found


@kernel
def _power(exponent: Any) -> Any:
    power = np.uint64(1)
    for _ in range(exponent):
        power *= _FACTOR
    return power


@kernel
def _find_repeats(data: Any, span: Any, size: Any, room: Any, shift: Any) -> Any:
    """Mark in `starts` every run that occurs elsewhere; whether there is one. uint64, wraps modulo 2**64."""
    table, hits, starts = room
    first, limit = span
    last_factor = _power(size)
    state, num_chars, found = np.uint64(0), 0, False
    num_since = size  # code points since the end of the last copy of a block
    start = position = first
    while position < limit:
        code, position = _code(data, position, limit)
        state = state * _FACTOR + code
        num_since = 0 if hits[position - first - 1] else num_since + 1
        if num_chars < size:
            num_chars += 1
        else:
            oldest, start = _code(data, start, limit)
            state -= oldest * last_factor
        if num_chars == size and num_since <= size - _block_size(size):
            found |= _look_up(data, (first, start, position), mix(state), (table, starts), shift)
    return found


@kernel
def _look_up(data: Any, run: Any, key: Any, room: Any, shift: Any) -> Any:
    """Mark the run and its first copy, or remember it as the first; slots hold 32 bits of hash, 32 of position + 1."""
    table, starts = room
    first, start, end = run
    slot, tag = np.int64(key >> shift), key << _TAG_SHIFT
    while table[slot] != _EMPTY:
        if table[slot] >> _TAG_SHIFT == tag >> _TAG_SHIFT:
            copy = first + np.int64(table[slot] & _POSITION) - 1
            if _same_bytes(data, copy, start, end - start):
                starts[copy - first] = True
                starts[start - first] = True
                return True
        slot = (slot + 1) & np.int64((np.uint64(1) << (np.uint64(64) - shift)) - np.uint64(1))
    table[slot] = tag | np.uint64(start - first + 1)
    return False


@kernel
def _same_bytes(data: Any, one: Any, other: Any, num_bytes: Any) -> Any:
    offset = 0
    while offset + 8 <= num_bytes:
        if load_8(data, one + offset) != load_8(data, other + offset):
            return False
        offset += 8
    rest = num_bytes - offset
    return load_up_to_8(data, one + offset, rest) == load_up_to_8(data, other + offset, rest)


@kernel
def _count_covered(data: Any, span: Any, size: Any, starts: Any, counts: Any) -> None:
    first, limit = span
    left = stretch = np.int64(0)
    position = first
    while position < limit:
        if starts[position - first]:
            left = size
        stretch = stretch + 1 if left > 0 else np.int64(0)
        counts[0] += left > 0
        counts[1] = max(counts[1], stretch)
        left -= left > 0
        position = min(position + width(data[position]), limit)
