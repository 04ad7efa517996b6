"""Batches of packed rows, by step.

What a step reads depends on nothing but data, seed and schedule, so a run resumes exactly on any number of workers.
Steps count from 1: step s takes the samples [(s - 1) * global_batch, s * global_batch) of the plan.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainer.order import Rows

_UNKNOWN: Rows = np.empty(0, np.int64)  # stands in for a column that was not given


def _unknown() -> Rows:
    return _UNKNOWN


@dataclass(frozen=True)
class Batch:
    """Packed rows. tokens: (num_rows, length + 1) of the manifest's token type.

    The other arrays are int64. Of each row: num_segments, rows (their numbers) and samples (their places in the order
    of training; -1 outside it). Of each segment, row after row: length, source, bytes, language, quality (decile 0 to
    9) and label; -1 is unknown.
    loss_mask: bool (num_rows, length + 1), False for tokens that are never a target; None where all may be.
    """

    tokens: npt.NDArray[Any]
    num_segments: Rows
    segment_length: Rows
    segment_source: Rows
    segment_bytes: Rows
    loss_mask: npt.NDArray[np.bool_] | None = None
    rows: Rows = field(default_factory=_unknown)
    segment_language: Rows = field(default_factory=_unknown)
    segment_quality: Rows = field(default_factory=_unknown)
    labels: Rows | None = None
    samples: Rows = field(default_factory=_unknown)

    def __post_init__(self) -> None:
        sizes = {"rows": len(self.tokens), "samples": len(self.tokens), "segment_language": self.total_segments}
        for name, size in {**sizes, "segment_quality": self.total_segments}.items():
            if getattr(self, name) is _UNKNOWN:
                object.__setattr__(self, name, np.full(size, -1, np.int64))

    @property
    def total_segments(self) -> int:
        """Segments of all rows."""
        return len(self.segment_length)

    @cached_property
    def segment(self) -> Rows:
        """int64 (num_rows, length + 1): number of the segment within its row; -1 for padding."""
        starts = np.cumsum(self.num_segments) - self.num_segments
        return self.spread(np.arange(self.total_segments) - np.repeat(starts, self.num_segments))

    @cached_property
    def segment_number(self) -> Rows:
        """int64 (num_rows, length + 1): number of the segment, counted over all rows; -1 for padding."""
        return self.spread(np.arange(self.total_segments))

    @cached_property
    def segment_starts(self) -> Rows:
        """int64 (total_segments,): place of each segment's first token in the flattened tokens."""
        before = np.cumsum(self.segment_length) - self.segment_length
        first = np.cumsum(self.num_segments) - self.num_segments
        of_row = np.repeat(np.arange(len(self.num_segments)) * self.tokens.shape[1], self.num_segments)
        starts: Rows = of_row + before - np.repeat(np.append(before, 0)[first], self.num_segments)
        return starts

    def count_by_segment(self, chosen: npt.NDArray[np.bool_]) -> Rows:
        """int64 (total_segments,): how many tokens of each are chosen. chosen: bool (num_rows, length + 1)."""
        bounds = np.stack([self.segment_starts, self.segment_starts + self.segment_length], axis=1).ravel()
        counts: Rows = np.add.reduceat(np.append(chosen, False), bounds, dtype=np.int64)[::2]
        return counts

    def cut(self, start: int, stop: int) -> "Batch":
        """The rows [start, stop) as a batch."""
        bounds = np.concatenate([[0], np.cumsum(self.num_segments)])
        some = slice(int(bounds[start]), int(bounds[stop]))
        return Batch(
            self.tokens[start:stop],
            self.num_segments[start:stop],
            self.segment_length[some],
            self.segment_source[some],
            self.segment_bytes[some],
            None if self.loss_mask is None else self.loss_mask[start:stop],
            self.rows[start:stop],
            self.segment_language[some],
            self.segment_quality[some],
            None if self.labels is None else self.labels[some],
            self.samples[start:stop],
        )

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """One value per segment -> one per token; -1 in padding."""
        ends = np.cumsum(self.num_segments)
        tokens = np.concatenate([[0], np.cumsum(self.segment_length)])
        padding = self.tokens.shape[1] - (tokens[ends] - tokens[ends - self.num_segments])
        # Padding as one more segment of each row: one repeat, several times as fast as filling a masked array.
        lengths = np.insert(self.segment_length, ends, padding)
        return np.repeat(np.insert(values, ends, -1), lengths).reshape(self.tokens.shape)


class RowReader(Protocol):
    """Rows by number, counted from 0. Threads may share one."""

    @property
    def num_rows(self) -> int:
        """How many there are, at least one."""

    def read(self, rows: Rows) -> Batch:
        """These rows, in this order. rows: int64 (num_rows,); none give a batch without rows."""

    def documents(self, row: int) -> dict[str, list[Any]]:
        """The segments of a row: lists segment_doc (ids), segment_start (places in documents), segment_source (numbers)
        and segment_length (tokens).
        """

    def segments(self, rows: Rows) -> pa.Table:
        """The segments of these rows, in their order: row, segment_doc (id), segment_start (place in its document)."""

    def find(self, doc_ids: Sequence[str]) -> Rows:
        """int64: the numbers of the rows that hold a part of one of these documents, rising."""


class SamplePlan(Protocol):
    """Which row is read for which sample of a run, both counted from 0: a function of data and config alone."""

    @property
    def num_rows(self) -> int:
        """Rows of all sources."""

    def rows(self, first: int, last: int) -> Rows:
        """int64: the numbers of the rows of the samples first to last - 1."""

    def samples(self, rows: Rows, num_samples: int) -> list[tuple[int, int]]:
        """(sample, row) of each of the first num_samples samples that reads one of these different rows, in order."""

    def state(self, samples_consumed: int) -> dict[str, Any]:
        """What a checkpoint keeps of the data: {samples_consumed, manifest_digest, schedule}, JSON values."""

    def check_state(self, saved: dict[str, Any]) -> None:
        """Raise ManifestMismatch or RecipeError unless this plan goes on exactly from a saved state."""


class TrainStream:
    """The training rows of a plan by step, counted from 1, for any number of workers.

    At most num_threads + 1 batches are there before they are asked for.
    """

    def __init__(self, reader: RowReader, plan: SamplePlan, global_batch: int, num_threads: int = 2) -> None:
        self.reader = reader
        self.plan = plan
        self.global_batch = global_batch
        self.num_threads = num_threads

    @property
    def num_rows(self) -> int:
        """Rows of all sources."""
        return self.plan.num_rows

    def documents(self, row: int) -> dict[str, list[Any]]:
        """See RowReader."""
        return self.reader.documents(row)

    def segments(self, rows: Rows) -> pa.Table:
        """See RowReader."""
        return self.reader.segments(rows)

    def find(self, doc_ids: Sequence[str]) -> Rows:
        """See RowReader."""
        return self.reader.find(doc_ids)

    def steps(self, rows: Rows, last_step: int) -> list[tuple[int, int]]:
        """(step, row) of each time that steps 1 to last_step read one of these different rows, in order of steps.

        Found row by row, not by going through the steps.
        """
        read = self.plan.samples(rows, last_step * self.global_batch)
        return sorted((sample // self.global_batch + 1, row) for sample, row in read)

    def state(self, samples_consumed: int) -> dict[str, Any]:
        """See SamplePlan."""
        return self.plan.state(samples_consumed)

    def check_state(self, saved: dict[str, Any]) -> None:
        """See SamplePlan."""
        self.plan.check_state(saved)

    def rows(self, step: int) -> Rows:
        """int64 (global_batch,): the numbers of the rows of a step, counted from 1."""
        return self.plan.rows((step - 1) * self.global_batch, step * self.global_batch)

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        """The part of one worker in a step: the parts of all workers in order of rank are the global batch."""
        start, stop = (self.global_batch * worker // world_size for worker in (rank, rank + 1))
        samples = np.arange(start, stop, dtype=np.int64) + (step - 1) * self.global_batch
        return replace(self.reader.read(self.rows(step)[start:stop]), samples=samples)

    def batches(
        self, first_step: int, last_step: int, rank: int, world_size: int
    ) -> Iterator[tuple[int, Batch, float]]:
        """(step, batch, seconds waited for it) for each step, both ends included; the next ones are read meanwhile."""
        with ThreadPoolExecutor(max_workers=self.num_threads, thread_name_prefix="loader") as loader:
            steps = iter(range(first_step, last_step + 1))
            coming = deque(
                loader.submit(self.batch, step, rank, world_size) for step in islice(steps, self.num_threads + 1)
            )
            try:
                for step in range(first_step, last_step + 1):
                    start = time.perf_counter()
                    batch = coming.popleft().result()
                    waited = time.perf_counter() - start
                    coming.extend(loader.submit(self.batch, later, rank, world_size) for later in islice(steps, 1))
                    yield step, batch, waited
            finally:
                for future in coming:
                    future.cancel()
