"""One pass over UTF-8 that removes characters and unifies line ends and blanks, driven by a table of classes."""

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
from filters.kernels.jit import kernel

# Classes of code points; the values are the entries of the table.
KEEP = 0
REMOVE = 1
NEWLINE = 2  # becomes "\n"
CARRIAGE_RETURN = 3  # becomes "\n", together with a NEWLINE right after it
BLANK = 4  # blanks in a row become one space; dropped at line ends
JOINER = 5  # kept only after a JOINABLE
JOINABLE = 6  # kept; a letter or sign of a script that uses joiners
MARK = 7  # kept; does not change what a JOINER after it is compared with
# Added to a class: a text without any such code point is its own Unicode normal form.
UNSTABLE = 0x80

MAX_NEWLINES = 2


@bare_kernel
def _code_point(data: npt.NDArray[np.uint8], position: int) -> tuple[np.int64, int]:
    """The code point at a position of valid UTF-8, and its number of bytes."""
    first = np.int64(data[position])
    if first < 0x80:
        return first, 1
    second = np.int64(data[position + 1] & 0x3F)
    if first < 0xE0:
        return (first & 0x1F) << 6 | second, 2
    third = np.int64(data[position + 2] & 0x3F)
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third, 3
    return (first & 0x07) << 18 | second << 12 | third << 6 | np.int64(data[position + 3] & 0x3F), 4


@bare_kernel
def _rewrite_one(
    data: npt.NDArray[np.uint8],
    window: tuple[int, int],
    classes: npt.NDArray[np.uint8],
    squeeze: bool,
    out: npt.NDArray[np.uint8],
    size: int,
) -> tuple[int, bool]:
    """Rewrite one document to out[size:]; returns the new size and whether a code point kept is UNSTABLE."""
    begin = size
    position, end = window
    newlines = 0  # line ends and blanks are held back until something follows
    blank = after_return = joinable = unstable = False
    while position < end:
        code, width = _code_point(data, position)
        entry = classes[code] if code < len(classes) else np.uint8(KEEP)
        kind = entry & 0x7F
        position += width
        if kind == REMOVE or (kind == JOINER and not joinable):
            continue
        if kind in (NEWLINE, CARRIAGE_RETURN):
            newlines += 0 if after_return and code == 0x0A else 1
            after_return = kind == CARRIAGE_RETURN
            blank = joinable = False
            continue
        after_return = False
        if kind == BLANK:
            blank, joinable = True, False
            continue
        if size > begin or not squeeze:
            size = _write_gap(out, size, min(newlines, MAX_NEWLINES) if squeeze else newlines, blank)
        newlines, blank = 0, False
        joinable = joinable if kind == MARK else kind == JOINABLE
        if entry >= UNSTABLE:
            unstable = True
        for source in range(position - width, position):
            out[size] = data[source]
            size += 1
    return size if squeeze else _write_gap(out, size, newlines, False), unstable


@bare_kernel
def _write_gap(out: npt.NDArray[np.uint8], size: int, newlines: int, blank: bool) -> int:
    """Write line ends, then a space if there was a blank; returns the new size."""
    for _ in range(newlines):
        out[size] = 0x0A
        size += 1
    if blank:
        out[size] = 0x20
        size += 1
    return size


@kernel
def rewrite(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    squeeze: bool,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Apply the class of each code point.

    data: uint8, valid UTF-8; offsets: int64 (num_documents + 1,), windows of data; classes: uint8 (num_classes,),
    code points beyond it are KEEP. squeeze: at most MAX_NEWLINES newlines in a row, none and no blanks at the start
    and end of a document, no blanks before a newline; without it BLANK must not occur in the table.
    Returns uint8 (new bytes,), int64 (num_documents + 1,) from 0, and uint8 (num_documents,) that is 1 for a document
    of which a code point that was kept is UNSTABLE. No code point grows, so the result is never longer than the input.
    """
    num_documents = len(offsets) - 1
    out = np.empty(offsets[num_documents] - offsets[0], np.uint8)
    new_offsets = np.zeros(num_documents + 1, np.int64)
    unstable = np.zeros(num_documents, np.uint8)
    size = 0
    for document in range(num_documents):
        window = (offsets[document], offsets[document + 1])
        size, unstable[document] = _rewrite_one(data, window, classes, squeeze, out, size)
        new_offsets[document + 1] = size
    return out[:size].copy(), new_offsets, unstable
