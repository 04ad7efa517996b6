"""All that a run knows of its data: rows to train on by step, rows to validate on, names, and the tokenizer's facts."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests import shards
from manifests.digest import digest_json
from manifests.errors import InputError, ManifestMismatch, RecipeError
from manifests.manifest import Manifest, corpus_root, read_manifest
from manifests.shards import ROW_GROUP_ROWS
from trainer.config import CORPUS_OBJECTIVES, TrainConfig
from trainer.order import blocks_of
from trainer.packed import PackedRows, PackedShard, form_of, packed_shards
from trainer.plan import Plan
from trainer.run_files import RunFacts, absolute
from trainer.stream import RowReader as RowReader
from trainer.stream import TrainStream

Split = Literal["train", "validation"]
SPLITS: tuple[Split, Split] = ("train", "validation")


@dataclass(frozen=True)
class Data:
    """paths: absolute; digest: of the manifest, or of several in order; sources, languages: names by their number."""

    paths: tuple[str, ...]
    digest: str
    train: TrainStream
    validation: RowReader | None
    sources: tuple[str, ...]
    languages: tuple[str, ...]
    vocab_size: int
    end_of_text_id: int
    length: int  # of the context: rows hold one token more
    tokenizer: str  # URI of the tokenizer's file
    pretokenizer: str | None = None  # the split rule of a .tiktoken file
    labels: tuple[str, ...] = ()  # of classification; Batch.labels numbers them
    first_rows: tuple[int, ...] = (0,)  # number of the first training row of each path

    def path_of_row(self, row: int) -> str:
        """The path that a training row is of."""
        return self.paths[bisect_right(self.first_rows, row) - 1]


def open_data(paths: Sequence[str], config: TrainConfig) -> Data:
    """Open the manifests (or folders of corpora) that a run is trained on, or for other objectives its JSONL files.

    Raises InputError, ManifestMismatch, IntegrityError and RecipeError before any row is read.
    """
    if config.objective not in CORPUS_OBJECTIVES:
        from trainer.examples import open_examples  # it makes a Data too

        return open_examples(paths, config)
    return _open_corpora(tuple(absolute(path) for path in paths), config)


def open_run_data(run: RunFacts) -> Data:
    """The data of a run; see open_data. Raises ManifestMismatch if it is not what the run was trained on."""
    data = open_data(run.paths, run.config)
    if data.digest != run.digest:
        raise ManifestMismatch(
            f"{', '.join(run.paths)}: the digest is {data.digest[:16]}…, the run was trained on {run.digest[:16]}…: "
            "the data has changed since. Give it back its old content; a corpus is built again from its recipe."
        )
    return data


def _open_corpora(paths: tuple[str, ...], config: TrainConfig) -> Data:
    manifests = [read_manifest(path) for path in paths]
    _check_alike(paths, manifests)
    _check_model(config, paths[0], manifests[0])
    first = manifests[0]
    sources = [name for names in _source_names(manifests) for name in names]
    languages = tuple(sorted({name for manifest in manifests for name in manifest.packing.languages}))
    digest = first.digest if len(manifests) == 1 else digest_json([manifest.digest for manifest in manifests])
    train, validation = (_packed(paths, manifests, split, languages) for split in SPLITS)
    if not train:
        raise InputError(
            f"{', '.join(paths)}: there are no training rows (and "
            f"{sum(part.shard.rows for part in validation)} for validation). Build with more documents or a smaller "
            "[pack] length."
        )
    form = form_of(first)
    blocks = blocks_of([part.shard for part in train])
    source_of_shard = np.array([part.source for part in train], dtype=np.int64)
    row_bytes = (first.packing.length + 1) * np.dtype(first.tokenizer.token_type).itemsize
    plan = Plan(config, digest, sources, blocks, source_of_shard, row_bytes)
    # A batch that crosses into the next window needs a row group of both at once; so does the one read ahead.
    lane_rows = [order.window_rows + 2 * ROW_GROUP_ROWS for order in plan.orders]
    rows = [sum(part.shard.rows for part in train if part.root == corpus_root(path)) for path in paths]
    return Data(
        paths=paths,
        digest=digest,
        train=TrainStream(PackedRows(train, form, plan.lanes.tolist(), lane_rows), plan, config.global_batch),
        validation=PackedRows(validation, form) if validation else None,
        sources=tuple(sources),
        languages=languages,
        vocab_size=first.tokenizer.vocab_size,
        end_of_text_id=first.tokenizer.end_of_text_id,
        length=first.packing.length,
        tokenizer=shards.join(corpus_root(paths[0]), first.tokenizer.path),
        pretokenizer=first.tokenizer.pretokenizer,
        first_rows=tuple((np.cumsum(rows) - rows).tolist()),
    )


def _packed(
    paths: Sequence[str], manifests: Sequence[Manifest], split: Split, languages: Sequence[str]
) -> list[PackedShard]:
    """The shards of all corpora, with numbers of sources and languages that are unique over them."""
    found = []
    first_source = 0
    for path, manifest in zip(paths, manifests, strict=True):
        numbers = np.array([*(languages.index(name) for name in manifest.packing.languages), -1], dtype=np.int64)
        found += packed_shards(corpus_root(path), manifest, split, first_source, numbers)
        first_source += len(manifest.sources)
    return found


def _source_names(manifests: Sequence[Manifest]) -> list[list[str]]:
    """Names that are unique over all corpora: corpus/source where two have a source of one name."""
    corpora = [manifest.name for manifest in manifests]
    unique = [name if corpora.count(name) == 1 else f"{name}-{number}" for number, name in enumerate(corpora, start=1)]
    counts = Counter(source.name for manifest in manifests for source in manifest.sources)
    return [
        [source.name if counts[source.name] == 1 else f"{corpus}/{source.name}" for source in manifest.sources]
        for corpus, manifest in zip(unique, manifests, strict=True)
    ]


def _check_alike(paths: Sequence[str], manifests: Sequence[Manifest]) -> None:
    """Raise where corpora cannot be mixed: rows of one batch must have one length and one vocabulary."""
    roots = [corpus_root(path) for path in paths]
    if len(set(roots)) < len(roots):
        raise RecipeError(f"{', '.join(paths)}: one corpus is named twice. Name it once; [[mixture]] gives its share.")
    first = manifests[0]
    for path, other in zip(paths[1:], manifests[1:], strict=True):
        for what, mine, theirs in (
            ("tokenizer (SHA-256)", first.tokenizer.rules, other.tokenizer.rules),
            ("end of text", first.tokenizer.end_of_text_id, other.tokenizer.end_of_text_id),
            ("token type", first.tokenizer.token_type, other.tokenizer.token_type),
            ("length of packed rows", first.packing.length, other.packing.length),
        ):
            if mine != theirs:
                raise ManifestMismatch(
                    f"{paths[0]} and {path} cannot be mixed: {what} {mine} and {theirs}. Build one of them again with "
                    "the other's tokenizer and [pack] length."
                )


def _check_model(config: TrainConfig, path: str, manifest: Manifest) -> None:
    """A model from scratch must fit the rows; that of `init` is checked where it is loaded."""
    context, vocab_size = config.model.context, config.model.vocab_size
    if config.init is not None:
        return
    if context is not None and context != manifest.packing.length:
        raise RecipeError(
            f"model.context is {context}, the packed rows of {path} have length {manifest.packing.length}. Leave it "
            f"out, or build the corpus with [pack] length = {context}: only the packing is done again."
        )
    if vocab_size is not None and vocab_size < manifest.tokenizer.vocab_size:
        raise RecipeError(
            f"model.vocab_size is {vocab_size}, the tokenizer of {path} has {manifest.tokenizer.vocab_size} tokens. "
            "Give at least that, or leave it out."
        )


def documents_of_step(data: Data, step: int) -> list[dict[str, Any]]:
    """What a step was trained on: a dict for each row of its batch, with lists over the segments of the row.

    row: number of the row; path: of the data that it is of; segment_doc: doc_ids; segment_source: names;
    segment_length: tokens. Steps count from 1; raises RecipeError below that.
    """
    if step < 1:
        raise RecipeError(f"step {step}: steps count from 1.")
    found = []
    for row in data.train.rows(step).tolist():
        cells = data.train.documents(row)
        names = [data.sources[number] for number in cells["segment_source"]]
        found.append({"row": row, "path": data.path_of_row(row), **cells, "segment_source": names})
    return found


def steps_of_documents(data: Data, last_step: int, doc_ids: Sequence[str]) -> list[dict[str, Any]]:
    """step, row, doc_id, segment_start of each time that steps 1 to last_step read a part of one of these documents.

    In order of steps; found row by row, not by going through the steps.
    """
    rows = data.train.find(doc_ids)
    segments = data.train.segments(rows)
    held: dict[int, list[dict[str, Any]]] = {}
    for segment in segments.filter(pc.is_in(segments["segment_doc"], pa.array(doc_ids, pa.string()))).to_pylist():
        part = {"doc_id": segment["segment_doc"], "segment_start": segment["segment_start"]}
        held.setdefault(segment["row"], []).append(part)
    return [{"step": step, "row": row, **part} for step, row in data.train.steps(rows, last_step) for part in held[row]]
