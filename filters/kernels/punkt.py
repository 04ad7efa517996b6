"""Sentences as NLTK's Punkt splitter finds them with what it has learnt of a language, as NLTK 3.8.1 does (2023).

A sentence may end at . ? ! before white space or a mark that is in no word. Whether it does is asked of the tokens
around: the word before, the mark, and what follows. Then closing quotes and brackets go to the sentence before them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
from filters.kernels.buffers import TextBuffers
from filters.kernels.lines import skip_space_back
from filters.kernels.punkt_tokens import BYTES, CLOSING, MARK, NON_WORD, has_break, nltk_classes
from filters.kernels.unicode import SPACE, code_point, width
from filters.kernels.words import skip_space


@dataclass(frozen=True)
class Sentences:
    """The sentences of some spans of bytes in order; span i has sentences offsets[i] to offsets[i + 1].

    starts, ends: int64 (num_sentences,), byte positions, end exclusive; none is empty or ends with white space.
    offsets: int64 (num_spans + 1,).
    """

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]


def find_sentences(
    text: TextBuffers,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    known: tuple[npt.NDArray[np.uint64], np.uint64],
) -> Sentences:
    """The sentences of each span of bytes on its own; starts, ends: int64 (num_spans,); known: see punkt_table."""
    # At least a byte each; pages that stay unused are never touched, so cost nothing.
    spans = np.empty((2, int((ends - starts).sum()) + 1), np.int64)
    offsets = np.zeros(len(starts) + 1, np.int64)
    _find_sentences(text.data, (starts, ends), (nltk_classes(), *known), spans, offsets)
    return Sentences(spans[0, : offsets[-1]], spans[1, : offsets[-1]], offsets)


@bare_kernel
def _find_sentences(data: Any, spans: Any, known: Any, out: Any, offsets: Any) -> None:
    starts, ends = spans
    num = 0
    for span in range(len(starts)):
        num = _split(data, starts[span], ends[span], known, (out, num))
        offsets[span + 1] = num


@bare_kernel
def _split(data: Any, start: int, end: int, known: Any, at: Any) -> Any:
    """Write the sentences of data[start:end] from the number in `at` on; the number of the next one."""
    classes = known[0]
    out, num = at
    open_start: Any = start  # the sentence that may still take closing quotes
    open_end: Any = -1
    part = start  # where the next one starts
    word, mark = start, -1  # the word before the last mark looked at, and the mark
    behind = follower = start  # the end of what the decision is about; where a next sentence would start
    while True:
        position, next_behind, next_follower = _next_mark(data, max(mark + 1, start), end, classes)
        next_word = _word_start(data, word, max(mark, start), position)
        if mark >= 0 and (position == end or mark <= next_word) and has_break(data, word, behind, known):
            open_start, open_end, num = _put(data, (open_start, open_end), (part, mark + 1), classes, (out, num))
            part = follower
        if position == end:
            break
        word, mark, behind, follower = next_word, position, next_behind, next_follower
    last = max(skip_space_back(data, start, end, classes), part)
    open_start, open_end, num = _put(data, (open_start, open_end), (part, last), classes, (out, num))
    return _write(open_start, open_end, out, num)


@bare_kernel
def _next_mark(data: Any, position: int, end: int, classes: Any) -> Any:
    """The next mark that may end a sentence (or end), the end of what follows it, and where that starts."""
    while position < end:
        if BYTES[data[position]] & MARK and position + 1 < end:
            if BYTES[data[position + 1]] & NON_WORD:
                return position, position + 2, position + 1
            follower = skip_space(data, position + 1, end, classes)
            if position + 1 < follower < end:
                return position, _skip_visible(data, follower, end, classes), follower
        position += 1
    return end, end, end


@bare_kernel
def _skip_visible(data: Any, position: int, end: int, classes: Any) -> Any:
    while position < end and not classes[code_point(data, position, end)] & SPACE:
        position += width(data[position])
    return min(position, end)


@bare_kernel
def _word_start(data: Any, word: int, mark: int, position: int) -> Any:
    """Where the word before the mark at position starts: behind the last ASCII white space since the mark before, else
    where that mark's word does.
    """
    place = position - 1
    while place > mark:
        if data[place] == ord(" ") or ord("\t") <= data[place] <= ord("\r"):
            return place + 1
        place -= 1
    return word


@bare_kernel
def _put(data: Any, pending: Any, part: Any, classes: Any, at: Any) -> Any:
    """Close the pending sentence, with the quotes and brackets at the start of the next part, and open that one."""
    start, end = part
    out, num = at
    if pending[1] < 0:
        return start, end, num
    closed = start
    while closed < end and BYTES[data[closed]] & CLOSING:
        closed += 1
    follower = skip_space(data, closed, end, classes)
    is_dash = closed + 1 < end and data[closed] == ord("-") and data[closed + 1] == ord("-")
    if closed > start and (closed == end or follower > closed or is_dash):
        return follower, end, _write(pending[0], closed, out, num)
    return start, end, _write(pending[0], pending[1], out, num)


@bare_kernel
def _write(start: Any, end: Any, out: Any, num: Any) -> Any:
    if start < end:
        out[0, num] = start
        out[1, num] = end
        num += 1
    return num
