"""Packed rows by number, over the shards of any number of corpora: checked, decoded a row group at a time, gathered.

Rows are counted over all shards in their order. The row groups that are decoded stay while they are in use: for each
lane (rows that are read in one order of their own) as many rows as its window has.
"""

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import shards
from manifests.errors import IntegrityError, SchemaMismatch
from manifests.manifest import Manifest, Shard
from manifests.schemas import one_chunk, packed_schema, token_rows
from manifests.shards import ROW_GROUP_ROWS
from trainer.cache import Cache, checked_path
from trainer.order import Rows, block_sizes, blocks_of
from trainer.stream import Batch

# In the order of the rows of `_Group.segments`.
SEGMENT_COLUMNS = ("segment_length", "segment_source", "segment_bytes", "segment_language", "segment_quality")
DOCUMENT_COLUMNS = ("segment_doc", "segment_start", "segment_length", "segment_source")
WHICH_DOCUMENT = ("segment_doc", "segment_start")
MAX_OPEN_FILES = 64


@dataclass(frozen=True)
class RowForm:
    """What all rows of one reader are alike in. token_type: uint16 or uint32."""

    length: int
    token_type: str

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns that packed shards must have."""
        return packed_schema(getattr(pa, self.token_type)(), self.length)


def form_of(manifest: Manifest) -> RowForm:
    """The form of a corpus's rows."""
    return RowForm(manifest.packing.length, manifest.tokenizer.token_type)


@dataclass(frozen=True, eq=False)
class PackedShard:
    """A shard of the corpus at `root`, of the source with this number.

    first_source: number of the corpus's first source. languages: the numbers that the corpus's own languages become,
    int64, and after them -1 for documents of unknown language.
    """

    root: str
    shard: Shard
    source: int
    first_source: int
    languages: Rows


@dataclass(frozen=True, eq=False)
class _Group:
    """A row group. tokens (rows, length + 1); segments int64 (columns, segments), offsets (rows + 1,) into them."""

    tokens: npt.NDArray[Any]
    offsets: Rows
    segments: Rows


class PackedRows:
    """Rows by number, counted from 0. Threads may share one.

    lanes: int64 (num_shards,), of each shard the lane that it is in; lane_rows: rows of each that stay decoded.
    """

    def __init__(
        self,
        packed: Sequence[PackedShard],
        form: RowForm,
        lanes: Sequence[int] | None = None,
        lane_rows: Sequence[int] = (2 * ROW_GROUP_ROWS,),
        cache: Cache | None = None,
    ) -> None:
        self.packed = packed
        self.form = form
        self.cache = cache or Cache()
        self.blocks = blocks_of([part.shard for part in packed])
        self.num_rows = int(self.blocks.sizes.sum())
        self._lanes = lanes or [0] * len(packed)
        self._groups = [_Recent(rows) for rows in lane_rows]
        self._open = functools.lru_cache(maxsize=MAX_OPEN_FILES)(self._open_shard)
        self._documents = functools.lru_cache(maxsize=64)(self._read_documents)

    def read(self, rows: Rows) -> Batch:
        """The rows with these numbers, in this order.

        Raises IntegrityError if a shard is missing or changed, SchemaMismatch if its columns are not the declared ones.
        """
        block = np.searchsorted(self.blocks.first_rows, rows, side="right") - 1
        inside = rows - self.blocks.first_rows[block]
        by_block = np.argsort(block, kind="stable")
        numbers, starts = np.unique(block[by_block], return_index=True)
        tokens = np.empty((len(rows), self.form.length + 1), self.form.token_type)
        bounds = np.empty((2, len(rows)), np.int64)  # where each row's segments start and end in those of its group
        groups = [self._group(number) for number in numbers.tolist()]
        parts = np.split(by_block, starts[1:])
        for group, part in zip(groups, parts, strict=False):  # without rows there is an empty part and no group
            mine = inside[part]
            tokens[part] = group.tokens[mine]
            bounds[0, part], bounds[1, part] = group.offsets[mine], group.offsets[mine + 1]
        num_segments = bounds[1] - bounds[0]
        segments = _gather(groups, parts, bounds[0], num_segments)
        length, source, size, language, quality = segments
        return Batch(
            tokens, num_segments, length, source, size, rows=rows, segment_language=language, segment_quality=quality
        )

    def documents(self, row: int) -> dict[str, list[Any]]:
        """The segments of a row: lists segment_doc (ids), segment_source (numbers), segment_start, segment_length."""
        block = int(np.searchsorted(self.blocks.first_rows, row, side="right")) - 1
        part = self.packed[self.blocks.shards[block]]
        inside = row - int(self.blocks.first_rows[block])
        cells: dict[str, list[Any]] = self._documents(block).slice(inside, 1).to_pylist()[0]
        return {**cells, "segment_source": [number + part.first_source for number in cells["segment_source"]]}

    def segments(self, rows: Rows) -> pa.Table:
        """See RowReader. Reads each row group once."""
        block = np.searchsorted(self.blocks.first_rows, rows, side="right") - 1
        by_block = np.argsort(block, kind="stable")
        numbers, starts = np.unique(block[by_block], return_index=True)
        parts = [pa.schema([self.form.schema.field(name) for name in WHICH_DOCUMENT]).empty_table()]
        for number, part in zip(numbers.tolist(), np.split(by_block, starts[1:]), strict=False):
            parts.append(self._read(number, list(WHICH_DOCUMENT)).take(rows[part] - self.blocks.first_rows[number]))
        lists = pa.concat_tables(parts).take(np.argsort(by_block))
        row = np.repeat(rows, pc.list_value_length(lists["segment_doc"]).to_numpy())
        return pa.table({"row": row, **{name: pc.list_flatten(lists[name]) for name in WHICH_DOCUMENT}})

    def find(self, doc_ids: Sequence[str]) -> Rows:
        """See RowReader. Reads the column of document ids of every row group."""
        wanted = pa.array(doc_ids, pa.string())
        found = [np.empty(0, np.int64)]
        for block, first in enumerate(self.blocks.first_rows.tolist()):
            documents = self._read(block, ["segment_doc"])["segment_doc"]
            inside = np.repeat(np.arange(len(documents)), pc.list_value_length(documents).to_numpy())
            found.append(first + np.unique(inside[pc.is_in(pc.list_flatten(documents), wanted).to_numpy()]))
        return np.concatenate(found)

    def _group(self, block: int) -> _Group:
        lane = int(self._lanes[self.blocks.shards[block]])
        return self._groups[lane].get(block, int(self.blocks.sizes[block]), self._decode)

    def _decode(self, block: int) -> _Group:
        part = self.packed[self.blocks.shards[block]]
        table = self._read(block, ["tokens", *SEGMENT_COLUMNS])
        lists = [one_chunk(table[name]) for name in SEGMENT_COLUMNS]
        segments = np.stack([column.flatten().to_numpy() for column in lists], dtype=np.int64)
        segments[SEGMENT_COLUMNS.index("segment_source")] += part.first_source
        language = SEGMENT_COLUMNS.index("segment_language")
        segments[language] = part.languages[segments[language]]
        offsets = lists[0].offsets.to_numpy().astype(np.int64)
        return _Group(token_rows(table["tokens"], self.form.token_type), offsets - offsets[0], segments)

    def _read_documents(self, block: int) -> pa.Table:
        return self._read(block, list(DOCUMENT_COLUMNS))

    def _read(self, block: int, columns: list[str]) -> pa.Table:
        shard, number = int(self.blocks.shards[block]), int(self.blocks.numbers[block])
        file = self._open(shard)
        try:
            return file.read_row_group(number, columns=columns, use_threads=False)
        except IntegrityError as error:
            raise IntegrityError(f"row group {number}: {error}") from error

    def _open_shard(self, number: int) -> pq.ParquetFile:
        part = self.packed[number]
        file = shards.open_parquet(checked_path(part.root, part.shard, self.cache))
        self._check(file, part.shard)
        return file

    def _check(self, file: pq.ParquetFile, shard: Shard) -> None:
        for field in self.form.schema:
            if field.name not in file.schema_arrow.names:
                names = file.schema_arrow.names
                raise SchemaMismatch(f"{shard.path}: column {field.name!r} is missing; the table has {names}.")
            found = file.schema_arrow.field(field.name).type
            if found != field.type:
                raise SchemaMismatch(f"{shard.path}: {field.name} are {found}, the manifest says {field.type}.")
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        if sizes != block_sizes(shard.rows):
            raise SchemaMismatch(
                f"{shard.path}: its row groups have {sizes} rows, expected {block_sizes(shard.rows)}: it was not "
                "written by a build. Run the build again."
            )


class _Recent:
    """The row groups that were used last, of at most max_rows rows together with the newest one."""

    def __init__(self, max_rows: int) -> None:
        self.max_rows = max_rows
        self._lock = threading.Lock()
        self._held: OrderedDict[int, tuple[int, Future[_Group]]] = OrderedDict()

    def get(self, block: int, num_rows: int, decode: Callable[[int], _Group]) -> _Group:
        """The row group, decoded if it is not held; of threads that ask for one at once, one decodes it."""
        with self._lock:
            held = self._held.get(block)
            if held is None:
                future: Future[_Group] = Future()
                self._held[block] = num_rows, future
                self._shrink()
            self._held.move_to_end(block)
        if held is not None:
            return held[1].result()
        try:
            future.set_result(decode(block))
        except BaseException as error:
            future.set_exception(error)
            raise
        return future.result()

    def _shrink(self) -> None:
        total = sum(rows for rows, _ in self._held.values())
        while total > self.max_rows and len(self._held) > 1:
            total -= self._held.popitem(last=False)[1][0]


def _gather(groups: Sequence[_Group], parts: Sequence[Rows], first: Rows, num_segments: Rows) -> Rows:
    """int64 (columns, all segments), in the order of rows. parts: the rows of each group; first: of each row's segments
    in those of its group.
    """
    by_block = np.concatenate(parts)
    counts = num_segments[by_block]
    ends = np.cumsum(counts)
    inside = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
    found = inside + np.repeat(first[by_block], counts)
    places = inside + np.repeat((np.cumsum(num_segments) - num_segments)[by_block], counts)
    result = np.empty((len(SEGMENT_COLUMNS), len(found)), np.int64)
    start = 0
    for group, part in zip(groups, parts, strict=False):
        end = start + int(num_segments[part].sum())
        result[:, places[start:end]] = group.segments[:, found[start:end]]
        start = end
    return result


def packed_shards(
    root: str, manifest: Manifest, split: Literal["train", "validation"], first_source: int, languages: Rows
) -> list[PackedShard]:
    """The packed shards of one corpus that have rows; see PackedShard.

    Raises IntegrityError for a shard of a source that the manifest does not have.
    """
    number = {source.name: first_source + index for index, source in enumerate(manifest.sources)}
    found = []
    for shard in manifest.packed(split):
        if shard.source not in number:
            raise IntegrityError(f"{root}: {shard.path} is of source {shard.source!r}, which the manifest has not.")
        if shard.rows:
            found.append(PackedShard(root, shard, number[shard.source], first_source, languages))
    return found


def validation_rows(root: str, manifest: Manifest) -> PackedRows | None:
    """A reader of the validation split of one corpus, or None where it has none."""
    languages = np.append(np.arange(len(manifest.packing.languages)), -1)
    packed = packed_shards(root, manifest, "validation", 0, languages)
    return PackedRows(packed, form_of(manifest)) if packed else None
