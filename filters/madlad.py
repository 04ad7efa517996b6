r"""MADLAD-400's sentence rules: pages with few sentences, or with many that look like lists, numbers or spam.

What it measures: sentences, and the share of them that is questionable, as a whole and for each kind: list case (most
words with a capital), odd length, many digits and brackets, "cursed" strings such as "mp3" or "Episode", and, where it
is asked for, another language than the document's.

Why such documents are removed: the authors of MADLAD-400 read samples of 498 languages of Common Crawl and wrote down
what the bad pages shared: menus, tables, titles, file lists, mojibake, templates filled with "lorem ipsum".

Known harm: languages that do not put white space after an ASCII mark have no sentences here: of passages of 1,000
characters or more 26 of 26 in Thai, 22 of 23 in Hindi and 1 of 26 in English are dropped as too short, and of 14 main
texts of web pages in Japanese, Chinese, Thai and Burmese all: turn the rule off for them. Of 1,741 English main
texts of 100 words or more that people marked in web pages 12.8 % are dropped: of articles 5 %, of documentation 11 %,
of listings 55 %. Of 150 pages that people judged good for training 36 are dropped, of 125 bad ones 59; with list case
and cursed strings only, 17 and 41. Dialogue and verse fall for short sentences, old prose, contracts and lists without
full stops for long ones: 17 of 64 parts of plays and 102 of 683 of old books. "Facebook" and "ownload" curse a sentence
whatever it says: 8 of 330 news articles for learners of English fall for being about them. Of 669 source files 62 % are
dropped.

Kept:    "The river rises in the hills. It is forty kilometres long." and three more such sentences.
Dropped: three long sentences (too_few_sentences); "Yes! No! Why not? Come here. Because the others have gone home."
         (questionable: four of five have fewer than 20 characters).

Definitions: after DataMap's annotator (DMAP), which made the rules public as code.
- Sentences are what lies between runs of . ! ? that white space follows; blank ones do not count. Abbreviations end
  sentences, line ends do not. White space is str.isspace; DMAP's lacks U+001C to U+001F.
- List case: at least `min_list_words` words, and more than `max_capital_ratio` of them begin with a capital
  (str.isupper). The paper says tokens, DMAP takes Unicode's words with a letter or a number: `words = "uax29"`.
- Length is in code points, marks at the end not counted; DMAP counts bytes, so there its limits are half as far in
  Greek or Russian. Digits and brackets are the signs 0-9 { } + / ( ) >, as a share of the code points (of bytes there).
- Cursed strings are the authors' 32, most of them plain and in exact letter case (" sex ", "ownload", "Vol.", "№" after
  a blank). Four stand for runs: nine words of three characters, of four, of one ("t h i s"), or four of two with commas
  between. "|", " nr.", " г." and " кг." count at a sentence's end only. DMAP reads all but the runs as plain text.
- A document exactly at 20 % is kept, as by DMAP's annotator and the paper's words; DMAP's filter, which goes by what
  the annotator wrote, drops it. A document with few sentences is measured here all the same.
- Language: a sentence with a letter for which the model's best label is another than for the whole text, both read as
  one line. The model is asked only if `kinds` has "language", which by default it has not: see below.

What asking for languages costs and does: a pass of the model over the text and one over its sentences, 16 MB/s where
the other kinds run at 78 and the language rule at 44. On English it finds little: alone it drops 6 of those 1,741 main
texts, 1 of the 150 good pages and 1 of the 125 bad ones; beside the other kinds 9, none and 1 more, and 27 of the 64
parts of plays instead of 17. Of a language that the model does not know it guesses anew for each sentence: of 1,374
news articles in ten languages of Africa 1,116 fall by it alone, all in Rundi and Luganda (in Nigerian Pidgin, which
lid.176 takes for English throughout, 12 of 128). Ask only with a model that knows the languages of the corpus, as the
authors' own knew 498, and is sure of them in single sentences.

Parameters: bounds are inclusive; "off" turns them off. `kinds` says which kinds make a sentence questionable: Olmo 3
takes `["list_case", "cursed"]`. The share of each kind but language is measured whether or not it is listed. `model`:
a fastText model of languages; the default is that of the language rule.

Sources: Kudugunta et al. 2023 (MADLAD-400, arXiv:2309.04662), section 2.3 and the list of cursed substrings published
with the data; allenai/datamap-rs, madlad400_sentence_annotator and madlad400_rule_filter.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from filters.base import Bound, Columns, Documents, FilePath, Filter, SpanDefinition
from filters.fasttext_model import load_model
from filters.kernels.buffers import TextBuffers
from filters.kernels.madlad import KINDS, Kind, SentenceRules, Sentences, count_questionable, find_sentences
from filters.kernels.tallies import ratio
from filters.kernels.unicode import UNICODE_VERSION
from filters.language import Language

_LANGUAGE = "language_ratio"


class Madlad(Filter):
    """Rejects documents with few sentences or with many questionable ones; see the module's text."""

    rule: ClassVar[str] = "madlad"
    measures: ClassVar[tuple[str, ...]] = ("num_sentences", "questionable_ratio", *(f"{kind}_ratio" for kind in KINDS))
    bounds: ClassVar[tuple[Bound, ...]] = (
        Bound("num_sentences", "min", "min_sentences", "too_few_sentences"),
        Bound("questionable_ratio", "max", "max_questionable_ratio", "questionable"),
    )

    min_sentences: int | None = Field(default=5, ge=0)
    max_questionable_ratio: float | None = Field(default=0.2, ge=0.0, le=1.0)
    # Those that make a sentence questionable.
    kinds: list[Kind] = Field(default=["list_case", "length", "number", "cursed"], min_length=1)
    words: SpanDefinition = "uax29"
    min_list_words: int = Field(default=12, ge=1)  # shorter sentences are no lists
    max_capital_ratio: float = Field(default=0.5, ge=0.0, le=1.0)
    min_sentence_chars: int = Field(default=20, ge=0)
    max_sentence_chars: int = Field(default=500, ge=0)
    max_number_char_ratio: float = Field(default=0.2, ge=0.0, le=1.0)
    model: FilePath | None = None

    def measured(self) -> tuple[str, ...]:
        """All measures, but language_ratio only where languages are asked for."""
        return self.measures if self._asks_languages else tuple(name for name in self.measures if name != _LANGUAGE)

    def check(self) -> None:
        """Raise ModelError if the model of languages is asked for and not usable."""
        super().check()
        if self._asks_languages:
            load_model(self._language.model_path)

    def score(self, documents: Documents) -> Columns:
        """float64 (num_documents,): num_sentences; shares of the sentences in [0, 1], 0.0 where there are none."""
        rules = SentenceRules(
            self.min_list_words,
            self.max_capital_ratio,
            self.min_sentence_chars,
            self.max_sentence_chars,
            self.max_number_char_ratio,
        )
        sentences = find_sentences(documents.text, documents.words(self.words), rules)
        kinds = sentences.kinds
        if self._asks_languages:
            kinds = kinds | self._foreign(documents.text, sentences) << np.uint8(KINDS.index("language"))
        num_sentences, *questionable = count_questionable(sentences.offsets, kinds, self.kinds)
        shares = [ratio(count, num_sentences) for count in questionable]
        columns = dict(zip(self.measures, [num_sentences.astype(np.float64), *shares], strict=True))
        return {name: columns[name] for name in self.measured()}

    def measuring(self) -> dict[str, Any]:
        """Adds the version of the Unicode tables, which say what a capital and what white space is; the model asked."""
        model = {"model": f"sha256:{self._language.model_digest}" if self._asks_languages else None}
        return {**super().measuring(), **model, "unicode": UNICODE_VERSION}

    @property
    def _asks_languages(self) -> bool:
        return "language" in self.kinds

    @property
    def _language(self) -> Language:
        return Language(model=self.model)

    def _foreign(self, text: TextBuffers, sentences: Sentences) -> npt.NDArray[np.uint8]:
        """1 for each sentence with a letter whose label is another than its document's: uint8 (num_sentences,)."""
        model = load_model(self._language.model_path)
        own = np.repeat(model.predict(text)[0], np.diff(sentences.offsets))
        asked = sentences.has_letter
        labels = model.predict_spans(text.data, sentences.starts[asked], sentences.ends[asked])
        foreign = np.zeros(len(own), np.uint8)
        foreign[asked] = labels != own[asked]
        return foreign
