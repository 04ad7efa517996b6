"""From a manifest to batches: packed rows, checked, in the order of `trainer.order`.

State is {samples_consumed, manifest_digest}: what a step reads depends on nothing else, so a run resumes exactly on
any number of workers. Steps count from 1: step s takes the positions [(s - 1) * global_batch, s * global_batch).
"""

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from manifests import shards
from manifests.errors import InputError, IntegrityError, ManifestMismatch, RecipeError, SchemaMismatch
from manifests.manifest import Manifest, Shard, corpus_root
from trainer.order import Order, Rows, order_of

COLUMNS = ("tokens", "segment_length", "segment_source", "segment_bytes")
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

    def token_bytes(self, end_of_text_id: int) -> npt.NDArray[np.float64]:
        """float64 (num_rows, length + 1): mean bytes of the segment's text tokens; 0 for end of text and padding."""
        is_text = (self.segment >= 0) & (self.tokens != end_of_text_id)
        num_text = np.bincount(self.segment_number[is_text], minlength=self.total_segments)
        mean = self.spread(self.segment_bytes / np.maximum(num_text, 1))
        return np.where(is_text, mean, 0.0)

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """One value per segment -> one per token; -1 in padding."""
        row = np.repeat(np.arange(len(self.num_segments)), self.num_segments)
        used = np.bincount(row, weights=self.segment_length, minlength=len(self.num_segments))
        result = np.full(self.tokens.shape, -1, dtype=values.dtype)
        result[np.arange(self.tokens.shape[1]) < used[:, None]] = np.repeat(values, self.segment_length)
        return result


@dataclass(frozen=True)
class _Group:
    """A decoded row group: tokens (rows, length + 1); segments flat with their offsets (rows + 1,)."""

    tokens: npt.NDArray[Any]
    offsets: Rows
    columns: tuple[Rows, Rows, Rows]  # length, source, bytes


class PackedRows:
    """Reads packed rows by number over the shards of one split.

    Each shard's SHA-256 is taken once, when its first row is asked for. At most `max_groups` row groups stay decoded.
    """

    def __init__(self, root: str, manifest: Manifest, packed: Sequence[Shard], max_groups: int) -> None:
        self.root = root
        self.packed = packed
        self.row_tokens = manifest.packing.length + 1
        self.token_type = getattr(pa, manifest.tokenizer.token_type)()
        self.max_groups = max_groups
        self._shard_ends = np.cumsum([shard.rows for shard in packed], dtype=np.int64)
        self._files: dict[int, tuple[pq.ParquetFile, Rows]] = {}
        self._groups: OrderedDict[tuple[int, int], _Group] = OrderedDict()

    @property
    def num_rows(self) -> int:
        return int(self._shard_ends[-1])

    def read(self, rows: Rows) -> Batch:
        """The rows with these numbers, in this order.

        Raises IntegrityError if a shard is missing or changed, SchemaMismatch if its columns are not the declared ones.
        """
        tokens: list[npt.NDArray[Any]] = []
        parts: list[list[Rows]] = [[], [], []]
        num_segments = []
        for row in rows.tolist():
            group, inside = self._find(row)
            start, end = group.offsets[inside], group.offsets[inside + 1]
            tokens.append(group.tokens[inside])
            num_segments.append(end - start)
            for part, column in zip(parts, group.columns, strict=True):
                part.append(column[start:end])
        lengths, sources, sizes = (np.concatenate(part).astype(np.int64) for part in parts)
        return Batch(np.stack(tokens), np.array(num_segments, dtype=np.int64), lengths, sources, sizes, rows=rows)

    def documents(self, row: int) -> dict[str, list[Any]]:
        """The segments of a row: lists segment_doc (doc_id), segment_source (number) and segment_length (tokens)."""
        shard, number, inside = self._locate(row)
        file, _ = self._open(shard)
        columns = ["segment_doc", "segment_source", "segment_length"]
        cells: dict[str, list[Any]] = file.read_row_group(number, columns=columns).slice(inside, 1).to_pylist()[0]
        return cells

    def _locate(self, row: int) -> tuple[int, int, int]:
        """Shard, row group in it, row in that."""
        shard = int(np.searchsorted(self._shard_ends, row, side="right"))
        inside = row - (int(self._shard_ends[shard - 1]) if shard else 0)
        _, group_ends = self._open(shard)
        number = int(np.searchsorted(group_ends, inside, side="right"))
        return shard, number, inside - (int(group_ends[number - 1]) if number else 0)

    def _find(self, row: int) -> tuple[_Group, int]:
        shard, number, inside = self._locate(row)
        key = (shard, number)
        if key not in self._groups:
            if len(self._groups) >= self.max_groups:
                self._groups.popitem(last=False)
            self._groups[key] = self._decode(shard, number)
        self._groups.move_to_end(key)
        return self._groups[key], inside

    def _decode(self, shard: int, number: int) -> _Group:
        file, _ = self._open(shard)
        table = file.read_row_group(number, columns=list(COLUMNS)).combine_chunks()
        lists = [table[name].chunk(0) for name in COLUMNS]
        tokens = lists[0].flatten().to_numpy().reshape(-1, self.row_tokens)
        offsets = lists[1].offsets.to_numpy().astype(np.int64)
        length, source, size = (column.flatten().to_numpy() for column in lists[1:])
        return _Group(tokens, offsets - offsets[0], (length, source, size))

    def _open(self, shard: int) -> tuple[pq.ParquetFile, Rows]:
        if shard not in self._files:
            self._check(self.packed[shard])
            file = shards.open_parquet(shards.join(self.root, self.packed[shard].path))
            self._check_columns(file.schema_arrow, self.packed[shard].path)
            groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
            self._files[shard] = file, np.cumsum(groups, dtype=np.int64)
        return self._files[shard]

    def _check(self, shard: Shard) -> None:
        try:
            found = shards.file_entry(self.root, shard.path)
        except FileNotFoundError:
            raise IntegrityError(
                f"{shard.path}: is listed in the manifest of {self.root} but is not there. Run the build again."
            ) from None
        if found.sha256 != shard.sha256:
            raise IntegrityError(
                f"{shard.path}: its SHA-256 is {found.sha256[:16]}…, the manifest says {shard.sha256[:16]}…: the shard "
                "was changed or damaged. Remove it and run the build again."
            )

    def _check_columns(self, schema: pa.Schema, where: str) -> None:
        for name in (*COLUMNS, "segment_doc"):
            if name not in schema.names:
                raise SchemaMismatch(f"{where}: column {name!r} is missing; the table has {schema.names}.")
        found = schema.field("tokens").type
        if (found.value_type, found.list_size) != (self.token_type, self.row_tokens):
            raise SchemaMismatch(
                f"{where}: tokens are {found}, the manifest says {self.row_tokens} of {self.token_type}."
            )


def training_order(manifest: Manifest, seed: int) -> Order:
    """The order of the training rows of a manifest, which has some."""
    token_bytes = np.dtype(manifest.tokenizer.token_type).itemsize
    return order_of(manifest.packed("train"), (manifest.packing.length + 1) * token_bytes, seed)


class TrainStream:
    """The training rows of a manifest, by step."""

    def __init__(self, root: str, manifest: Manifest, seed: int, global_batch: int) -> None:
        packed = manifest.packed("train")
        if not sum(shard.rows for shard in packed):
            raise InputError(
                f"{root}: the corpus has no training rows (its validation split has "
                f"{manifest.packing.num_validation_rows}). Build it with more documents or a smaller [pack] length."
            )
        self.order = training_order(manifest, seed)
        self.global_batch = global_batch
        self.manifest_digest = manifest.digest
        # One more than a window: a batch that spans two windows must not push out what it comes back to.
        self.reader = PackedRows(root, manifest, packed, self.order.blocks_per_window + 1)

    @property
    def num_rows(self) -> int:
        """Training rows."""
        return self.order.num_rows

    def documents(self, row: int) -> dict[str, list[Any]]:
        """See PackedRows.documents."""
        return self.reader.documents(row)

    def state(self, samples_consumed: int) -> dict[str, Any]:
        """What a checkpoint keeps of the data."""
        return {"samples_consumed": samples_consumed, "manifest_digest": self.manifest_digest, "schedule": []}

    def check_state(self, saved: dict[str, Any]) -> None:
        """Raise ManifestMismatch where the saved state is of another corpus."""
        if saved["manifest_digest"] != self.manifest_digest:
            raise ManifestMismatch(
                f"the checkpoint was trained from the corpus {saved['manifest_digest']}, this is "
                f"{self.manifest_digest}. Give the corpus that it was trained from, or another --out."
            )

    def rows(self, step: int) -> Rows:
        """int64 (global_batch,): the numbers of the rows of a step, counted from 1."""
        return self.order.rows(np.arange(self.global_batch, dtype=np.int64) + (step - 1) * self.global_batch)

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        """The part of one worker in a step: the parts of all workers in order of rank are the global batch."""
        start, stop = (self.global_batch * worker // world_size for worker in (rank, rank + 1))
        samples = np.arange(start, stop, dtype=np.int64) + (step - 1) * self.global_batch
        return replace(self.reader.read(self.rows(step)[start:stop]), samples=samples)

    def batches(
        self, first_step: int, last_step: int, rank: int, world_size: int
    ) -> Iterator[tuple[int, Batch, float]]:
        """(step, batch, seconds waited for it) for each step, both ends included; the next one is read meanwhile."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader") as loader:
            coming = loader.submit(self.batch, first_step, rank, world_size)
            for step in range(first_step, last_step + 1):
                start = time.perf_counter()
                batch = coming.result()
                waited = time.perf_counter() - start
                if step < last_step:
                    coming = loader.submit(self.batch, step + 1, rank, world_size)
                yield step, batch, waited


def validation_rows(root: str, manifest: Manifest) -> PackedRows | None:
    """A reader of the validation split, or None where the corpus has none. Read in order: two groups are enough."""
    packed = manifest.packed("validation")
    return PackedRows(root, manifest, packed, 2) if sum(shard.rows for shard in packed) else None


def documents_of_step(
    manifest_path: str, manifest: Manifest, seed: int, global_batch: int, step: int
) -> list[dict[str, Any]]:
    """What a step was trained on: a dict for each row of its batch, with lists over the segments of the row.

    row: number of the row; segment_doc: doc_ids; segment_source: names; segment_length: tokens. Steps count from 1;
    raises RecipeError below that.
    """
    if step < 1:
        raise RecipeError(f"step {step}: steps count from 1.")
    stream = TrainStream(corpus_root(manifest_path), manifest, seed, global_batch)
    found = []
    for row in stream.rows(step).tolist():
        cells = stream.reader.documents(row)
        names = [manifest.sources[number].name for number in cells["segment_source"]]
        found.append({"row": row, **cells, "segment_source": names})
    return found


def steps_of_rows(
    manifest: Manifest, seed: int, global_batch: int, last_step: int, rows: Rows
) -> list[tuple[int, int]]:
    """(step, row) of each time that steps 1 to last_step read one of these training rows, in order of steps.

    Found row by row, not by going through the steps. rows: int64 (num_rows,), different numbers.
    """
    if not len(rows) or last_step < 1:
        return []
    order = training_order(manifest, seed)
    last_epoch = (last_step * global_batch - 1) // order.num_rows
    found = [
        (int(position) // global_batch + 1, int(row))
        for epoch in range(last_epoch + 1)
        for position, row in zip(order.positions(rows, epoch), rows, strict=True)
    ]
    return sorted(pair for pair in found if pair[0] <= last_step)
