"""What datatrove counts and nobody else does: words that are no mere symbols, and repetition by its own keys."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.unicode import NUM_CODE_POINTS, SENTENCE_END, code_point, code_point_classes, width
from filters.kernels.words import Words

# Code points that datatrove 0.10.1 takes for symbols beside the ends of sentences: ASCII and control characters that
# are neither letter, digit nor blank, and a few marks of other scripts, among them U+FF11, a full-width digit one.
_SYMBOLS = (
    "0-8 B-1F 22-2D 2F 3A-3E 40 5B-60 7B-9F AB B4 BB 2013-2014 2019 201C-201E 2026 2236 2501 25BA 3001 3008-300D "
    "3010-3011 FF05 FF08-FF09 FF0C FF11 FF1A-FF1B FF5E"
)


@cache
def _is_symbol() -> npt.NDArray[np.bool_]:
    """Whether a code point is a symbol: bool (0x110000,), read-only."""
    table = (code_point_classes() & SENTENCE_END) != 0
    for span in _SYMBOLS.split():
        first, _, last = span.partition("-")
        table[int(first, 16) : int(last or first, 16) + 1] = True
    assert len(table) == NUM_CODE_POINTS
    table.setflags(write=False)
    return table


def has_more_than_symbols(text: TextBuffers, words: Words) -> npt.NDArray[np.bool_]:
    """Words with a code point that is no symbol: bool (num_words,)."""
    found = np.zeros(len(words.starts), np.bool_)
    _has_more_than_symbols(text.data, words.starts, words.ends, _is_symbol(), found)
    return found


@kernel
def _has_more_than_symbols(data: Any, starts: Any, ends: Any, symbols: Any, found: Any) -> None:
    for word in range(len(starts)):
        position, end = starts[word], ends[word]
        while position < end and not found[word]:
            found[word] = not symbols[code_point(data, position, end)]
            position += width(data[position])
