r"""RefinedWeb's line-wise corrections: lines that are no prose go, pages that lose too much are dropped. An edit.

What it does: removes lines that are mostly capitals, are digits only, are counters ("3 likes") or have a single word;
cuts "items in cart", "Read more..." at the end and "Sign-in" at the beginning out of lines of up to ten words. Then a
page is dropped that keeps no line or has lost more than 5 % of its words.

Why such documents are removed: what extraction leaves of menus, share buttons, carts and counters stands in such
lines. A page with much of it is boilerplate as a whole.

Known harm: headings in capitals, and texts in scripts or styles that capitalise, lose lines, and so do verse with
one-word lines, dialogue ("Yes."), years and page numbers on lines of their own, tables and lists of names. A page is
dropped, not cleaned, once 5 % of its words go: that takes 82 of 1,919 web pages of which people marked the main text,
and 48 of 2,798 pieces of books and articles; of the same pages with menus and all, 1,010 of 2,842. A line of Chinese,
Japanese or Thai, written without blanks, is one word and goes: use `min_words_per_line = 0` there.

Kept:    "The river rises in the hills." and blank lines.
Dropped: a page of ten lines, one of them "HOME NEWS CONTACT US" (too_many_words_removed); the lines "2019", "3.4k
         likes!", "Share".

Definitions: after DCLM's steps in its order (capitals, digits, counters, short lines, the three phrases):
- Lines are cut at line feeds. Empty lines stay; a line of blanks counts as short. After each step but the fourth white
  space at the ends of the page goes, so that "  2019" is cut as a first line and stays as a second.
- Shares are of all characters of the line, blanks included. Capitals are str.isupper, digits str.isdigit.
- A counter is a number (with , and . and k, m or b) and one of twelve words such as likes, shares, comments or views,
  with nothing but signs around.
- Words removed are counted in fastText's tokens that start with a letter or a number, before and after all steps. A
  page without any has lost all.
- `semantics = "dclm"` copies a slip: in "Read more..." each dot is any character there, so that a line loses "read more
  it" at its end. The default takes dots only. In both the phrases match in any letter case.
- URLs and runs of line feeds, which RefinedWeb removes too, are taken out before the Gopher rules there: that is the
  rule `refinedweb_urls` here.

Parameters: bounds are inclusive; see the fields. 0.999999 is DCLM's way to say: all characters.

Sources: Penedo et al. 2023 (RefinedWeb, arXiv:2306.01116), section G.2; DCLM (arXiv:2406.11794),
baselines/mappers/modifiers.py (commit 15af3ce) and baselines_configs/dclm_baseline_refinedweb.yaml.
"""

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from filters.base import Bound, Columns, Documents, Edit
from filters.kernels.buffers import text_buffers
from filters.kernels.dclm import count_fasttext_words
from filters.kernels.refinedweb import COUNTS, Corrections, correct_lines
from filters.kernels.tallies import ratio
from filters.kernels.unicode import UNICODE_VERSION


class RefinedWeb(Edit):
    """Removes lines that are no prose and rejects documents that lose too many words; see the module's text."""

    rule: ClassVar[str] = "refinedweb"
    measures: ClassVar[tuple[str, ...]] = (*COUNTS, "removed_word_ratio")
    bounds: ClassVar[tuple[Bound, ...]] = (
        Bound("num_lines_kept", "min", "min_lines_kept", "no_lines_left"),
        Bound("removed_word_ratio", "max", "max_removed_word_ratio", "too_many_words_removed"),
    )

    max_uppercase_ratio: float = Field(default=0.5, ge=0.0, le=1.0)
    max_digit_ratio: float = Field(default=0.999999, ge=0.0, le=1.0)
    min_words_per_line: int = Field(default=2, ge=0)
    max_phrase_line_words: int = Field(default=10, ge=0)  # longer lines keep their phrases
    min_lines_kept: int | None = Field(default=1, ge=0)
    max_removed_word_ratio: float | None = Field(default=0.05, ge=0.0, le=1.0)
    semantics: Literal["gristmill", "dclm"] = "gristmill"

    def edit(self, documents: Documents) -> tuple[pa.Array, Columns]:
        """New texts (large_string) and float64 (num_documents,) counts of lines; removed_word_ratio at most 1."""
        corrections = Corrections(
            self.max_uppercase_ratio,
            self.max_digit_ratio,
            self.min_words_per_line,
            self.max_phrase_line_words,
            any_ending=self.semantics == "dclm",
        )
        text, counts = correct_lines(documents.text, documents.lines, corrections)
        before = count_fasttext_words(documents.text)
        removed = ratio(before - count_fasttext_words(text_buffers(text)), before)
        removed[before == 0] = 1.0
        return text, {**dict(zip(COUNTS, counts.astype(np.float64), strict=True)), "removed_word_ratio": removed}

    def score(self, documents: Documents) -> Columns:
        """The columns of `edit`, for those who do not want the text."""
        return self.edit(documents)[1]

    def measuring(self) -> dict[str, Any]:
        """Adds the version of the Unicode tables, which say what a capital is."""
        return {**super().measuring(), "unicode": UNICODE_VERSION}
