"""Losses of documents: OUT/losses/<first step>-<last step>-<share>.parquet.

They have a row for each segment (a document, or a part of one) of each step. Each worker that counts losses keeps those
of its share of the rows and writes them at every checkpoint, before it: a checkpoint of a step is there only if the
losses up to that step are. Files of later steps are of steps that a crash has undone, and are removed when the run goes
on, on any number of workers. So every segment of every step is there once.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests import shards
from trainer.data import Data
from trainer.order import Rows
from trainer.stream import Batch

FOLDER = "losses"
SCHEMA = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # number of the training row
        pa.field("doc_id", pa.string(), nullable=False),  # of examples file:line
        pa.field("source", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("quality", pa.int8()),  # decile, 0 to 9
        pa.field("segment_start", pa.int64(), nullable=False),  # place of its first token in the document
        pa.field("num_targets", pa.int64(), nullable=False),
        pa.field("num_bytes", pa.float32()),  # UTF-8 bytes that the targets stand for; null where they are not text
        pa.field("loss", pa.float32()),  # nats per target, before the step's update; null without targets
        pa.field("bits_per_byte", pa.float32()),  # null where num_bytes is null or 0
    ]
)


@dataclass(frozen=True, eq=False)
class _Step:
    """A step's segments: what Batch has of them, and float64 (3, total_segments): nats, targets, bytes of targets."""

    step: int
    rows: Rows
    num_segments: Rows
    source: Rows
    language: Rows
    quality: Rows
    sums: npt.NDArray[np.float64]


class LossLog:
    """Keeps the losses of one share of the rows, and writes them with each call of `flush`.

    drop_after must have been called. In memory a segment takes 48 bytes until then.
    """

    def __init__(self, out: str, data: Data, share: int) -> None:
        self.folder = shards.join(out, FOLDER)
        self.data = data
        self.share = share
        self._steps: list[_Step] = []

    def append(self, step: int, batch: Batch, by_segment: npt.NDArray[np.float64]) -> None:
        """Keep the segments of a batch. by_segment: float64 (3, total_segments), sums of nats, targets and bytes."""
        columns = (batch.segment_source, batch.segment_language, batch.segment_quality)
        self._steps.append(_Step(step, batch.rows, batch.num_segments, *columns, by_segment))

    def flush(self) -> None:
        """Write what was kept, in one file. Raises StorageError if it cannot be written."""
        steps, self._steps = self._steps, []
        if not any(len(step.source) for step in steps):
            return
        name = f"{steps[0].step:010d}-{steps[-1].step:010d}-{self.share:05d}.parquet"
        shards.write_table(shards.join(self.folder, name), self._table(steps))

    def _table(self, steps: Sequence[_Step]) -> pa.Table:
        documents = self.data.train.segments(np.concatenate([step.rows for step in steps]))
        nats, num_targets, num_bytes = np.concatenate([step.sums for step in steps], axis=1)
        is_text = num_bytes > 0
        columns = {
            "step": np.repeat([step.step for step in steps], [len(step.source) for step in steps]),
            "row": documents["row"],
            "doc_id": documents["segment_doc"],
            "source": _named(self.data.sources, np.concatenate([step.source for step in steps])),
            "language": _named(self.data.languages, np.concatenate([step.language for step in steps])),
            "quality": _known(np.concatenate([step.quality for step in steps])),
            "segment_start": documents["segment_start"],
            "num_targets": num_targets,
            "num_bytes": pa.array(num_bytes, mask=~is_text),
            "loss": pa.array(nats / np.maximum(num_targets, 1), mask=num_targets == 0),
            "bits_per_byte": pa.array(nats / math.log(2) / np.where(is_text, num_bytes, 1), mask=~is_text),
        }
        return pa.table(columns).cast(SCHEMA)


def _known(numbers: Rows) -> pa.Array:
    """-1 becomes null."""
    return pa.array(numbers, mask=numbers < 0)


def _named(names: Sequence[str], numbers: Rows) -> pa.Array:
    return pa.array(names, pa.string()).take(_known(numbers))


def drop_after(out: str, last_step: int) -> None:
    """Remove the files of steps after last_step."""
    for _, last, uri in _files(out):
        if last > last_step:
            shards.remove(uri)


def read_losses(out: str, steps: Sequence[int]) -> pa.Table:
    """The rows of these steps, SCHEMA, in order of steps; none of steps that are not written yet, or were not kept."""
    wanted = pa.array(sorted(set(steps)), pa.int64())
    numbers = wanted.to_numpy()
    found = [SCHEMA.empty_table()]
    for first, last, uri in _files(out):
        if np.searchsorted(numbers, first) < np.searchsorted(numbers, last, side="right"):
            table = shards.read_table(uri)
            found.append(table.filter(pc.is_in(table["step"], wanted)))
    return pa.concat_tables(found).sort_by("step")


def loss_files(out: str) -> list[str]:
    """The files of a run, in order of steps."""
    return [uri for _, _, uri in _files(out)]


def _files(out: str) -> Iterator[tuple[int, int, str]]:
    """(first step, last step, URI) of each file."""
    folder = shards.join(out, FOLDER)
    for name in shards.list_files(folder):
        if name.endswith(".parquet"):
            first, last, _ = name.split("-")
            yield int(first), int(last), shards.join(folder, name)
