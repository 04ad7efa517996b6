"""The measures of the Gopher rules by datatrove 0.10.1's definitions, for `semantics = "datatrove"`.

Each function fills the same measures as the filter's own definitions do, from the same operands in float64 as
datatrove's Python, so that a comparison with a limit comes out the same. What is particular to datatrove, its bugs
included, is listed in the pages of the filters.
"""

from collections.abc import Sequence

import numpy as np

from filters.base import Columns, Documents
from filters.kernels.datatrove import has_more_than_symbols
from filters.kernels.split_lines import find_split_lines
from filters.kernels.tallies import (
    count_stop_words,
    count_symbols,
    ends_with_ellipsis,
    ratio,
    starts_with_bullet,
    sum_by_document,
)
from filters.kernels.words import Words

_BULLETS = "•-"


def quality(documents: Documents, words: Words, stop_words: Sequence[str]) -> Columns:
    """The measures of gopher_quality: float64 (num_documents,) each.

    num_words and mean_word_chars are of the words that are more than symbols, the ratios of all words; lines are
    those of str.splitlines, blank ones included.
    """
    text, lines = documents.text, find_split_lines(documents.text)
    spoken = has_more_than_symbols(text, words)
    num_words, num_lines = np.diff(words.offsets), np.diff(lines.offsets)
    num_spoken = sum_by_document(spoken, words.offsets)
    num_hashes, num_ellipses = count_symbols(text)
    num_bullet_lines = sum_by_document(starts_with_bullet(text, lines, _BULLETS), lines.offsets)
    num_ellipsis_lines = sum_by_document(ends_with_ellipsis(text, lines), lines.offsets)
    return {
        "num_words": num_spoken.astype(np.float64),
        "mean_word_chars": ratio(sum_by_document(words.num_chars * spoken, words.offsets), num_spoken),
        "hash_ratio": ratio(num_hashes, num_words),
        "ellipsis_ratio": ratio(num_ellipses, num_words),
        "bullet_line_ratio": ratio(num_bullet_lines, num_lines),
        "ellipsis_line_ratio": ratio(num_ellipsis_lines, num_lines),
        "alphabetic_word_ratio": ratio(sum_by_document(words.has_letter, words.offsets), num_words),
        "num_stop_words": count_stop_words(words, stop_words, any_case=False).astype(np.float64),
    }
