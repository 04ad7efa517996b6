"""Encoded examples as packed rows: several in a row, kept apart as segments, placed best-fit decreasing.

All tokens are held in memory: 4 bytes each, so a million examples of 500 tokens are 2 GB.
"""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import ManifestMismatch
from trainer.order import Rows, permute
from trainer.stream import Batch


@dataclass(frozen=True)
class Segment:
    """Tokens that see each other; answer: which of them are targets. The rest as in Batch, -1 is unknown."""

    tokens: npt.NDArray[np.uint32]
    answer: npt.NDArray[np.bool_]
    document: str  # file:line
    source: int
    num_bytes: int
    language: int = -1
    label: int = -1


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Items by bin: longest first, each into the bin with the least space that it fits into; no item is cut.

    lengths: in [1, capacity]. Ties go to the earlier item and the later bin. Source: Johnson et al. 1974.
    """
    bins: list[list[int]] = []
    bins_with: dict[int, list[int]] = {}  # space left -> bins
    spaces: list[int] = []  # keys of bins_with, sorted: at most `capacity` of them however many bins there are
    for item in sorted(range(len(lengths)), key=lambda item: (-lengths[item], item)):
        place = bisect.bisect_left(spaces, lengths[item])
        if place == len(spaces):
            space, number = capacity, len(bins)
            bins.append([])
        else:
            space = spaces[place]
            number = bins_with[space].pop()
            if not bins_with[space]:
                del bins_with[spaces.pop(place)]
        bins[number].append(item)
        left = space - lengths[item]
        if left and left not in bins_with:
            bisect.insort(spaces, left)
        if left:
            bins_with.setdefault(left, []).append(number)
    return bins


class ExampleRows:
    """Rows by number. items: segments that must lie side by side in one row (both sides of a pair), at least one item.

    Rows are length + 1 tokens wide and hold at most `length`, so that a model never sees more; padding is end of text.
    """

    def __init__(self, items: Sequence[Sequence[Segment]], length: int, end_of_text_id: int, has_labels: bool) -> None:
        self._width, self._padding, self._has_labels = length + 1, end_of_text_id, has_labels
        sizes = [sum(len(segment.tokens) for segment in item) for item in items]
        self._rows = [[segment for item in row for segment in items[item]] for row in best_fit(sizes, length)]

    @property
    def num_rows(self) -> int:
        return len(self._rows)

    def read(self, rows: Rows) -> Batch:
        """The rows with these numbers, in this order; there may be none."""
        chosen = [self._rows[row] for row in rows.tolist()]
        tokens = np.full((len(chosen), self._width), self._padding, np.uint32)
        mask = np.zeros(tokens.shape, np.bool_)
        for place, row in enumerate(chosen):
            used = sum(len(segment.tokens) for segment in row)
            tokens[place, :used] = np.concatenate([segment.tokens for segment in row])
            mask[place, :used] = np.concatenate([segment.answer for segment in row])
        flat = [segment for row in chosen for segment in row]
        return Batch(
            tokens,
            _int64(len(row) for row in chosen),
            _int64(len(segment.tokens) for segment in flat),
            _int64(segment.source for segment in flat),
            _int64(segment.num_bytes for segment in flat),
            mask,
            rows.astype(np.int64),
            _int64(segment.language for segment in flat),
            labels=_int64(segment.label for segment in flat) if self._has_labels else None,
        )

    def documents(self, row: int) -> dict[str, list[Any]]:
        """The segments of a row: lists segment_doc (file:line), segment_start (0), segment_source, segment_length."""
        segments = self._rows[row]
        return {
            "segment_doc": [segment.document for segment in segments],
            "segment_start": [0 for _ in segments],
            "segment_source": [segment.source for segment in segments],
            "segment_length": [len(segment.tokens) for segment in segments],
        }

    def segments(self, rows: Rows) -> pa.Table:
        """The segments of these rows, row after row: row, segment_doc (file:line), segment_start (0)."""
        found = [(row, segment.document) for row in rows.tolist() for segment in self._rows[row]]
        return pa.table(
            {
                "row": _int64(row for row, _ in found),
                "segment_doc": pa.array([document for _, document in found], pa.string()),
                "segment_start": np.zeros(len(found), np.int64),
            }
        )

    def find(self, doc_ids: Sequence[str]) -> Rows:
        """int64: the numbers of the rows that hold one of these examples, rising."""
        wanted = set(doc_ids)
        found = (number for number, row in enumerate(self._rows) if any(part.document in wanted for part in row))
        return _int64(found)


class ExamplePlan:
    """Which row is read for which sample: a permutation of all rows in each epoch, a pure function of data and seed."""

    def __init__(self, num_rows: int, seed: int, digest: str) -> None:
        self.num_rows, self._seed, self._digest = num_rows, seed, digest

    def rows(self, first: int, last: int) -> Rows:
        """int64: the numbers of the rows of the samples first to last - 1."""
        epochs, places = np.divmod(np.arange(first, last, dtype=np.int64), self.num_rows)
        for epoch in np.unique(epochs).tolist():
            places[epochs == epoch] = permute(places[epochs == epoch], self.num_rows, self._key(epoch))
        return places

    def samples(self, rows: Rows, num_samples: int) -> list[tuple[int, int]]:
        """(sample, row) of each of the first num_samples samples that reads one of these different rows, in order."""
        found: list[tuple[int, int]] = []
        for epoch in range(-(-num_samples // self.num_rows)):
            samples = permute(rows, self.num_rows, self._key(epoch), inverse=True) + epoch * self.num_rows
            read = samples < num_samples
            found += zip(samples[read].tolist(), rows[read].tolist(), strict=True)
        return sorted(found)

    def _key(self, epoch: int) -> str:
        return f"examples\0{self._seed}\0{epoch}"

    def state(self, samples_consumed: int) -> dict[str, Any]:
        """As Plan.state; examples have no schedule."""
        return {"samples_consumed": samples_consumed, "manifest_digest": self._digest, "schedule": []}

    def check_state(self, saved: dict[str, Any]) -> None:
        """Raise ManifestMismatch unless these are the examples that the state was saved with."""
        found = saved.get("manifest_digest")
        if found != self._digest:
            raise ManifestMismatch(
                f"the run was trained on examples with digest {found}, these have {self._digest}: another file, order "
                "of files, template or tokenizer. Give the same, or another --out for a new run."
            )


def _int64(values: Iterator[int]) -> Rows:
    return np.fromiter(values, np.int64)
