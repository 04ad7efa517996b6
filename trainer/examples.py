"""Examples in JSONL files -> packed rows to train and to validate on.

Nothing is lost silently: a line that is not understood, or does not fit into a row, ends the run with file and line.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from manifests import shards
from manifests.digest import canonical_json, digest_json, hash_fraction
from manifests.errors import InputError, RecipeError
from trainer.config import TrainConfig
from trainer.data import Data
from trainer.example_rows import ExamplePlan, ExampleRows, Segment
from trainer.jsonl import read_jsonl
from trainer.origin import Origin, is_seq2seq, read_origin
from trainer.prompts import Example, Piece, check_template, parse_example
from trainer.run_files import absolute
from trainer.stream import TrainStream

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
VERSION = 1  # of what turns lines into rows; part of the data's digest
ENCODED_AT_ONCE = 1000


@dataclass(frozen=True)
class Line:
    """An example and where it stands. source: number of its file; document: file:line."""

    document: str
    source: int
    example: Example
    is_reserved: bool  # for validation


def open_examples(paths: Sequence[str], config: TrainConfig) -> Data:
    """Open the JSONL files that a run is tuned on. All of them are read and encoded here.

    Raises RecipeError for settings, InputError for files and lines, ModelError for the tokenizer.
    """
    check_template(config.objective, config.examples.template)
    _check_settings(paths, config)
    origin = read_origin(config)
    _check_length(config, origin)
    names = _names(paths)
    lines = [line for number, path in enumerate(paths) for line in _lines(path, names[number], number, config)]
    labels = _labels(lines, config)
    languages = tuple(sorted({line.example.language for line in lines if line.example.language is not None}))
    items = _encode(lines, _Encoder(origin, config, labels, languages))
    digest = _digest(paths, config, origin)
    train, validation = (
        [item for line, item in zip(lines, items, strict=True) if line.is_reserved == reserved]
        for reserved in (False, True)
    )
    if not train:
        raise InputError(
            f"{', '.join(paths)}: {len(lines)} examples, none of them left to train on. "
            "Give more, or a smaller examples.validation_ratio."
        )
    layout = (config.examples.length, origin.end_of_text_id, bool(labels))
    rows = ExampleRows(train, *layout)
    _check_repeats(rows, config)
    return Data(
        paths=tuple(absolute(path) for path in paths),
        digest=digest,
        train=TrainStream(rows, ExamplePlan(rows.num_rows, config.seed, digest), config.global_batch),
        validation=ExampleRows(validation, *layout) if validation else None,
        sources=names,
        languages=languages,
        vocab_size=origin.vocab_size,
        end_of_text_id=origin.end_of_text_id,
        length=config.examples.length,
        tokenizer=origin.tokenizer_uri,
        labels=labels,
    )


def _lines(path: str, name: str, source: int, config: TrainConfig) -> Iterator[Line]:
    for number, record in read_jsonl(path):
        example = parse_example(record, config.objective, config.examples.template, f"{path}:{number}")
        # Not the run's seed: runs of several seeds are compared on the same examples.
        place = hash_fraction(canonical_json(record), "validation", 0)
        yield Line(f"{name}:{number}", source, example, place < config.examples.validation_ratio)


class _Encoder:
    """Examples to segments of token ids, framed as the model to start from needs them."""

    def __init__(
        self, origin: Origin, config: TrainConfig, labels: tuple[str, ...], languages: tuple[str, ...]
    ) -> None:
        self.length = config.examples.length
        self._tokenizer, self._end = origin.tokenizer, origin.end_of_text_id
        self._one_answer = is_seq2seq(config)
        self._frames_parts = self._one_answer or config.objective == "classification"
        self._labels = {label: number for number, label in enumerate(labels)}
        self._languages = {language: number for number, language in enumerate(languages)}

    def encode(self, lines: Sequence[Line]) -> list[list[Segment]]:
        """The segments of each line."""
        pieces = [piece for line in lines for segment in line.example.segments for piece in segment]
        ids = iter(zip(pieces, self._tokenizer.encode([piece.text for piece in pieces]), strict=True))
        return [
            [self._segment(line, [next(ids) for _ in segment]) for segment in line.example.segments] for line in lines
        ]

    def _segment(self, line: Line, pieces: list[tuple[Piece, list[int]]]) -> Segment:
        for piece, ids in pieces:
            special = self._tokenizer.special_in(ids)
            if special is not None:
                raise InputError(
                    f"{line.document}: the tokenizer reads a part of {piece.text[:60]!r} as its special token "
                    f"{special!r}. Take that out of the text."
                )
        if self._one_answer and [piece.is_answer for piece, _ in pieces] != [False, True]:
            raise InputError(
                f"{line.document}: has several answers; an encoder-decoder model learns one. Split the conversation."
            )
        if not self._labels and not pieces[0][1]:
            raise InputError(f"{line.document}: the prompt is empty: there is nothing that the answer could follow.")
        if self._labels and not pieces[0][1]:
            raise InputError(f"{line.document}: the text is empty.")
        parts = [self._framed(number, piece, ids) for number, (piece, ids) in enumerate(pieces)]
        answer = [np.full(len(part), piece.is_answer) for part, (piece, _) in zip(parts, pieces, strict=True)]
        return Segment(
            np.array([token for part in parts for token in part], np.uint32),
            np.concatenate(answer),
            line.document,
            line.source,
            sum(len(piece.text.encode("utf-8")) for piece, _ in pieces),
            self._languages.get(line.example.language or "", -1),
            self._labels.get(line.example.label or "", -1),
        )

    def _framed(self, number: int, piece: Piece, ids: list[int]) -> list[int]:
        prefix, suffix = self._tokenizer.prefix, self._tokenizer.suffix
        if self._frames_parts:
            end = suffix or ((self._end,) if piece.is_answer else ())
            return [*prefix, *ids, *end]
        return [*(prefix if number == 0 else ()), *ids, *((self._end,) if piece.is_answer else ())]


def _encode(lines: list[Line], encoder: _Encoder) -> list[list[Segment]]:
    items: list[list[Segment]] = []
    for start in range(0, len(lines), ENCODED_AT_ONCE):
        items += encoder.encode(lines[start : start + ENCODED_AT_ONCE])
    sizes = [sum(len(segment.tokens) for segment in item) for item in items]
    too_long = [number for number, size in enumerate(sizes) if size > encoder.length]
    if too_long:
        first = items[too_long[0]]
        answers = sum(int(segment.answer.sum()) for segment in first)
        raise InputError(
            f"{lines[too_long[0]].document}: has {sizes[too_long[0]]} tokens, {answers} of them answers; a row holds "
            f"examples.length = {encoder.length}. {len(too_long)} of {len(lines)} examples are too long, the longest "
            f"has {max(sizes)}. Raise examples.length or shorten them: none is cut or left out."
        )
    return items


def _check_settings(paths: Sequence[str], config: TrainConfig) -> None:
    for path in paths:
        if not path.endswith(SUFFIXES):
            raise RecipeError(
                f"{path}: objective {config.objective!r} reads examples from files that end in {', '.join(SUFFIXES)}."
            )
    if config.mixture:
        raise RecipeError("mixture is for corpora: examples are read as often as they stand in the files.")
    if config.objective == "preference" and is_seq2seq(config):
        raise RecipeError(f"objective 'preference' tunes decoders; {config.init} is an encoder-decoder.")


def _check_length(config: TrainConfig, origin: Origin) -> None:
    length = config.examples.length
    if origin.max_length is not None and length > origin.max_length:
        raise RecipeError(
            f"examples.length is {length}, {config.init} sees {origin.max_length} tokens. "
            f"Set examples.length = {origin.max_length}."
        )
    if config.init is None and config.model.context not in (None, length):
        raise RecipeError(f"model.context is {config.model.context}, examples.length {length}: give them one value.")


def _check_repeats(reader: ExampleRows, config: TrainConfig) -> None:
    repeats = config.steps * config.global_batch / reader.num_rows
    if config.max_repeats is not None and repeats > config.max_repeats:
        raise RecipeError(
            f"{config.steps} steps of {config.global_batch} rows read the {reader.num_rows} rows {repeats:.1f} times; "
            f"max_repeats is {config.max_repeats}. Give more examples or fewer steps."
        )


def _names(paths: Sequence[str]) -> tuple[str, ...]:
    """Names of files without their folders, with them where two are the same."""
    short = [os.path.basename(path) for path in paths]
    if len(set(paths)) < len(paths):
        raise RecipeError(f"a file is named twice: {', '.join(paths)}.")
    return tuple(path if short.count(name) > 1 else name for path, name in zip(paths, short, strict=True))


def _labels(lines: list[Line], config: TrainConfig) -> tuple[str, ...]:
    labels = tuple(sorted({line.example.label for line in lines if line.example.label is not None}))
    if config.objective == "classification" and len(labels) < 2:
        raise InputError(f"the {len(lines)} examples have the labels {list(labels)}: two or more are needed.")
    return labels


def _digest(paths: Sequence[str], config: TrainConfig, origin: Origin) -> str:
    """SHA-256 over what decides the rows: the files' bytes, and what turns them into tokens."""
    examples = config.examples
    return digest_json(
        {
            "version": VERSION,
            "files": [shards.file_digest(path) for path in paths],
            "objective": config.objective,
            "settings": [examples.length, examples.template, examples.validation_ratio],
            "tokenizer": [origin.tokenizer.digest, origin.end_of_text_id, is_seq2seq(config)],
        }
    )
