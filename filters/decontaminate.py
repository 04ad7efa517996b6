"""Decontamination: documents that hold items of evaluation sets, found by n-grams of words.

What it does: looks for the n-grams of all items of the named files in each document, and tells the item of which most
is found (`item`, "" for none), which of `files` has it (`item_file`, from 0; -1 for none), the share of its words that
lie in n-grams found (`overlap_ratio`), how many different n-grams were found (`num_ngrams`) and of how many items
(`num_items`). With `action = "drop"` such documents are dropped and no text is changed. With `action = "mask"` each
stretch found is replaced by `[BENCHMARK]` and counted (`num_masked`), `overlap_ratio` is 0 where that was done, and no
document is dropped. The report lists the items that most documents hold.

Why such documents are removed: a model that has read the questions of a test, often with the answers, scores higher on
it than it deserves, and nobody can tell by how much afterwards.

Known harm: many items quote what others wrote, so pages about the same matter fall with them: the text of a law, a
hymn, a famous speech, the Wikipedia article that a BoolQ or SQuAD passage was cut from (raise `min_overlap`, or mask,
where the articles are wanted). Items that are one common phrase hit by chance: of 2,842 web pages 1 held 13 words of a
mix of 30,563 items, by a quotation; with `min_words = 5` it was 5, four of them common phrases; none of 400 clean
documents of prose fell with either. What is missed: paraphrases, translations, answers without the question, items with
a changed word in every n words. Of 100 planted items each it found all that were whole (as they are, with the answer,
in other case and punctuation, wrapped, two in one document), 99 windows of 13 words (the other is an instruction),
90 first halves, 84 with 10 % of the words replaced, 15 with 30 % and no window of 8. With `n = 8` it finds 97 of those
windows, 96 and 58 of those with words replaced, but also 1 of the clean documents and 48 of the web pages (2 at
`min_overlap = 0.5`, which loses the windows). Kana, Thai and other scripts without spaces are not cut into words, so
their items seldom have enough of them to be looked for.

Kept: a page that says `The capital of France is Paris.` where an item asks `What is the capital of France?`

Dropped: a forum page with a whole problem of a school book that a test set has too, in capitals and without a comma.

Definitions:
- A word is what stands between white space, case folded and decomposed (NFKD), without all that is no letter, digit or
  mark: `Don’t` equals `DONT`. CJK ideographs are words of their own.
- An n-gram is n consecutive words of an item as written (marks between blanks are words there, but are not compared),
  or the whole of a shorter item, if at least min_words are left to compare. One n-gram suffices at `min_overlap = 0`.
- Each of `columns` is a text of its own: no n-gram runs from a question into its answer.
- Items of equal words are one, the first: a passage that ten questions ask about counts once.
- An n-gram that more than `max_items` items hold is an instruction or a template and no sign of any of them: it is not
  looked for, and words that only such n-grams hold do not count for `overlap_ratio`. So a page that quotes the
  instruction alone is clean, and an item is found whole by its own words. 100 keeps passages that dozens of questions
  repeat; of the mix of 30,563 items it leaves out 190 of 972,000 n-grams, the fixed lines of ten tasks, and no item.
- Of items with equal overlap the first is named: by file, line, column.
- GPT-3 and lm-evaluation-harness's janitor compare 13-grams of lower-case words without punctuation as well, pass over
  n-grams that occur more than ten times in the corpus (we: in items), cut 200 characters on both sides of a hit (we:
  the hit alone), and drop what is left in more than ten pieces or below 200 characters. GPT-3's n for short items is
  their length too, 8 at least. Dolma drops documents for whole paragraphs that a Bloom filter holds, a few of them by
  chance; here every n-gram is compared word for word. Llama 3 and Tülu 3 ask for a share of an item's tokens in
  8-grams, as n = 8 with min_overlap does here. DCLM looks for the last sentence of a question and one of its answers.

Parameters: `files`: JSON lines (plain, gzip or Zstandard), one item a line; `columns`: keys of the texts (null: none);
`id_column`: key of the id, None names items by place, as `files[0]:17`. `n`, `min_words`, `max_items` as above.
`min_overlap`: the least overlap_ratio to drop or mask for, inclusive; 0 is any overlap, None measures only. An index
takes 40 to 60 bytes for each word of the items, once in each process.

Sources: Brown et al. 2020 (GPT-3, arXiv:2005.14165), appendix C; lm-evaluation-harness, clean_training_data; Soldaini
et al. 2024 (Dolma, arXiv:2402.00159); Llama 3 (arXiv:2407.21783), section 5.1.4; Tülu 3 (arXiv:2411.15124); DCLM
(arXiv:2406.11794).
"""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from filters.base import Bound, Columns, Documents, Edit, FilePath
from filters.kernels.buffers import TextBuffers, text_array, text_buffers
from filters.kernels.folded_words import FoldedWords, find_folded_words
from filters.kernels.overlap import OverlapIndex, build_index, find_overlap
from filters.kernels.unicode import UNICODE_VERSION
from filters.named_files import read_text
from manifests import shards
from manifests.errors import RecipeError

PLACEHOLDER = b"[BENCHMARK]"
_NEVER = 2.0  # above any overlap


@dataclass(frozen=True)
class Items:
    """What the files hold: the index of all texts, the id of each text's item, and the number of its file.

    ids: object, of str; files: float64; the last of both, "" and -1, are for text -1: none.
    """

    index: OverlapIndex
    ids: np.ndarray
    files: np.ndarray


class Decontaminate(Edit):
    """Drops documents that hold evaluation items, or masks the items; see the module's text."""

    rule: ClassVar[str] = "decontaminate"
    measures: ClassVar[tuple[str, ...]] = (
        *("item", "item_file", "overlap_ratio"),
        *("num_ngrams", "num_items", "num_masked"),
    )
    bounds: ClassVar[tuple[Bound, ...]] = (Bound("overlap_ratio", "max", "min_overlap", "contaminated"),)

    files: list[FilePath] = []
    columns: list[str] = Field(default=["text"], min_length=1)
    id_column: str | None = "id"
    n: int = Field(default=13, ge=1, le=100)
    min_words: int = Field(default=8, ge=1)
    max_items: int = Field(default=100, ge=1)
    min_overlap: float | None = Field(default=0.0, ge=0.0, le=1.0)
    action: Literal["drop", "mask"] = "drop"

    def column_types(self) -> dict[str, pa.DataType]:
        """`decontaminate.item` is a string, the others float64."""
        return {**super().column_types(), "decontaminate.item": pa.string()}

    def excludes(self, bound: Bound) -> bool:
        """An overlap equal to min_overlap is one, but 0 is none."""
        return self.min_overlap != 0.0

    def deciding_keys(self) -> set[str]:
        """None where min_overlap changes texts."""
        return set() if self.action == "mask" else super().deciding_keys()

    def measuring(self) -> dict[str, Any]:
        """The files by content; the Unicode tables that fold words."""
        return {**super().measuring(), "unicode": UNICODE_VERSION}

    def check(self) -> None:
        """Read all files; raise RecipeError if none is named or one is not usable, InputError if one is missing."""
        if not self.files:
            raise RecipeError('[[filter]] decontaminate: no file is named. Give files = ["items.jsonl"].')
        if self.min_words > self.n:
            raise RecipeError(
                f"[[filter]] decontaminate: min_words = {self.min_words} is above n = {self.n}: nothing is found"
            )
        self._items()

    def edit(self, documents: Documents) -> tuple[pa.Array, Columns]:
        """Texts, masked or as they were; `item`: object array of str, the others float64 (num_documents,)."""
        items = self._items()
        least = self.min_overlap if self.action == "mask" else None
        words = find_folded_words(documents.text)
        found = find_overlap(words, items.index, _NEVER if least is None else least)
        text, num_masked = _masked(documents.text, words, found.matched)
        columns: Columns = {
            "item": items.ids[found.item],
            "item_file": items.files[found.item],
            "overlap_ratio": np.where(num_masked > 0, 0.0, found.overlap_ratio),
            "num_ngrams": found.num_ngrams.astype(np.float64),
            "num_items": found.num_items.astype(np.float64),
            "num_masked": num_masked.astype(np.float64),
        }
        return text, columns

    def _items(self) -> Items:
        files = tuple((path, shards.file_digest(path)) for path in self.files)
        return _read_items(files, tuple(self.columns), self.id_column, (self.n, self.min_words, self.max_items))


@functools.lru_cache(maxsize=2)
def _read_items(
    files: tuple[tuple[str, str], ...], columns: tuple[str, ...], id_column: str | None, limits: tuple[int, int, int]
) -> Items:  # files: (path, digest), so that one that changes is read again
    ids: list[str] = []
    texts: list[str] = []
    numbers: list[float] = []
    for number, (path, _) in enumerate(files):
        num_before = len(texts)
        for line, row in _rows(path):
            where = f"{path}: line {line}"
            name = f"files[{number}]:{line}" if id_column is None else _id(row, id_column, where)
            found = [text for column in columns if (text := _text(row, column, where)) is not None]
            ids += [name] * len(found)
            texts += found
        if len(texts) == num_before:
            raise RecipeError(
                f"{path}: holds no text. Give JSON lines with {' or '.join(columns)}, or remove the file."
            )
        numbers += [float(number)] * (len(texts) - num_before)
    words = find_folded_words(text_buffers(pa.array(texts, pa.large_string())))
    return Items(build_index(words, *limits), np.array([*ids, ""], object), np.array([*numbers, -1.0]))


def _rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number (from 1) and content of each line that is not blank."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"{path}: line {number} is not JSON ({error}). Give one JSON object a line.") from None
        if not isinstance(row, dict):
            raise RecipeError(f"{path}: line {number} is no JSON object. Give one JSON object a line.")
        yield number, row


def _id(row: dict[str, Any], column: str, where: str) -> str:
    value = _value(row, column, where, 'set id_column (or "off" to name items by line)')
    if not isinstance(value, str | int):
        raise RecipeError(f"{where}: {column!r} is no string or whole number. Set id_column to a key that has ids.")
    return _encodable(str(value))


def _text(row: dict[str, Any], column: str, where: str) -> str | None:
    value = _value(row, column, where, "set columns")
    if value is not None and not isinstance(value, str):
        raise RecipeError(f"{where}: {column!r} is no string or null. Set columns to the keys that hold texts.")
    return None if value is None else _encodable(value)


def _value(row: dict[str, Any], column: str, where: str, remedy: str) -> Any:
    if column not in row:
        keys = ", ".join(map(repr, row)) or "none"
        raise RecipeError(f"{where}: has no {column!r}; its keys are {keys}. Correct the line, or {remedy}.")
    return row[column]


def _encodable(text: str) -> str:
    """JSON can escape half a surrogate pair, which UTF-8 has no bytes for."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _masked(text: TextBuffers, words: FoldedWords, matched: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """Texts with each stretch of matched words replaced, and the number of stretches: int64 (num_documents,)."""
    document = np.repeat(np.arange(text.num_documents), np.diff(words.offsets))
    begins, ends = matched.copy(), matched.copy()
    follows = matched[1:] & matched[:-1] & (document[1:] == document[:-1])
    begins[1:] &= ~follows
    ends[:-1] &= ~follows
    starts, stops = words.starts[begins], words.ends[ends]
    num_masked = np.bincount(document[begins], minlength=text.num_documents)
    parts: list[Any] = []
    position = int(text.offsets[0])
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        parts += [text.data[position:start], PLACEHOLDER]
        position = stop
    parts.append(text.data[position : text.offsets[-1]])
    num_bytes = np.diff(text.offsets)
    np.add.at(num_bytes, document[begins], len(PLACEHOLDER) - (stops - starts))
    offsets = np.append(0, np.cumsum(num_bytes))
    data = parts[0] if len(parts) == 1 else np.frombuffer(bytearray().join(parts), np.uint8)
    return text_array(data, offsets), num_masked
