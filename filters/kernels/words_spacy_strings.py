"""A set of short byte strings in one array, for kernels: special cases and units of spaCy's English."""

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
from filters.kernels.bits import hash_bytes, load_up_to_8

SPECIAL, UNIT = 1, 2  # what a string of the table is, added up
_NUM_HEADS = 256
_NUM_BITS = 1 << 16
_FIRST_ROW = _NUM_HEADS + _NUM_BITS // 64
_ROW = 5  # uint64 of a row: length, kind and cuts; 32 bytes of the string
MAX_STRING_BYTES = 32
_NONE = np.uint64(0)
_ONE = np.uint64(1)
_BYTE = np.uint64(0xFF)


def string_table(strings: dict[bytes, tuple[int, list[int]]]) -> npt.NDArray[np.uint64]:
    """Strings of 1 to 32 bytes, each with its kind and the places in it where tokens end, as one array.

    uint64: in the first 256, bit n of number b is set where some string of n bytes starts with byte b. Then 65,536
    bits, of which those are set that the high 16 bits of a string's hash name. Most look-ups end at the one or the
    other. Then rows of 5 by open addressing from the string's hash on, a power of two of them: in the first
    number of a row 8 bits for the length (0 is a free row), 8 for the kind and bit 16 + n for a token that ends after
    n bytes; then the string, zero-padded.
    """
    num_rows = 1 << (2 * len(strings)).bit_length()
    table = np.zeros(_FIRST_ROW + num_rows * _ROW, np.uint64)
    rows = table[_FIRST_ROW:].reshape(num_rows, _ROW)
    for key in sorted(strings):
        assert 0 < len(key) <= MAX_STRING_BYTES
        kind, cuts = strings[key]
        table[key[0]] |= np.uint64(1 << len(key))
        bit, row = string_hash(key) >> 48, string_hash(key) % num_rows
        table[_NUM_HEADS + bit // 64] |= np.uint64(1 << bit % 64)
        while rows[row, 0]:
            row = (row + 1) % num_rows
        rows[row, 0] = len(key) | kind << 8 | sum(1 << (16 + cut) for cut in cuts)
        rows[row, 1:] = np.frombuffer(key.ljust(MAX_STRING_BYTES, b"\0"), np.uint64)
    return table


def string_hash(key: bytes) -> int:
    """hash_bytes of the string."""
    return int(hash_bytes(np.frombuffer(key, np.uint8), 0, len(key)))


@bare_kernel
def may_have(strings: Any, number: Any) -> Any:
    """Whether a string with this hash may be in the table; of others, one in 45 may too."""
    bit = number >> np.uint64(48)
    return (strings[np.int64(bit >> np.uint64(6)) + _NUM_HEADS] >> (bit & np.uint64(63))) & _ONE != _NONE


@bare_kernel
def find_string(data: Any, start: int, end: int, strings: Any, kind: int) -> Any:
    """uint64: bit n is set where data[start:end], if it is of this kind, has a token that ends after n bytes.

    Bit 0 is set for each string that is there; 0 for all others.
    """
    size = end - start
    if size <= 0 or size > MAX_STRING_BYTES or (strings[data[start]] >> np.uint64(size)) & _ONE == _NONE:
        return _NONE
    number = hash_bytes(data, start, end)
    if not may_have(strings, number):
        return _NONE
    num_rows = (len(strings) - _FIRST_ROW) // _ROW
    row = np.int64(number & np.uint64(num_rows - 1))
    while True:
        head = strings[_FIRST_ROW + row * _ROW]
        if head == _NONE:
            return _NONE
        if np.int64(head & _BYTE) == size and _is_row(data, start, size, strings, row):
            found = (head >> np.uint64(8)) & np.uint64(kind) != _NONE
            return (head >> np.uint64(16)) | _ONE if found else _NONE
        row = (row + 1) & (num_rows - 1)


@bare_kernel
def _is_row(data: Any, start: int, size: int, strings: Any, row: Any) -> Any:
    number = _FIRST_ROW + row * _ROW + 1
    for offset in range(0, size, 8):
        if load_up_to_8(data, start + offset, min(8, size - offset)) != strings[number]:
            return False
        number += 1
    return True
