"""All that a run knows of its data: rows to train on by step, rows to validate on, names, and the tokenizer's facts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from manifests import shards
from manifests.errors import RecipeError
from manifests.manifest import corpus_root, read_manifest
from trainer.config import CORPUS_OBJECTIVES, TrainConfig
from trainer.order import Rows
from trainer.run_files import absolute
from trainer.stream import Batch, TrainStream, validation_rows


class RowReader(Protocol):
    """Rows by number, counted from 0."""

    @property
    def num_rows(self) -> int:
        """How many there are, at least one."""

    def read(self, rows: Rows) -> Batch:
        """These rows, in this order. rows: int64 (num_rows,)."""

    def documents(self, row: int) -> dict[str, list[Any]]:
        """The segments of a row: lists segment_doc (ids), segment_source (numbers), segment_length (tokens)."""


class Stream(Protocol):
    """Rows by step, counted from 1: a pure function of data and config, for any number of workers."""

    @property
    def num_rows(self) -> int:
        """Rows of all sources."""

    def rows(self, step: int) -> Rows:
        """int64 (global_batch,): the numbers of the rows of a step."""

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        """Rows [B * rank // world_size, B * (rank + 1) // world_size) of the step's B; there may be none."""

    def batches(
        self, first_step: int, last_step: int, rank: int, world_size: int
    ) -> Iterator[tuple[int, Batch, float]]:
        """(step, batch, seconds waited for it) for each step, both ends included."""

    def documents(self, row: int) -> dict[str, list[Any]]:
        """See RowReader."""

    def state(self, samples_consumed: int) -> dict[str, Any]:
        """What a checkpoint keeps of the data: {samples_consumed, manifest_digest, schedule}, JSON values."""

    def check_state(self, saved: dict[str, Any]) -> None:
        """Raise ManifestMismatch or RecipeError unless this stream goes on exactly from a saved state."""


@dataclass(frozen=True)
class Data:
    """paths: absolute; digest: of the manifest, or of several in order; sources, languages: names by their number."""

    paths: tuple[str, ...]
    digest: str
    train: Stream
    validation: RowReader | None
    sources: tuple[str, ...]
    languages: tuple[str, ...]
    vocab_size: int
    end_of_text_id: int
    length: int  # of the context: rows hold one token more
    tokenizer: str  # URI of the tokenizer's file


def open_data(paths: Sequence[str], config: TrainConfig) -> Data:
    """Open the manifests (or folders of corpora) that a run is trained on.

    Raises InputError, ManifestMismatch, IntegrityError and RecipeError before any row is read.
    """
    if config.objective not in CORPUS_OBJECTIVES:
        raise RecipeError(f"objective {config.objective!r} does not read a corpus.")
    manifests = [read_manifest(path) for path in paths]
    manifest, root = manifests[0], corpus_root(absolute(paths[0]))
    stream = TrainStream(root, manifest, config.seed, config.global_batch)
    return Data(
        paths=tuple(absolute(path) for path in paths),
        digest=manifest.digest,
        train=stream,
        validation=validation_rows(root, manifest),
        sources=tuple(source.name for source in manifest.sources),
        languages=(),
        vocab_size=manifest.tokenizer.vocab_size,
        end_of_text_id=manifest.tokenizer.end_of_text_id,
        length=manifest.packing.length,
        tokenizer=shards.join(root, manifest.tokenizer.path),
    )
