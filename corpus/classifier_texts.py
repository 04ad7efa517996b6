"""The labelled texts of a classifier: read, cleaned up as a build does, told apart, and split for a fair report.

Texts with the same letters and digits, whatever their case, blanks and punctuation, are one text: a class has it once,
and one that both classes have is in neither. Which texts are held out is decided by a hash of that, so that nearly the
same text is never on both sides; the same hash orders the texts for training, so that neither the order nor the number
of files matters.
"""

import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from corpus.normalize import normalize
from corpus.read import FAILED, READERS
from corpus.read.compression import UnpackedStream
from corpus.read.rows import Row, clean, failed, row_tables
from corpus.read.stream import InputStream
from corpus.recipe import Normalize, Source
from corpus.units import Unit, plan_units
from manifests.digest import hash_fraction
from manifests.errors import InputError

Format = Literal["jsonl", "parquet", "wet", "text"]

_FORMAT_OF: dict[str, Format] = {
    "jsonl": "jsonl",
    "json": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
    "wet": "wet",
    "txt": "text",
}
_PACKED = re.compile(r"\.(gz|zst|lz4)$")
# What fastText splits at; other white space is part of its words.
_BLANKS = re.compile(r"[ \n\r\t\v\f\0]+")
_NO_LETTERS_OR_DIGITS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class InputFile:
    """A file that was read: its name below its root, SHA-256 and size."""

    file: str
    sha256: str
    num_bytes: int


@dataclass
class LabelledTexts:
    """The texts of one class by their fingerprint, each as one line, and what was left out."""

    files: list[InputFile] = field(default_factory=list)
    lines: dict[str, str] = field(default_factory=dict)
    num_read: int = 0
    num_unreadable: int = 0
    num_empty: int = 0
    num_repeated: int = 0
    num_in_both: int = 0


def one_line(text: str) -> str:
    """The text as filters.fasttext_model sees it: its words, single blanks between them.

    fastText's end mark and words that start like its labels have no say in a prediction, so they have none here.
    """
    words = _BLANKS.split(text)
    return " ".join(word for word in words if word not in ("", "</s>") and not word.startswith("__label__"))


def fingerprint(text: str) -> str:
    """Letters and digits alone, in one case and compatibility form; "" for a text that has none."""
    return _NO_LETTERS_OR_DIGITS.sub("", unicodedata.normalize("NFKC", text).casefold())


def is_held_out(text: str, ratio: float, seed: int) -> bool:
    """Whether a text, known by its fingerprint, is for the report and not for training."""
    return hash_fraction(text, "held-out", seed) < ratio


def read_texts(name: str, paths: Sequence[str], column: str) -> LabelledTexts:
    """The texts of one class, all in memory, cleaned up as the default [normalize] of a recipe does.

    paths: files, globs or URIs of JSON lines (.jsonl, .json, .ndjson), Parquet, WET, or text with one document a line
    (.txt), also packed (.gz, .zst, .lz4). column: where JSON lines and Parquet have the text. Records that cannot be
    read are counted. Raises InputError for a path without a file, a name that tells no format, and a file without a
    readable record.
    """
    texts = LabelledTexts()
    for path in paths:
        # A source for each path: files of several folders may have the same name.
        source = Source(name=name, format=_format_of(path), paths=[path], columns={"text": column})
        for unit in plan_units(source):
            _read_unit(unit, source, texts)
    return texts


def leave_out_shared(first: LabelledTexts, second: LabelledTexts) -> None:
    """Take the texts that are in both classes out of both, and count them."""
    for shared in first.lines.keys() & second.lines.keys():
        for texts in (first, second):
            del texts.lines[shared]
            texts.num_in_both += 1


def _format_of(path: str) -> Format:
    suffix = _PACKED.sub("", path).rpartition(".")[2].lower()
    if suffix not in _FORMAT_OF:
        raise InputError(
            f"{path}: the name does not tell the format. Name files .jsonl, .json, .ndjson, .parquet, .wet or .txt "
            "(one document a line), each also with .gz, .zst or .lz4; a folder as FOLDER/*.jsonl."
        )
    return _FORMAT_OF[suffix]


def _read_unit(unit: Unit, source: Source, texts: LabelledTexts) -> None:
    stream = InputStream(unit.uri)
    num_before, first_error = texts.num_read, None
    try:
        tables = (
            _lines(stream, unit, source) if source.format == "text" else READERS[source.format](stream, unit, source)
        )
        for table in tables:
            first_error = first_error or _add(table, texts)
        stream.drain()
    finally:
        stream.close()
    if texts.num_read == num_before:
        raise InputError(f"{unit.uri}: holds no text that can be read: {first_error or 'every record is empty'}.")
    texts.files.append(InputFile(unit.file, stream.sha256.hexdigest(), stream.num_bytes))


def _lines(stream: InputStream, unit: Unit, source: Source) -> Iterator[pa.Table]:
    """One row per line, as corpus.read.text gives one per file."""
    return row_tables(_line_rows(stream), unit)


def _line_rows(stream: InputStream) -> Iterator[Row]:
    unpacked = UnpackedStream(stream)
    position = 0
    for line in io.BufferedReader(unpacked, 1 << 18):
        try:
            text = line.decode("utf-8-sig" if position == 0 else "utf-8")
            yield Row(position, len(line), text=clean(text), reason=None if text.strip() else "read.empty")
        except UnicodeDecodeError as error:
            yield failed(position, len(line), "read.invalid_encoding", f"byte {position + error.start} is not UTF-8")
        position += len(line)
    if unpacked.broken:
        yield failed(position, 0, "read.broken", unpacked.broken)


def _add(table: pa.Table, texts: LabelledTexts) -> str | None:
    """Add the documents of a table; returns the first error in it."""
    errors = [error for error in table["error"].to_pylist() if error is not None]
    texts.num_unreadable += len(errors)
    for reason, text in zip(
        table["reason"].to_pylist(), normalize(table, Normalize())["text"].to_pylist(), strict=True
    ):
        if reason not in FAILED and reason != "read.record_type":
            _add_text(text, texts)
    return errors[0] if errors else None


def _add_text(text: str, texts: LabelledTexts) -> None:
    texts.num_read += 1
    line = one_line(text)
    key = fingerprint(line)
    if not key:
        texts.num_empty += 1
    elif key in texts.lines:
        texts.num_repeated += 1
        # Not the first one read: which that is depends on the order of the files.
        texts.lines[key] = min(line, texts.lines[key])
    else:
        texts.lines[key] = line
