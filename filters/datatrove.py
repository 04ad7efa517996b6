"""The Gopher rules' measures by datatrove 0.10.1's definitions (`semantics = "datatrove"`), and by those of 0.2.0 that
made the published FineWeb (`semantics = "fineweb-2024-04"`).

Each function fills the same measures as the filter's own definitions do, from the same operands in float64 as
datatrove's Python, so that a comparison with a limit comes out the same. What is particular to datatrove, its bugs
included, is listed in the pages of the filters.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from filters.base import Columns, Documents
from filters.kernels.datatrove import (
    has_more_than_symbols,
    lines_between_feeds,
    ngram_chars,
    paragraphs_between_feeds,
)
from filters.kernels.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS, Segments, repeated_segments
from filters.kernels.split_lines import find_split_lines
from filters.kernels.tallies import (
    count_stop_word_copies,
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
    spoken = has_more_than_symbols(words)
    return _quality(documents, words, spoken, count_stop_words(words, stop_words, any_case=False))


def published_quality(documents: Documents, words: Words, stop_words: Sequence[str]) -> Columns:
    """As `quality`, but by datatrove 0.2.0: fewer code points are symbols, and each copy of a stop word counts."""
    spoken = has_more_than_symbols(words, published=True)
    return _quality(documents, words, spoken, count_stop_word_copies(words, stop_words))


def _quality(
    documents: Documents, words: Words, spoken: npt.NDArray[np.bool_], num_stop_words: npt.NDArray[np.int64]
) -> Columns:
    text, lines = documents.text, find_split_lines(documents.text)
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
        "symbol_ratio": ratio(num_hashes + num_ellipses, num_words),
        "bullet_line_ratio": ratio(num_bullet_lines, num_lines),
        "ellipsis_line_ratio": ratio(num_ellipsis_lines, num_lines),
        "alphabetic_word_ratio": ratio(sum_by_document(words.has_letter, words.offsets), num_words),
        "num_stop_words": num_stop_words.astype(np.float64),
    }


def repetition(documents: Documents, words: Words) -> Columns:
    """The measures of gopher_repetition: float64 (num_documents,) each; those of top n-grams may exceed 1.

    All shares of characters are of the code points of the whole text, white space included.
    """
    return _repetition(documents, words, lines_between_feeds(documents.lines))


def published_repetition(documents: Documents, words: Words) -> Columns:
    """As `repetition`, but by datatrove 0.2.0: lines are those of str.splitlines, so blank ones are copies too."""
    lines = find_split_lines(documents.text)
    return _repetition(documents, words, Segments(lines.hashes, lines.num_chars, lines.offsets))


def _repetition(documents: Documents, words: Words, line_parts: Segments) -> Columns:
    text, lines = documents.text, documents.lines
    num_chars = sum_by_document(lines.num_chars, lines.offsets) + lines.num_line_ends
    columns: Columns = {"num_chars": num_chars.astype(np.float64)}
    segments = {"line": line_parts, "paragraph": paragraphs_between_feeds(text, lines)}
    for name, parts in segments.items():
        num_repeated, repeated_chars = repeated_segments(parts)
        columns[f"duplicate_{name}_ratio"] = ratio(num_repeated, np.diff(parts.offsets))
        columns[f"duplicate_{name}_char_ratio"] = ratio(repeated_chars, num_chars)
    top, duplicate = ngram_chars(words)
    for kind, sizes, chars in (("top", TOP_NGRAMS, top), ("duplicate", DUPLICATE_NGRAMS, duplicate)):
        for size, part in zip(sizes, chars, strict=True):
            columns[f"{kind}_{size}_gram_char_ratio"] = ratio(part, num_chars)
    return columns
