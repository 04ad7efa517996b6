"""The measures of the Gopher rules as DCLM's content filters define them; `semantics = "dclm"` of those rules.

Facts from baselines/mappers/filters/content_filters.py and baselines_configs/dclm_baseline_refinedweb.yaml of
mlfoundations/dclm (commit c7ed275). DCLM counts words in three ways: pages by fastText's tokens (ASCII blanks
separate), n-grams by UAX #29 words, both only where the first character is a letter or a number; everything else by
str.split(). The first two are what the rules' field `words` names.
"""

from collections.abc import Sequence

import numpy as np

from filters.base import Columns, Documents
from filters.kernels.dclm import (
    alphanumeric_words,
    count_spaced_ellipses,
    count_stop_word_occurrences,
    double_break_paragraphs,
    ends_with_any_ellipsis,
)
from filters.kernels.repetition import Segments, content_lines, copied_segments, ngram_repetition
from filters.kernels.tallies import count_symbols, ratio, starts_with_bullet, sum_by_document
from filters.kernels.words import Words

BULLETS = "●•*-"


def quality(documents: Documents, words: Words, stop_words: Sequence[str]) -> Columns:
    """The measures of gopher_quality: float64 (num_documents,) each; words: those that measure a page's length."""
    text, lines, split = documents.text, documents.lines, documents.words("whitespace")
    num_split = np.diff(split.offsets)
    num_lines = sum_by_document(lines.has_content, lines.offsets)
    num_bullet_lines = sum_by_document(starts_with_bullet(text, lines, BULLETS), lines.offsets)
    num_ellipsis_lines = sum_by_document(ends_with_any_ellipsis(text, lines), lines.offsets)
    num_hashes, num_ellipses = count_symbols(text)
    num_ellipses = num_ellipses + count_spaced_ellipses(text)
    return {
        "num_words": np.diff(alphanumeric_words(words).offsets).astype(np.float64),
        "mean_word_chars": ratio(sum_by_document(split.num_chars, split.offsets), num_split),
        "hash_ratio": ratio(num_hashes, num_split),
        "ellipsis_ratio": ratio(num_ellipses, num_split),
        "symbol_ratio": ratio(num_hashes + num_ellipses, num_split),
        "bullet_line_ratio": ratio(num_bullet_lines, num_lines),
        "ellipsis_line_ratio": ratio(num_ellipsis_lines, num_lines),
        "alphabetic_word_ratio": ratio(sum_by_document(split.has_letter, split.offsets), num_split),
        "num_stop_words": count_stop_word_occurrences(split, stop_words).astype(np.float64),
    }


def repetition(documents: Documents, words: Words) -> Columns:
    """The measures of gopher_repetition: float64 (num_documents,) each; words: those that n-grams are made of.

    num_chars: code points of the text. Shares of lines and paragraphs lie in [0, 1]; those of top n-grams may exceed
    1, since overlapping copies count in full.
    """
    text, lines = documents.text, documents.lines
    words = alphanumeric_words(words)
    num_chars = sum_by_document(words.num_chars, words.offsets)
    ngrams = ngram_repetition(words)
    text_chars = sum_by_document(lines.num_chars, lines.offsets) + lines.num_line_ends
    columns = {"num_chars": text_chars.astype(np.float64)}
    columns |= _copied_ratios("line", content_lines(lines))
    columns |= _copied_ratios("paragraph", double_break_paragraphs(text, lines))
    columns |= {
        f"top_{2 + row}_gram_char_ratio": ratio(part, num_chars) for row, part in enumerate(ngrams.top_copied_chars)
    }
    columns |= {
        f"duplicate_{5 + row}_gram_char_ratio": ratio(part, num_chars)
        for row, part in enumerate(ngrams.duplicate_chars)
    }
    return columns


def _copied_ratios(name: str, segments: Segments) -> Columns:
    num_segments = np.diff(segments.offsets)
    num_copied, copied_chars = copied_segments(segments)
    columns = {
        f"duplicate_{name}_ratio": ratio(num_copied, num_segments),
        f"duplicate_{name}_char_ratio": ratio(copied_chars, sum_by_document(segments.num_chars, segments.offsets)),
    }
    for values in columns.values():
        values[num_segments == 0] = 1.0  # DCLM drops a page without any segment
    return columns
