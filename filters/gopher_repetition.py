"""Gopher's repetition rules: how much of a document repeats itself, by lines, paragraphs and word n-grams.

What it measures: the share of lines and paragraphs that occurred before in the document, and the share of their
characters; the share of characters inside the most frequent 2-, 3- and 4-gram of words; the share inside any 5- to
10-gram that occurs more than once.

Why such documents are removed: repetition marks menus, boilerplate, keyword spam, logs and broken pages, and models
trained on it repeat themselves.

Known harm: form that repeats on purpose. Song lyrics with a refrain, litanies, poems, legal texts with standing
clauses, glossaries, sports tables and lists of addresses are dropped by the rules themselves (in a song of three verses
of four lines, each followed by a refrain of four, 8 of 24 lines are duplicates). Short documents suffer most: in 60
words one frequent phrase weighs heavily. Languages written without spaces have few long "words", so the n-gram rules
say little there. Of 1,741 English main texts of 100 words or more that people marked in web pages (the shared gold
texts) it drops 10.3 %: of articles 6 %, of forum threads 16 %, of listings 34 %, of documentation 44 %; more than half
of them for 5-grams. By datatrove's definitions, which count no first copies, it drops 5.3 %.

Kept:    an article in which a name of two words occurs ten times in a thousand.
Dropped: "Buy now. " forty times (top_2_gram); a forum page with the same signature under each post
         (duplicate_lines).

Definitions: where the paper is silent systems differ.
- Lines are cut at line feeds; a paragraph is a run of lines between blank lines. White space around a line is left
  out, blank lines do not count, and a document of one line or paragraph cannot repeat it.
- A line is a duplicate if it occurred before: the first copy is not counted, as in datatrove and NeMo Curator. DCLM
  counts the first copy too, about twice as much for a line that occurs twice.
- Words are those of str.split(), compared exactly (datatrove: spaCy tokens; DCLM: UAX#29 words).
- All character shares are of characters in words (or in lines), white space between left out, so each lies in [0, 1].
  datatrove divides by the length of the text with white space, but counts duplicate n-grams without it.
- The most frequent n-gram counts only if it occurs twice, as in DCLM (datatrove drops "hello world" for its one
  bigram); among equally frequent ones the one that covers most characters is taken. Its overlapping copies count
  once (elsewhere a run of one word can exceed 1).
- Duplicate n-grams: every character in any copy, the first included, once: the paper's "taking care not to count
  characters that occur in overlapping n-grams more than once", as in DCLM. datatrove leaves out first copies.
- `semantics = "dclm"`, after DCLM: all copies of a line or paragraph count, the first too; a paragraph is what lies
  between two line feeds in a row, with nothing between them; a page without any line has shares of 1. n-grams are of
  those `words` ("uax29" there) that start with a letter or a number. The top n-gram's copies count in full where they
  overlap, each as long as the longest of those equally frequent. DCLM tests lines before paragraphs; since it gives
  one reason for all of these rules, the order here is ours.
- `semantics = "datatrove"`, after datatrove 0.10.1, whose `words` are "spacy_en": lines are what lies between runs of
  line feeds, as it is, paragraphs what lies between two or more; a line feed at the start or end of a text makes an
  empty line. All shares are of the whole text. The top n-gram is the first of the most frequent ones, with its spaces,
  times its copies, even if there is one: nearly every text below a dozen words falls to it, and the share may exceed
  1. Duplicate n-grams are looked for from the start, without spaces between their words ("ab" "c" is "a" "bc"); behind
  one that was met before the search goes on, so what overlaps it is never met, and first copies do not count: a text
  of three equal parts has two thirds at most, less its spaces.
- `semantics = "fineweb-2024-04"`, after datatrove 0.2.0, whose `words` are "nltk": the same, but lines are those of
  str.splitlines, so that every blank line after the first is a duplicate.
- An empty document is dropped as such, as datatrove does; nothing in it could repeat.

Parameters: bounds are inclusive; "off" turns a rule off; the defaults are the paper's.

Sources: Rae et al. 2021 (Gopher, arXiv:2112.11446), appendix A.1.1 and table A1; datatrove 0.10.1; DCLM
(arXiv:2406.11794); NeMo Curator 1.4.0.
"""

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from filters import datatrove, dclm
from filters.base import Bound, Columns, Documents, Filter, WordDefinition
from filters.kernels.repetition import (
    DUPLICATE_NGRAMS,
    TOP_NGRAMS,
    Segments,
    content_lines,
    ngram_repetition,
    paragraphs,
    repeated_segments,
)
from filters.kernels.tallies import ratio, sum_by_document
from filters.kernels.words import Words

_TOP = tuple(f"top_{size}_gram" for size in TOP_NGRAMS)
_DUPLICATE = tuple(f"duplicate_{size}_gram" for size in DUPLICATE_NGRAMS)


class GopherRepetition(Filter):
    """Rejects documents that repeat themselves; see the module's text."""

    rule: ClassVar[str] = "gopher_repetition"
    measures: ClassVar[tuple[str, ...]] = (
        "num_chars",
        "duplicate_paragraph_ratio",
        "duplicate_paragraph_char_ratio",
        "duplicate_line_ratio",
        "duplicate_line_char_ratio",
        *(f"{name}_char_ratio" for name in _TOP),
        *(f"{name}_char_ratio" for name in _DUPLICATE),
    )
    bounds: ClassVar[tuple[Bound, ...]] = (
        Bound("num_chars", "min", "min_chars", "empty"),
        Bound("duplicate_paragraph_ratio", "max", "max_duplicate_paragraph_ratio", "duplicate_paragraphs"),
        Bound(
            "duplicate_paragraph_char_ratio", "max", "max_duplicate_paragraph_char_ratio", "duplicate_paragraph_chars"
        ),
        Bound("duplicate_line_ratio", "max", "max_duplicate_line_ratio", "duplicate_lines"),
        Bound("duplicate_line_char_ratio", "max", "max_duplicate_line_char_ratio", "duplicate_line_chars"),
        *(Bound(f"{name}_char_ratio", "max", f"max_{name}_char_ratio", name) for name in _TOP + _DUPLICATE),
    )

    min_chars: int | None = Field(default=1, ge=0)
    max_duplicate_paragraph_ratio: float | None = Field(default=0.30, ge=0.0, le=1.0)
    max_duplicate_paragraph_char_ratio: float | None = Field(default=0.20, ge=0.0, le=1.0)
    max_duplicate_line_ratio: float | None = Field(default=0.30, ge=0.0, le=1.0)
    max_duplicate_line_char_ratio: float | None = Field(default=0.20, ge=0.0, le=1.0)
    max_top_2_gram_char_ratio: float | None = Field(default=0.20, ge=0.0, le=1.0)
    max_top_3_gram_char_ratio: float | None = Field(default=0.18, ge=0.0, le=1.0)
    max_top_4_gram_char_ratio: float | None = Field(default=0.16, ge=0.0, le=1.0)
    max_duplicate_5_gram_char_ratio: float | None = Field(default=0.15, ge=0.0, le=1.0)
    max_duplicate_6_gram_char_ratio: float | None = Field(default=0.14, ge=0.0, le=1.0)
    max_duplicate_7_gram_char_ratio: float | None = Field(default=0.13, ge=0.0, le=1.0)
    max_duplicate_8_gram_char_ratio: float | None = Field(default=0.12, ge=0.0, le=1.0)
    max_duplicate_9_gram_char_ratio: float | None = Field(default=0.11, ge=0.0, le=1.0)
    max_duplicate_10_gram_char_ratio: float | None = Field(default=0.10, ge=0.0, le=1.0)
    words: WordDefinition = "whitespace"
    semantics: Literal["paper", "datatrove", "fineweb-2024-04", "dclm"] = "paper"

    def score(self, documents: Documents) -> Columns:
        """float64 (num_documents,) each, in [0, 1] but for `num_chars`; 0 for a document without words."""
        columns = _SCORES[self.semantics](documents, documents.words(self.words))
        return {name: columns[name] for name in self.measures}


def _paper(documents: Documents, words: Words) -> Columns:
    lines = documents.lines
    text_chars = sum_by_document(lines.num_chars, lines.offsets) + lines.num_line_ends
    columns: Columns = {"num_chars": text_chars.astype(np.float64)}
    for name, segments in (("line", content_lines(lines)), ("paragraph", paragraphs(lines))):
        columns |= _duplicate_ratios(name, segments)
    num_chars = sum_by_document(words.num_chars, words.offsets)
    ngrams = ngram_repetition(words)
    for names, chars in ((_TOP, ngrams.top_chars), (_DUPLICATE, ngrams.duplicate_chars)):
        columns |= {f"{name}_char_ratio": ratio(part, num_chars) for name, part in zip(names, chars, strict=True)}
    return columns


def _duplicate_ratios(name: str, segments: Segments) -> Columns:
    num_segments = segments.offsets[1:] - segments.offsets[:-1]
    num_chars = sum_by_document(segments.num_chars, segments.offsets)
    num_repeated, repeated_chars = repeated_segments(segments)
    return {
        f"duplicate_{name}_ratio": ratio(num_repeated, num_segments),
        f"duplicate_{name}_char_ratio": ratio(repeated_chars, num_chars),
    }


_SCORES: dict[str, Callable[[Documents, Words], Columns]] = {
    "paper": _paper,
    "datatrove": datatrove.repetition,
    "fineweb-2024-04": datatrove.published_repetition,
    "dclm": dclm.repetition,
}
