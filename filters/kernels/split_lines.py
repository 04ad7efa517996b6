"""Where lines are in the sense of Python's str.splitlines: cut at every line end that Unicode and ASCII know."""

from typing import Any

import numpy as np

from filters.kernels.bits import HIGH_BITS, LOW_BITS, equal_bytes, load_up_to_8, low_bytes, trailing_zeros
from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.lines import Lines, describe_line, described_lines

_FIRST_PRINTABLE = LOW_BITS * np.uint64(0x20)
_NEXT_LINE_LEAD = np.uint64(0xC2)  # U+0085 is C2 85
_SEPARATOR_LEAD = np.uint64(0xE2)  # U+2028 and U+2029 are E2 80 A8 and E2 80 A9


def find_split_lines(text: TextBuffers) -> Lines:
    r"""The lines of each text; equal to str.splitlines.

    Lines end at \n \r \r\n \v \f, U+001C to U+001E, U+0085, U+2028 and U+2029. An empty text has no line, and a line
    end at the end of a text starts no further one, so `num_line_ends` of the result means nothing.
    """
    offsets = np.zeros(text.num_documents + 1, np.int64)
    _count_lines(text.data, text.offsets, offsets)
    return described_lines(text, offsets, _find_lines)


@kernel
def _count_lines(data: Any, offsets: Any, line_offsets: Any) -> None:
    for document in range(len(offsets) - 1):
        start, limit = offsets[document], offsets[document + 1]
        num_lines = 0
        while start < limit:
            end, size = next_line_end(data, start, limit)
            num_lines += 1
            start = end + size
        line_offsets[document + 1] = line_offsets[document] + num_lines


@kernel
def _find_lines(data: Any, offsets: Any, classes: Any, numbers: Any, hashes: Any) -> None:
    line = 0
    for document in range(len(offsets) - 1):
        start, limit = offsets[document], offsets[document + 1]
        while start < limit:
            end, size = next_line_end(data, start, limit)
            describe_line(data, (start, end), classes, (numbers, hashes), line)
            line += 1
            start = end + size


@kernel
def next_line_end(data: Any, position: int, limit: int) -> Any:
    """Where the next line end starts and its bytes; limit and 0 where there is none."""
    while position < limit:
        size = min(8, limit - position)
        word = load_up_to_8(data, position, size)
        maybe = (word - _FIRST_PRINTABLE) & ~word & HIGH_BITS
        maybe |= equal_bytes(word, _NEXT_LINE_LEAD) | equal_bytes(word, _SEPARATOR_LEAD)
        maybe &= low_bytes(size)
        while maybe:
            place = position + (trailing_zeros(maybe) >> 3)
            maybe &= maybe - np.uint64(1)
            end_size = _line_end_size(data, place, limit)
            if end_size > 0:
                return place, end_size
        position += size
    return limit, 0


@kernel
def _line_end_size(data: Any, place: int, limit: int) -> Any:
    """Bytes of the line end that starts at place; 0 if none does."""
    byte = data[place]
    if byte == 0x0D:
        return 2 if place + 1 < limit and data[place + 1] == 0x0A else 1
    if 0x0A <= byte <= 0x0C or 0x1C <= byte <= 0x1E:
        return 1
    if byte == 0xC2:
        return 2 if place + 1 < limit and data[place + 1] == 0x85 else 0
    if byte == 0xE2 and place + 2 < limit and data[place + 1] == 0x80:
        return 3 if data[place + 2] == 0xA8 or data[place + 2] == 0xA9 else 0
    return 0
