"""Gopher's quality rules: is this running text, by simple counts of words, symbols and line marks?

What it measures: the number of words and their mean length, "#" and ellipses for each word, lines that start with a
bullet or end with an ellipsis, words with a letter, and how many of eight common English words occur.

Why such documents are removed: pages outside these bounds are mostly menus, tag clouds, price lists, code, tables,
truncated teasers and machine noise. The stop words also catch word lists and text that is not English.

Known harm: English only as it stands. Any document in another language fails the stop words, and Chinese, Japanese
or Thai, written without spaces, also fails the mean word length: `stop_words`, `min_mean_word_chars` and
`max_mean_word_chars` must be set for each language (FineWeb-2 had to give thresholds of their own to more than a
thousand). German or Finnish compounds raise the mean word length towards the limit. Poems, recipes, dialogue and short
answers fall below 50 words or above the bullet share although people wrote them for people. Of 1,741 English main
texts of 100 words or more that people marked in web pages (the shared gold texts) it drops 1.7 %: of articles 1 %, of
documentation 7 %, of listings 19 %. By datatrove's definitions it drops 13.8 %, nearly all for words without a letter:
of articles 9 %, of documentation 49 %, of listings 43 %.

Kept:    an encyclopedia article of 400 words.
Dropped: "Home | About | Contact" (too_few_words); a page of "Read more..." teasers (too_many_ellipsis_lines).

Definitions: where the paper is silent systems differ.
- A word is what str.split() gives, punctuation included. datatrove counts spaCy tokens, so that punctuation marks are
  words of their own; its ratios are lower for hash signs and higher for words without a letter.
- Lengths are code points. Lines are cut at line feeds and blank lines do not count (datatrove counts them).
- Bullets are - * • ‣ ⁃ ◦ ● ○ ∙ · ▪ ▫ ■ □ (datatrove: • and - only). An ellipsis is "…" or "...".
- Stop words are counted as different words present, as the paper's wording has it and as datatrove does (DCLM and
  NeMo Curator count occurrences: "the the" passes there), but in any letter case: "The" counts.
- A document without words has mean length and ratios 0.
- `symbol_ratio` has both kinds of symbols together; only DCLM limits it (`max_symbol_ratio = 0.1`, the other two off).
- `semantics = "dclm"`, after DCLM: a page is as long as its `words` ("fasttext" there) that start with a letter or a
  number; all else is for each word of str.split(). Bullets are ● • * -; ". . ." is an ellipsis too; stop words are
  counted each time they occur, in any case of their ASCII letters.
- `semantics = "datatrove"`, after datatrove 0.10.1, whose `words` are "spacy_en": words of punctuation alone do not
  count as words nor in their mean length, but in every ratio, so that 80 % words with a letter is a stricter limit
  there. Lines are those of str.splitlines with blank ones; only • and - are bullets; stop words must be in lower case:
  a text in capitals has none. A full-width "１" is punctuation to it. Where `min_words` is off it fails on empty text
  and lets pass what has only punctuation; here such a text has mean length 0.
- `semantics = "fineweb-2024-04"`, after datatrove 0.2.0, whose `words` are "nltk": the same, but each copy of a stop
  word counts, and few ends of sentences beyond . ! ? are punctuation.

Parameters: bounds are inclusive; "off" turns a rule off; see the fields.

Sources: Rae et al. 2021 (Gopher, arXiv:2112.11446), appendix A.1.1 and table A1; datatrove 0.10.1 and DCLM
(arXiv:2406.11794) for how others read it.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from filters import datatrove, dclm
from filters.base import Bound, Columns, Documents, Filter, WordDefinition
from filters.kernels.tallies import (
    count_stop_words,
    count_symbols,
    ends_with_ellipsis,
    ratio,
    starts_with_bullet,
    sum_by_document,
)
from filters.kernels.unicode import UNICODE_VERSION

ENGLISH_STOP_WORDS = ["the", "be", "to", "of", "and", "that", "have", "with"]


class GopherQuality(Filter):
    """Rejects documents that are unlike running text; see the module's text."""

    rule: ClassVar[str] = "gopher_quality"
    measures: ClassVar[tuple[str, ...]] = (
        "num_words",
        "mean_word_chars",
        "hash_ratio",
        "ellipsis_ratio",
        "symbol_ratio",
        "bullet_line_ratio",
        "ellipsis_line_ratio",
        "alphabetic_word_ratio",
        "num_stop_words",
    )
    bounds: ClassVar[tuple[Bound, ...]] = (
        Bound("num_words", "min", "min_words", "too_few_words"),
        Bound("num_words", "max", "max_words", "too_many_words"),
        Bound("mean_word_chars", "min", "min_mean_word_chars", "words_too_short"),
        Bound("mean_word_chars", "max", "max_mean_word_chars", "words_too_long"),
        Bound("hash_ratio", "max", "max_hash_ratio", "too_many_hashes"),
        Bound("ellipsis_ratio", "max", "max_ellipsis_ratio", "too_many_ellipses"),
        Bound("symbol_ratio", "max", "max_symbol_ratio", "too_many_symbols"),
        Bound("bullet_line_ratio", "max", "max_bullet_line_ratio", "too_many_bullet_lines"),
        Bound("ellipsis_line_ratio", "max", "max_ellipsis_line_ratio", "too_many_ellipsis_lines"),
        Bound("alphabetic_word_ratio", "min", "min_alphabetic_word_ratio", "too_few_alphabetic_words"),
        Bound("num_stop_words", "min", "min_stop_words", "too_few_stop_words"),
    )

    min_words: int | None = Field(default=50, ge=0)
    max_words: int | None = Field(default=100_000, ge=0)
    min_mean_word_chars: float | None = Field(default=3.0, ge=0.0)
    max_mean_word_chars: float | None = Field(default=10.0, ge=0.0)
    max_hash_ratio: float | None = Field(default=0.1, ge=0.0)  # "#" for each word; may exceed 1
    max_ellipsis_ratio: float | None = Field(default=0.1, ge=0.0)  # ellipses for each word; may exceed 1
    max_symbol_ratio: float | None = Field(default=None, ge=0.0)  # both kinds together for each word; may exceed 1
    max_bullet_line_ratio: float | None = Field(default=0.9, ge=0.0, le=1.0)
    max_ellipsis_line_ratio: float | None = Field(default=0.3, ge=0.0, le=1.0)
    min_alphabetic_word_ratio: float | None = Field(default=0.8, ge=0.0, le=1.0)
    min_stop_words: int | None = Field(default=2, ge=0)
    stop_words: list[str] = Field(default=ENGLISH_STOP_WORDS, max_length=64)
    words: WordDefinition = "whitespace"
    semantics: Literal["paper", "datatrove", "fineweb-2024-04", "dclm"] = "paper"

    @field_validator("stop_words")
    @classmethod
    def _single_words(cls, stop_words: list[str]) -> list[str]:
        wrong = [word for word in stop_words if word.split() != [word]]
        if wrong:
            raise ValueError(f"each stop word must be one word without white space; got {wrong}")
        return stop_words

    def score(self, documents: Documents) -> Columns:
        """float64 (num_documents,) each; `*_ratio` of lines and words in [0, 1], of symbols 0 or more."""
        return _SCORES[self.semantics](self, documents)

    def _paper(self, documents: Documents) -> Columns:
        text, words, lines = documents.text, documents.words(self.words), documents.lines
        num_words = np.diff(words.offsets)
        num_lines = sum_by_document(lines.has_content, lines.offsets)
        num_hashes, num_ellipses = count_symbols(text)
        num_bullet_lines = sum_by_document(starts_with_bullet(text, lines), lines.offsets)
        num_ellipsis_lines = sum_by_document(ends_with_ellipsis(text, lines), lines.offsets)
        return {
            "num_words": num_words.astype(np.float64),
            "mean_word_chars": ratio(sum_by_document(words.num_chars, words.offsets), num_words),
            "hash_ratio": ratio(num_hashes, num_words),
            "ellipsis_ratio": ratio(num_ellipses, num_words),
            "symbol_ratio": ratio(num_hashes + num_ellipses, num_words),
            "bullet_line_ratio": ratio(num_bullet_lines, num_lines),
            "ellipsis_line_ratio": ratio(num_ellipsis_lines, num_lines),
            "alphabetic_word_ratio": ratio(sum_by_document(words.has_letter, words.offsets), num_words),
            "num_stop_words": count_stop_words(words, self.stop_words).astype(np.float64),
        }

    def measuring(self) -> dict[str, Any]:
        """Adds the version of the Unicode tables, which say what a letter is."""
        return {**super().measuring(), "unicode": UNICODE_VERSION}

    def _dclm(self, documents: Documents) -> Columns:
        return dclm.quality(documents, documents.words(self.words), self.stop_words)

    def _datatrove(self, documents: Documents) -> Columns:
        return datatrove.quality(documents, documents.words(self.words), self.stop_words)

    def _published(self, documents: Documents) -> Columns:
        return datatrove.published_quality(documents, documents.words(self.words), self.stop_words)


_SCORES: dict[str, Callable[[GopherQuality, Documents], Columns]] = {
    "paper": GopherQuality._paper,
    "datatrove": GopherQuality._datatrove,
    "fineweb-2024-04": GopherQuality._published,
    "dclm": GopherQuality._dclm,
}
