"""Perplexity: how much a text surprises an n-gram language model of good text (KenLM).

What it measures: `perplexity.perplexity`, the inverse of the probability that the model gives to a word on (geometric)
average, the end of each sentence counted as a word, rounded to 0.1. Low is like the text that the model was made of.

Why such documents are removed: menus, word lists, machine noise and text in another language than the model's are
improbable word after word. CCNet cut each language by the perplexity under a model of its Wikipedia into a head, a
middle and a tail, and head or middle became the base of many corpora.

Known harm: the register of the model's texts becomes the measure of quality. With a small trigram model of English
Wikipedia in CCNet's manner, and cutoffs that put 40 % of 1,788 English web pages into the tail, the tail takes all of
64 parts of Shakespeare's plays, 50 % of 682 parts of Gutenberg's books, 90 % of a technical manual, 59 % of customer
reviews and 61 % of Wikipedia's own talk comments, but none of the presidents' State of the Union addresses
(tests/bench/perplexity_harm.py). It hardly agrees with people: of the pages that DCLM's annotators called good 29 % are
in the tail, of those they called bad 41 %. Poetry, dialogue, dialect, slang, lists and learners' language are
improbable although people wrote them for people; boilerplate in encyclopedic tone is probable.

Kept:    (max_middle = 600.0) an encyclopedia article of perplexity 250.
Dropped: a list of part numbers of perplexity 4,000 (tail).

Definitions:
- Perplexity is 10 ** (-L / N): L is the sum of KenLM's log10 probabilities over all sentences, N the number of words
  plus one for the end of each sentence.
- A word is a piece of the SentencePiece model; without such a model, what str.split() gives.
- semantics = "lines": each line that is not blank is a sentence. "ccnet": the document is one sentence, and tabs
  and line ends are deleted without a blank in their place, so that the last word of a line and the first of the next
  become one. CCNet's pipeline does this and its published cutoffs were taken so; use "ccnet" with those.
- normalize, as CCNet's models need it: lower case, NFD without nonspacing marks (accents), every decimal digit
  becomes 0, 33 quotation marks, dashes and CJK marks become their ASCII likeness, control characters are deleted.
- Text without a word is one empty sentence: its perplexity is that of an immediate end, finite like every other.
- CCNet's buckets are head below a first cutoff, middle from there to below a second one, and tail. Head and middle are
  kept by max_middle = second; the head by max_head = first as well; the middle by max_middle = second and min_middle =
  first. The reason is the bucket of the document. With "ccnet" a perplexity equal to max_head or max_middle is beyond
  it, as there; with "lines" it is not.
- A model knows one language. Texts in others are measured all the same: keep one language with `[language]`, or leave
  the others to `short_circuit`.

Parameters: `model`: a KenLM file (ARPA, may be gzipped, or binary), local and on every machine. Workers of a machine
share the memory of a binary file, not that of an ARPA file. `sentencepiece`: the model's SentencePiece file.
`max_head`, `max_middle`, `min_middle`: off unless set; for CCNet's models the cutoffs are the rows 30 and 60 of the
language's column of its cutoff.csv. Header and size of a model are checked when it is loaded; bytes changed inside a
binary file go unnoticed and may end the process: fetch models from where you trust, the manifest records their digest.

Sources: Wenzek et al. 2020 (CCNet, arXiv:1911.00359), section 3.3, and its code (perplexity.py, text_normalizer.py,
mine.py); Heafield 2011 (KenLM); Kudo and Richardson 2018 (SentencePiece).
"""

import functools
import importlib
import sys
import unicodedata
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from filters.base import Bound, Columns, Documents, FilePath, Filter
from manifests import shards
from manifests.errors import ModelError, RecipeError

# Scores are finite by contract; a damaged model may say -inf or NaN.
_MAX_EXPONENT = 300.0
# CCNet's replacements, without its fullwidth digit one, which has become 0 before.
_PUNCTUATION = {
    **dict.fromkeys("„”“«»」「《》", '"'),
    **dict.fromkeys("´’", "'"),
    **dict.fromkeys("–━►", "-"),
    **dict.fromkeys("，、", ","),
    **dict.fromkeys("∶：", ":"),
    "。": ".",
    "？": "?",
    "！": "!",
    "（": "(",
    "）": ")",
    "；": ";",
    "—": " - ",
    "．": ". ",
    "～": "~",
    "…": "...",
    "〈": "<",
    "〉": ">",
    "【": "[",
    "】": "]",
    "％": "%",
}


class Perplexity(Filter):
    """Drops documents by the bucket of their perplexity under a KenLM model; without limits it only measures."""

    rule: ClassVar[str] = "perplexity"
    measures: ClassVar[tuple[str, ...]] = ("perplexity",)
    bounds: ClassVar[tuple[Bound, ...]] = (
        Bound("perplexity", "max", "max_middle", "tail", exclusive="ccnet"),
        Bound("perplexity", "max", "max_head", "middle", exclusive="ccnet"),
        Bound("perplexity", "min", "min_middle", "head"),
    )

    model: FilePath
    sentencepiece: FilePath | None = None
    normalize: bool = True
    semantics: Literal["lines", "ccnet"] = "lines"
    max_head: float | None = Field(default=None, ge=0.0)
    max_middle: float | None = Field(default=None, ge=0.0)
    min_middle: float | None = Field(default=None, ge=0.0)

    def check(self) -> None:
        """Raise RecipeError if a library is missing, ModelError if a model is missing, remote or of another format."""
        _scorer(self)

    def score(self, documents: Documents) -> Columns:
        """`perplexity`: float64 (num_documents,), 0.0 or more, in steps of 0.1."""
        scorer = _scorer(self)
        texts = documents.table["text"].to_pylist()
        return {"perplexity": np.array([scorer.perplexity(self._sentences(text)) for text in texts], np.float64)}

    def _sentences(self, text: str) -> list[str]:
        if self.semantics == "lines":
            # Blanks in the place of tabs, which would be deleted with the other control characters.
            lines = [" ".join(line.split()) for line in text.split("\n")]
            return [self._normalized(line) for line in lines if line] or [""]
        return [self._normalized(text)]

    def _normalized(self, text: str) -> str:
        return normalized(text) if self.normalize else text


def normalized(text: str) -> str:
    """Text as CCNet's models were made of it; line ends are deleted with the other control characters."""
    return unicodedata.normalize("NFD", text.strip().lower()).translate(_replacements())


@functools.cache
def _replacements() -> dict[int, str]:
    """What becomes of each code point after decomposition: one table, since no replacement is replaced again."""
    table = {ord(mark): ascii_mark for mark, ascii_mark in _PUNCTUATION.items()}
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category in ("Mn", "Cc"):
            table[code] = ""
        elif category == "Nd":
            table[code] = "0"
    return table


class _Scorer:
    """Loaded models. Not picklable: workers load their own, by path."""

    def __init__(self, model: str, sentencepiece: str | None) -> None:
        self._model = _load_kenlm(model)
        self._pieces = _load_sentencepiece(sentencepiece) if sentencepiece is not None else None

    def perplexity(self, sentences: list[str]) -> float:
        """10 ** (-log10 probability / number of words), the end of each sentence being a word; rounded to 0.1."""
        log10_probability, num_words = 0.0, 0
        for sentence in sentences:
            words = self._words(sentence)
            log10_probability += self._model.score(" ".join(words))
            num_words += len(words) + 1
        exponent = -log10_probability / num_words
        return float(round(10.0 ** (exponent if exponent < _MAX_EXPONENT else _MAX_EXPONENT), 1))

    def _words(self, sentence: str) -> list[str]:
        # KenLM would end the sentence at U+0000, and a piece may hold white space.
        pieces = sentence if self._pieces is None else " ".join(self._pieces.encode_as_pieces(sentence))
        return pieces.replace("\0", " ").split()


def _scorer(config: Perplexity) -> _Scorer:
    """The config's models, loaded once per process for each content."""
    paths = [config.model] if config.sentencepiece is None else [config.model, config.sentencepiece]
    for path in paths:
        if "://" in path:
            raise ModelError(f"{path}: is remote. Copy the model to every machine and name that path.")
        if not Path(path).is_file():
            raise ModelError(f"{path}: there is no such file. Name the model's file in [[filter]] perplexity.")
    return _loaded(config.model, config.sentencepiece, tuple(shards.file_digest(path) for path in paths))


@functools.lru_cache(maxsize=4)
def _loaded(model: str, sentencepiece: str | None, digests: tuple[str, ...]) -> _Scorer:
    return _Scorer(model, sentencepiece)  # digests: a file that changes is loaded again


def _load_kenlm(path: str) -> Any:
    kenlm = _library("kenlm")
    config = kenlm.Config()
    config.load_method = kenlm.LoadMethod.LAZY  # mapped: processes of a machine share the pages
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(path, config)
    except (OSError, UnicodeDecodeError):  # the reason, for damaged files, quotes bytes that are no text
        raise ModelError(
            f"{path}: KenLM cannot load it; it is damaged, cut short or of another format. Name an ARPA file, or "
            "what KenLM's build_binary made of one, with 2-grams to 6-grams."
        ) from None


def _load_sentencepiece(path: str) -> Any:
    processor = _library("sentencepiece").SentencePieceProcessor()
    try:
        processor.Load(path)
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{path}: SentencePiece cannot load it ({error}). Fetch the model again.") from None
    return processor


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise RecipeError(
            f"[[filter]] perplexity needs the library {name}, which is not installed. "
            "Run `pip install 'gristmill[perplexity]'` on every machine."
        ) from None
