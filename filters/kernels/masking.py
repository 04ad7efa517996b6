"""Text as plain words in lower case, with all terms of a lexicon as one and the same word, cut into windows.

Words and terms are those of filters.kernels.mentions.
"""

from typing import Any

import numpy as np

from filters.kernels.bare import bare_kernel
from filters.kernels.jit import kernel
from filters.kernels.mentions import FOLD_SIZE, SOFT, _longest_term, _next_word
from filters.kernels.unicode import code_point, width

MASK = np.uint8(ord("_"))  # no word has it: words are letters, digits and combining marks
_BLANK = np.uint8(ord(" "))
_ZERO, _NINE = np.uint8(ord("0")), np.uint8(ord("9"))


@kernel
def masked_windows(data: Any, offsets: Any, fold: Any, keys: Any, masks: Any, max_words: Any) -> Any:
    """The words of each document with a blank after each, terms as MASK, in windows of max_words words.

    Terms that follow one another are one MASK, whatever punctuation lies between. Words that start with a digit, which
    are numbers, dates and sizes, are left out.

    data: uint8 (num_bytes,), UTF-8; offsets: int64 (num_documents + 1,); fold, keys, masks as for count_terms.
    Returns out, uint8; starts, int64 (num_windows + 1,), where the windows are in it; num_words, int64 (num_windows,),
    at most max_words; first, int64 (num_documents + 1,): document i has windows first[i] to first[i + 1], none if it
    has no word.
    """
    # A letter's other case has at most one byte more, and only where it has two or more itself.
    out = np.empty(2 * (offsets[-1] - offsets[0]) + 2, np.uint8)
    # A word and what ends it are two bytes at least.
    most_windows = (offsets[-1] - offsets[0]) // (2 * max_words) + 2 * len(offsets)
    starts, num_words = np.zeros(most_windows + 1, np.int64), np.zeros(most_windows, np.int64)
    first = np.zeros(len(offsets), np.int64)
    size = window = 0
    for document in range(len(offsets) - 1):
        end = offsets[document + 1]
        start, stop, position, masked = _next_plain(data, offsets[document], end, False, fold, keys, masks)
        while start < end:
            if num_words[window] == max_words:
                window += 1
                starts[window] = size
            if masked:
                out[size] = MASK
                size += 1
            else:
                size = _write_folded(data, start, stop, fold, out, size)
            out[size] = _BLANK
            size += 1
            num_words[window] += 1
            start, stop, position, masked = _next_plain(data, position, end, masked, fold, keys, masks)
        if num_words[window] > 0:
            window += 1
            starts[window] = size
        first[document + 1] = window
    return out[:size], starts[: window + 1], num_words[:window], first


@bare_kernel
def _next_plain(data: Any, position: Any, end: Any, after_mask: Any, fold: Any, keys: Any, masks: Any) -> Any:
    """The next word or term to write: its start, its word's end, where to read on, and whether it is masked.

    Its start is end if there is none. Numbers are passed over, and terms after a masked one.
    """
    while True:
        position = _word_start(data, position, end, fold)
        if position == end:
            return end, end, end, False
        word, stop, _ = _next_word(data, position, end, fold)
        if _ZERO <= data[position] <= _NINE:
            position = stop
            continue
        mask, after_term = _longest_term(data, stop, end, word, fold, keys, masks)
        if mask == 0:
            return position, stop, stop, False
        if not after_mask:
            return position, stop, after_term, True
        position = after_term


@bare_kernel
def _word_start(data: Any, position: Any, end: Any, fold: Any) -> Any:
    while position < end:
        code = code_point(data, position, end)
        if code >= FOLD_SIZE or fold[code] > SOFT:
            return position
        position = min(position + width(data[position]), end)
    return end


@bare_kernel
def _write_folded(data: Any, position: Any, end: Any, fold: Any, out: Any, size: Any) -> Any:
    """Write the folded code points of one word as UTF-8; returns where the next byte goes."""
    while position < end:
        code = np.int64(code_point(data, position, end))
        position += width(data[position])
        if code < FOLD_SIZE:
            code = np.int64(fold[code])
        num_bytes = 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4
        for place in range(num_bytes - 1, 0, -1):
            out[size + place] = np.uint8(0x80 | (code & 0x3F))
            code >>= 6
        lead = 0 if num_bytes == 1 else 0xF00 >> num_bytes
        out[size] = np.uint8((lead & 0xFF) | code)
        size += num_bytes
    return size
