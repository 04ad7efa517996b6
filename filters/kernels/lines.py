"""Where lines are: the parts of a text between line feeds, as in Python's str.split with a line feed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import (
    equal_bytes,
    hash_bytes,
    load_8,
    load_up_to_8,
    next_byte,
    num_code_points,
    num_ones,
)
from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.unicode import SPACE, code_point, code_point_classes, last_code_point_start
from filters.kernels.words import skip_space

_LINE_END = np.uint64(ord("\n"))


@dataclass(frozen=True)
class Lines:
    """The lines of a batch in order; document i has lines offsets[i] to offsets[i + 1].

    A document has one line more than line feeds, so an empty one has one empty line; other line ends (CR, U+2028) do
    not cut. `content` is a line without white space at both ends; it is empty in a blank line.

    starts, ends: int64 (num_lines,), byte positions in the text's data, without the line feed.
    offsets: int64 (num_documents + 1,).
    hashes: uint64 (num_lines,), `filters.kernels.bits.hash_bytes` of the whole line.
    num_chars: int64 (num_lines,), code points of the whole line.
    content_starts, content_ends, content_hashes, content_chars: the same of the content.
    """

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    num_chars: npt.NDArray[np.int64]
    content_starts: npt.NDArray[np.int64]
    content_ends: npt.NDArray[np.int64]
    content_hashes: npt.NDArray[np.uint64]
    content_chars: npt.NDArray[np.int64]

    @property
    def has_content(self) -> npt.NDArray[np.bool_]:
        """Lines that are not blank: bool (num_lines,)."""
        return np.asarray(self.content_ends > self.content_starts)

    @property
    def num_line_ends(self) -> npt.NDArray[np.int64]:
        """Line feeds in each document: int64 (num_documents,)."""
        return np.diff(self.offsets) - 1


def find_lines(text: TextBuffers) -> Lines:
    """The lines of each text; equal to str.split with a line feed."""
    offsets = np.zeros(text.num_documents + 1, np.int64)
    _count_lines(text.data, text.offsets, offsets)
    return described_lines(text, offsets, _find_lines)


def described_lines(text: TextBuffers, offsets: npt.NDArray[np.int64], find: Callable[..., None]) -> Lines:
    """Lines as `find` describes them: a kernel of (data, text offsets, code point classes, numbers and hashes to fill).

    offsets: int64 (num_documents + 1,), of the lines.
    """
    num_lines = int(offsets[-1])
    numbers = np.empty((6, num_lines), np.int64)
    hashes = np.empty((2, num_lines), np.uint64)
    find(text.data, text.offsets, code_point_classes(), numbers, hashes)
    starts, ends, num_chars, content_starts, content_ends, content_chars = numbers
    return Lines(
        starts, ends, offsets, hashes[0], num_chars, content_starts, content_ends, hashes[1], content_chars
    )  # fmt: skip


@kernel
def _count_lines(data: Any, offsets: Any, line_offsets: Any) -> None:
    for document in range(len(offsets) - 1):
        position, limit = offsets[document], offsets[document + 1]
        num_lines = 1
        while position + 8 <= limit:
            num_lines += num_ones(equal_bytes(load_8(data, position), _LINE_END))
            position += 8
        num_lines += num_ones(equal_bytes(load_up_to_8(data, position, limit - position), _LINE_END))
        line_offsets[document + 1] = line_offsets[document] + num_lines


@kernel
def _find_lines(data: Any, offsets: Any, classes: Any, numbers: Any, hashes: Any) -> None:
    line = 0
    for document in range(len(offsets) - 1):
        start, limit = offsets[document], offsets[document + 1]
        while True:
            end = next_byte(data, start, limit, _LINE_END)
            describe_line(data, (start, end), classes, (numbers, hashes), line)
            line += 1
            if end == limit:
                break
            start = end + 1


@kernel
def describe_line(data: Any, span: Any, classes: Any, out: Any, line: int) -> None:
    """Fill one column of `numbers` and `hashes`; slices of them would cost atomic reference counts for each line."""
    start, end = span
    numbers, hashes = out
    content_start = skip_space(data, start, end, classes)
    content_end = skip_space_back(data, content_start, end, classes)
    num_chars = num_code_points(data, start, end)
    content_hash = hash_bytes(data, content_start, content_end)
    numbers[0, line], numbers[1, line], numbers[2, line] = start, end, num_chars
    numbers[3, line], numbers[4, line] = content_start, content_end
    hashes[1, line] = content_hash
    if content_start == start and content_end == end:
        numbers[5, line] = num_chars
        hashes[0, line] = content_hash
    else:
        numbers[5, line] = num_code_points(data, content_start, content_end)
        hashes[0, line] = hash_bytes(data, start, end)


@kernel
def skip_space_back(data: Any, start: int, end: int, classes: Any) -> Any:
    """The end of data[start:end] without the white space before it."""
    while end > start:
        last = last_code_point_start(data, start, end)
        if not classes[code_point(data, last, end)] & SPACE:
            return end
        end = last
    return start
