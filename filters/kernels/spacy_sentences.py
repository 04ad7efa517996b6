"""Sentences as spaCy's rule-based sentencizer counts them, from the words of its blank English pipeline."""

import unicodedata
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.unicode import NUM_CODE_POINTS, code_point, width
from filters.kernels.words import Words

_PUNCTUATION = 1  # general category P*
_ENDS_SENTENCE = 2

# The code points that end a sentence, spaCy 3.8: each a token of its own. Older than Unicode's Sentence_Terminal.
_ENDS = (
    "21 2E 3F 589 61F 6D4 700-702 7F9 964-965 104A-104B 1362 1367-1368 166E 1735-1736 1803 1809 1944-1945 1AA8-1AAB "
    "1B5A-1B5B 1B5E-1B5F 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 2E2E 2E3C 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 "
    "A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 11047-11048 "
    "110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 "
    "115C9-115D7 11641-11642 1173C-1173E 11A42-11A43 11A9B-11A9C 11C41-11C42 16A6E-16A6F 16AF5 16B37-16B38 16B44 "
    "1BC9F 1DA88"
)


@cache
def _marks() -> npt.NDArray[np.uint8]:
    """PUNCTUATION and ENDS_SENTENCE bits of each code point: uint8 (0x110000,), read-only."""
    marks = np.zeros(NUM_CODE_POINTS, np.uint8)
    # No plane beyond the first two has punctuation.
    marks[:0x20000] = [unicodedata.category(chr(number))[0] == "P" for number in range(0x20000)]
    for span in _ENDS.split():
        first, _, last = span.partition("-")
        marks[int(first, 16) : int(last or first, 16) + 1] |= _ENDS_SENTENCE
    marks.setflags(write=False)
    return marks


def count_spacy_sentences(
    text: TextBuffers, words: Words, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Sentences of each span of bytes, a text or a line: int64 (num_spans,), at least 1, also of an empty one.

    words: those of `spacy_en`; starts, ends: int64 (num_spans,), ascending, none within a word.
    A sentence starts at the first token that is no punctuation after one that ends a sentence; white space is a token,
    but for a single space behind a word, so two spaces at the end start one more. That an empty text has one sentence
    is datatrove's way (0.10.1).
    """
    counts = np.ones(len(starts), np.int64)
    _count(text.data, (starts, ends), (words.starts, words.ends), _marks(), counts)
    return counts


@kernel
def _count(data: Any, spans: Any, words: Any, marks: Any, counts: Any) -> None:
    span_starts, span_ends = spans
    starts, ends = words
    word = 0
    for span in range(len(counts)):
        behind, limit = span_starts[span], span_ends[span]
        ended = False
        while word < len(starts) and starts[word] < behind:
            word += 1
        while word < len(starts) and starts[word] < limit:
            if ended and _has_space_token(data, behind, starts[word]):
                counts[span] += 1
                ended = False
            mark = _mark(data, starts[word], ends[word], marks)
            if mark & _ENDS_SENTENCE:
                ended = True
            elif ended and not mark & _PUNCTUATION:
                counts[span] += 1
                ended = False
            behind = ends[word]
            word += 1
        counts[span] += ended and _has_space_token(data, behind, limit)


@kernel
def _has_space_token(data: Any, start: int, end: int) -> Any:
    """Whether the white space behind a word is more than the one space that belongs to the word."""
    return end - start > 1 or (end - start == 1 and data[start] != ord(" "))


@kernel
def _mark(data: Any, start: int, end: int, marks: Any) -> Any:
    """What a word is: PUNCTUATION if all of it is, ENDS_SENTENCE if it is one such code point."""
    first: Any = np.int64(marks[code_point(data, start, end)])
    position = start + width(data[start])
    if position >= end:
        return first
    common = first & _PUNCTUATION
    while position < end and common != 0:
        common &= np.int64(marks[code_point(data, position, end)])
        position += width(data[position])
    return common
