"""Repeated substrings: how much of a document lies in long strings that it holds more than once.

What it measures: the share of characters that lie in any string of at least `min_chars` characters that occurs
elsewhere in the document too, all copies counted (`repeated_ratio`), and the characters of the longest unbroken stretch
of such (`longest_chars`).

Why such documents are removed: templates filled again and again, product lists, forum pages that quote each post,
teasers above the article they are cut from, broken generators. A model that reads a passage many times learns it by
heart (Lee et al. 2022). Rules on lines and word n-grams miss what repeats across line ends, inside one line, or in
languages without spaces; this one sees characters only.

Known harm: form that repeats on purpose: liturgies, song lyrics with a refrain, contracts, recipes with standing
sentences, minutes, tables drawn with long rules of dashes (more than min_chars equal characters in a row repeat), and
source code above all: of 669 source files 4.8 % are beyond the default limit (13 of 76 in Rust), of 2,798 documents of
books, news and manuals one, of 275 web pages that people judged for training none, good or bad. Of 2,842 pages as
crawled 5.2 % are. A hundred characters are 15 to 20 words of English but 50 to 70 of Chinese, so Chinese repeats less
by this measure.

Kept: a page of 2,000 characters with the same disclaimer of 150 characters at its top and its end (0.15).

Dropped: an article of 2,000 characters that stands on the page twice (1.0).

Definitions:
- Strings are compared exactly, code point by code point, white space and case included; nothing is normalized.
- All copies count, the first too, and copies may overlap: `ab` 200 times is repeated whole. A character that lies in
  several counts once, so the ratio is in [0, 1]; all characters of the text are the whole, white space included.
- The result is exact: strings are found by hashes and compared byte for byte.
- Lee et al. remove such strings over a whole corpus, 50 tokens or longer, all copies but one; here documents are
  measured one by one and dropped whole. Zyda drops documents with more than 50 repeated substrings.

Parameters: `min_chars`: 100 by default, about half of Lee et al.'s 50 tokens of English. `max_repeated_ratio`:
inclusive, "off" is none; no published limit is for this measure, so the default is ours, from the numbers above.

Sources: Lee et al. 2022 (arXiv:2107.06499), section 4.1; Zyda (Tokpanov et al. 2024, arXiv:2406.01981), filtering.
"""

from typing import ClassVar

import numpy as np
from pydantic import Field

from filters.base import Bound, Columns, Documents, Filter
from filters.kernels.substrings import MAX_SIZE, repeated_chars
from filters.kernels.tallies import ratio


class RepeatedSubstrings(Filter):
    """Rejects documents of which too much is repeated; see the module's text."""

    rule: ClassVar[str] = "repeated_substrings"
    measures: ClassVar[tuple[str, ...]] = ("repeated_ratio", "longest_chars")
    bounds: ClassVar[tuple[Bound, ...]] = (Bound("repeated_ratio", "max", "max_repeated_ratio", "repeated"),)

    min_chars: int = Field(default=100, ge=10, le=MAX_SIZE)
    max_repeated_ratio: float | None = Field(default=0.3, ge=0.0, le=1.0)

    def score(self, documents: Documents) -> Columns:
        """float64 (num_documents,) each: `repeated_ratio` in [0, 1], `longest_chars` a count; 0 for short documents."""
        found = repeated_chars(documents.text, self.min_chars)
        return {
            "repeated_ratio": ratio(found.repeated, found.num_chars),
            "longest_chars": found.longest.astype(np.float64),
        }
