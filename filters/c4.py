"""C4's line cleaning: keep lines that end like sentences, drop pages that keep too little. An edit.

What it does: removes lines that do not end with a sentence mark, have fewer than five words or a word of more than a
thousand characters, name JavaScript, or speak of cookies, privacy or terms of use; removes citation marks such as
"[12]", "[edit]" and "[citation needed]" from the lines that stay. Then a page is dropped that is very long, that has
"lorem ipsum" or "{" in a line that is otherwise whole, or that keeps fewer than three sentences.

Why such documents are removed: on raw web pages the lines without a full stop are menus, headings, buttons and
captions; warnings about JavaScript and cookies come from templates, braces from code that leaked into the text.

Known harm: Dodge et al. 2021 (arXiv:2104.08758) documented the data set made by these rules and found that it holds no
code by design and, through the word list that belongs to them (`bad_words`), fewer texts about minorities. Headings,
lists, tables, verse, dialogue, and everything that ends with ":" or ";" is lost even in good pages. So is every line in
scripts with other sentence marks (。 । ؟): `require_terminal_mark` must be off for them. A page about JavaScript or
privacy loses the lines that name it, and books fall to the length limit. Of 1,741 English main texts of
100 words or more that people marked in web pages (the shared gold texts) it drops 5.6 %: of articles 1 %, of listings
26 %, of documentation 20 %, nearly all of those for a brace.

Kept:    "The river rises in the hills [3]. It is 40 km long." without the "[3]", if a third sentence is there too.
Removed: "Home | About | Contact"; "Please enable JavaScript to see this page."; "Continue reading...".
Dropped: a page of code snippets whose lines end with a full stop or a quotation mark (curly_brace).

Definitions: after the reference code, in its order.
- Lines are cut where str.splitlines cuts and stripped of white space; blank lines vanish and are not counted as
  removed. The text that stays is joined by single line feeds, also in documents where nothing was removed, and
  stripped again as a whole.
- End marks are . ? ! and the straight quotation mark; a line that ends with "..." is not ended. White space that a
  removed citation leaves at the line's end counts, as in the reference: of "It is so. [1]" and "It is so [1]." only the
  second is ended.
- Words are counted after citations are removed, word length before. Letter case and digits are Unicode's.
- The first line with "lorem ipsum" or "{" decides which of the two a page falls for; the other kind is not counted.
- Sentences (`sentences = "native"`): each kept line has one, and one more after each . ! ? (with closing ' " or
  parentheses) that is followed by spaces and no small ASCII letter; the dot of a single capital letter or of a short
  list of titles ("Mr.") does not count. `sentences = "punkt"` is the reference's own, NLTK's trained English splitter
  as in NLTK 3.8.1: it needs punkt_tab in NLTK's data folder (`python -m nltk.downloader punkt_tab`).
- Bad words: with a list in `bad_words` a page falls for one entry in a line that stays, in lower case, where a sign
  other than a small ASCII letter is on either side of it in its line: not at the line's beginning, and "word's" counts.
  None is the default, since no such list comes with the package; the rule `toxicity` is kinder. Language and duplicate
  lines are other stages' business.
- `semantics = "datatrove"`, after datatrove 0.10.1: ' is an end mark too; words are counted before citations are
  removed, so that "So [1] [2]." has three and stays as "So  ."; a line of nothing but citations stays as an empty one.
  `sentences = "spacy"` counts as it does, by the sentencizer of spaCy's blank English pipeline. Its numbers are 5
  sentences and 3 words a line, the reference's 3 and 5 in exchange; it has no length limit.

Parameters: bounds are inclusive; "off" turns a rule off. `require_terminal_mark`, `min_words_per_line` and
`max_word_chars` change the text; the others only drop pages.

Sources: Raffel et al. 2020 (T5, arXiv:1910.10683), section 2.2; the reference code in TensorFlow Datasets, c4_utils.
"""

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from filters.bad_words import count_bad_words, read_bad_words
from filters.base import Bound, Columns, Documents, Edit, FilePath
from filters.kernels.c4_lines import COUNTS, LineRules, clean_lines, strip_texts
from filters.kernels.tallies import sum_by_document
from filters.sentences import SentenceDefinition, count_sentences, sentences_version

# The marks that end a line, and whether citations count as words.
_RULES = {"reference": ('.?!"', False), "datatrove": (".?!\"'", True)}


class C4(Edit):
    """Removes lines that are no sentences and rejects documents that keep too few; see the module's text."""

    rule: ClassVar[str] = "c4"
    measures: ClassVar[tuple[str, ...]] = ("num_chars", *COUNTS, "num_bad_words")
    bounds: ClassVar[tuple[Bound, ...]] = (
        Bound("num_chars", "max", "max_chars", "too_long"),
        Bound("num_lorem_ipsum_lines", "max", "max_lorem_ipsum_lines", "lorem_ipsum"),
        Bound("num_curly_brace_lines", "max", "max_curly_brace_lines", "curly_brace"),
        Bound("num_bad_words", "max", "max_bad_words", "bad_word"),
        Bound("num_lines_kept", "min", "min_lines_kept", "no_lines_left"),
        Bound("num_sentences", "min", "min_sentences", "too_few_sentences"),
    )

    require_terminal_mark: bool = True
    min_words_per_line: int | None = Field(default=5, ge=0)
    max_word_chars: int | None = Field(default=1000, ge=1)
    max_chars: int | None = Field(default=190_000, ge=0)  # of the text before the edit
    max_lorem_ipsum_lines: int | None = Field(default=0, ge=0)
    max_curly_brace_lines: int | None = Field(default=0, ge=0)
    max_bad_words: int | None = Field(default=0, ge=0)
    min_lines_kept: int | None = Field(default=1, ge=0)
    min_sentences: int | None = Field(default=3, ge=0)
    semantics: Literal["reference", "datatrove"] = "reference"
    sentences: SentenceDefinition = "native"
    bad_words: FilePath | None = None

    def check(self) -> None:
        """Raise RecipeError or InputError if spaCy or the list of bad words is wanted and cannot be used."""
        super().check()
        if self.bad_words is not None:
            read_bad_words(self.bad_words)

    def edit(self, documents: Documents) -> tuple[pa.Array, Columns]:
        """New texts (large_string) and float64 (num_documents,) counts.

        num_lines_removed: lines, blank ones aside; num_citations_removed: in lines that stay; num_sentences,
        num_lines_kept, num_bad_words: in the new text; num_lorem_ipsum_lines, num_curly_brace_lines: lines that would
        drop the page; num_chars: code points before the edit.
        """
        end_marks, citations_are_words = _RULES[self.semantics]
        if not self.require_terminal_mark:
            end_marks = ""
        rules = LineRules(end_marks, self.min_words_per_line, self.max_word_chars, citations_are_words)
        text, counts = clean_lines(documents.text, rules)
        columns = dict(zip(COUNTS, counts.astype(np.float64), strict=True))
        if self.sentences != "native":
            sentences = self._count_sentences(documents.with_text(text))
            columns["num_sentences"] = np.where(columns["num_lines_kept"] > 0, sentences, 0.0)
        columns["num_bad_words"] = (
            np.zeros(documents.num_documents) if self.bad_words is None else count_bad_words(text, self.bad_words)
        )
        lines = documents.lines
        num_chars = sum_by_document(lines.num_chars, lines.offsets) + lines.num_line_ends
        stripped = strip_texts(text)
        # The filters after this one take over the words that sentences were counted by.
        return text if stripped.equals(text) else stripped, {"num_chars": num_chars.astype(np.float64), **columns}

    def _words_version(self) -> str | None:
        return sentences_version(self.sentences)

    def _count_sentences(self, documents: Documents) -> npt.NDArray[np.float64]:
        """Sentences of the lines of each text, each line on its own: float64 (num_documents,)."""
        counts = count_sentences(documents, self.sentences)
        return sum_by_document(counts, documents.lines.offsets).astype(np.float64)

    def score(self, documents: Documents) -> Columns:
        """The columns of `edit`, for those who do not want the text."""
        return self.edit(documents)[1]
