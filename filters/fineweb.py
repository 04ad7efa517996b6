"""FineWeb's own quality rules: do the lines look like prose or like a list?

What it measures: the share of lines that end with a sentence mark, the share of short lines, the share of characters
in lines that occurred before, and line feeds for each word.

Why such documents are removed: they are mostly menus, tables, link lists and repeated boilerplate. The FineWeb authors
chose these four statistics and their limits by comparing a better with a worse crawl, and kept those that raised the
benchmark scores of models trained on what remained.

Known harm: lists and dialogue that people wrote. Poems, lyrics, recipes, chat logs, tables of contents and source code
have short lines without sentence marks. The limits were tuned on English web pages and one tool's extracted text, where
a paragraph is one line; text that was wrapped at 80 columns (mailing lists, old books) has few lines that end with a
mark. A sentence that ends with a closing quotation mark or bracket does not count as ended. Thai marks no sentence ends
and fails the first rule. Of 1,741 English main texts of 100 words or more that people marked in web pages (the shared
gold texts) it drops 23.7 %, half of them for a repeated line: of articles 18 %, of forum threads 32 %, of listings and
of documentation 60 %; by the published definitions 30.0 %. The publication reports only what helped on benchmarks.

Kept:    an article with paragraphs of several sentences, one line each.
Dropped: a navigation page of link titles (few_line_ends); a list of 40 cities (short_lines).

Definitions: after datatrove 0.10.1 (in force since December 2024).
- Lines are cut at line feeds; lines of white space only do not count. Nothing is stripped from the others: a line that
  ends in ". " has no mark at its end, and counts as another line than the same one without the space.
- Sentence marks are the 159 code points of Unicode's Sentence_Terminal: . ! ? 。 ！ ？ । ؟ and others; no quotation
  marks, brackets, colons or ellipses ("…"; three dots end with a dot and count).
- A short line has at most `short_line_chars` code points.
- Copies of a line after the first count as repeated; the share is of all code points but line feeds.
- Words are those of str.split(), so the last rule is a little stricter than datatrove's, whose `words` are "spacy_en".
- A document whose lines are all blank is empty; one without words has 0 line feeds a word.
- `semantics = "fineweb-2024-04"` is what made the published data set, after datatrove 0.2.0: the marks are . ' " ! ?,
  blank lines count in the first two rules, and a document exactly at a limit of the first three falls too (a page
  without any repeated line is not at 0.01). Its `words` are "nltk".

Parameters: bounds are inclusive; "off" turns a rule off; `short_line_chars` changes the measure itself.

Sources: Penedo et al. 2024 (FineWeb, arXiv:2406.17557), section 3.6; datatrove 0.10.1.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from filters.base import Bound, Columns, Documents, Filter, WordDefinition
from filters.kernels.repetition import exact_lines, repeated_segments
from filters.kernels.tallies import ends_with_mark, ends_with_sentence_end, ratio, sum_by_document

_PUBLISHED = "fineweb-2024-04"
_PUBLISHED_MARKS = ".'\"!?"


class FineWeb(Filter):
    """Rejects documents whose lines look like a list; see the module's text."""

    rule: ClassVar[str] = "fineweb"
    measures: ClassVar[tuple[str, ...]] = (
        "num_lines",
        "line_punct_ratio",
        "short_line_ratio",
        "duplicate_line_char_ratio",
        "line_feed_ratio",
    )
    bounds: ClassVar[tuple[Bound, ...]] = (
        Bound("num_lines", "min", "min_lines", "empty"),
        Bound("line_punct_ratio", "min", "min_line_punct_ratio", "few_line_ends", exclusive=_PUBLISHED),
        Bound("short_line_ratio", "max", "max_short_line_ratio", "short_lines", exclusive=_PUBLISHED),
        Bound(
            "duplicate_line_char_ratio", "max", "max_duplicate_line_char_ratio", "duplicate_lines", exclusive=_PUBLISHED
        ),
        Bound("line_feed_ratio", "max", "max_line_feed_ratio", "list"),
    )

    min_lines: int | None = Field(default=1, ge=0)  # that are not blank
    min_line_punct_ratio: float | None = Field(default=0.12, ge=0.0, le=1.0)
    max_short_line_ratio: float | None = Field(default=0.67, ge=0.0, le=1.0)
    max_duplicate_line_char_ratio: float | None = Field(default=0.01, ge=0.0, le=1.0)
    max_line_feed_ratio: float | None = Field(default=0.3, ge=0.0)  # line feeds for each word; may exceed 1
    short_line_chars: int = Field(default=30, ge=0)
    words: WordDefinition = "whitespace"
    semantics: Literal["datatrove", "fineweb-2024-04"] = "datatrove"

    def score(self, documents: Documents) -> Columns:
        """float64 (num_documents,) each; the ratios but the last in [0, 1], the last 0 or more."""
        text, words, lines = documents.text, documents.words(self.words), documents.lines
        filled = lines.has_content
        published = self.semantics == _PUBLISHED
        judged = np.ones_like(filled) if published else filled
        ends = ends_with_mark(text, lines, _PUBLISHED_MARKS) if published else ends_with_sentence_end(text, lines)
        num_lines = sum_by_document(judged, lines.offsets)
        ended = sum_by_document(ends & judged, lines.offsets)
        short = sum_by_document((lines.num_chars <= self.short_line_chars) & judged, lines.offsets)
        _, repeated_chars = repeated_segments(exact_lines(lines))
        num_chars = sum_by_document(lines.num_chars, lines.offsets)
        return {
            "num_lines": sum_by_document(filled, lines.offsets).astype(np.float64),
            "line_punct_ratio": ratio(ended, num_lines),
            "short_line_ratio": ratio(short, num_lines),
            "duplicate_line_char_ratio": ratio(repeated_chars, num_chars),
            "line_feed_ratio": ratio(lines.num_line_ends, np.diff(words.offsets)),
        }
