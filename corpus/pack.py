"""Pack documents into rows of exactly length + 1 tokens: nothing cropped, nothing dropped.

A document is its tokens and one end-of-text token. One that is longer than a row is cut into full rows and a rest;
rests and short documents are placed best-fit-decreasing over the whole bucket, which is the window that bounds memory.
The documents of a row are of one source, so that a trainer can weight sources, and either all for training or all
reserved for validation: each of these has a file of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.slices import Slices
from filters.kernels.pack import best_fit, copy_pieces, sum_pieces
from manifests import shards
from manifests.digest import hash_fraction
from manifests.errors import IntegrityError
from manifests.schemas import packed_schema, require, token_column, tokens_schema
from manifests.shards import ROW_GROUP_ROWS, FileEntry, TableWriter

Ints = npt.NDArray[np.int64]
Split = Literal["train", "validation"]


@dataclass(frozen=True)
class PackedFile:
    """One packed file. num_tokens counts the tokens in segments (end-of-text tokens of documents, no padding)."""

    entry: FileEntry
    split: Split
    source: str
    num_documents: int
    num_tokens: int


@dataclass(frozen=True)
class Pieces:
    """Pieces of documents, ordered by row and, within a row, by document. All arrays int64 (num_pieces,).

    document: number in the split; start: position in the document of the first token; length: tokens, with the
    end-of-text token where the document ends; row and place: where the piece lies.
    """

    document: Ints
    start: Ints
    length: Ints
    row: Ints
    place: Ints

    def rows(self, first: int, last: int) -> "Pieces":
        """The pieces of rows first to last - 1."""
        window = slice(*np.searchsorted(self.row, [first, last]).tolist())
        columns = (self.document, self.start, self.length, self.row, self.place)
        return Pieces(*(column[window] for column in columns))


@dataclass(frozen=True)
class Settings:
    """How to pack. sources: names in the manifest's order; the position is in `segment_source` and in the file's name.

    token_bytes: bytes of each token (see corpus.tokenizers.Tokenizer.token_bytes); with None a document's bytes are
    shared out by tokens.
    """

    length: int
    end_of_text_id: int
    sources: list[str]
    slices: Slices
    token_bytes: npt.NDArray[np.int32] | None


def pack_bucket(out: str, bucket: int, settings: Settings) -> list[PackedFile]:
    """Read `tokens/part-<bucket>`, write `packed/<length>/<split>-<source number>-<bucket>.parquet` (packed_schema).

    Returns what was written, by split and source number: no file where there are no documents. Raises IntegrityError
    if a document's source or language is not in settings, or its split is neither train nor validation.
    """
    uri = shards.join(out, f"tokens/part-{bucket:05d}.parquet")
    table = shards.read_table(uri)
    require(table, tokens_schema(table.schema.field("tokens").type.value_type), uri)
    _check(table, settings, uri)
    numbers = pc.index_in(table["source"], value_set=pa.array(settings.sources)).to_numpy()
    written = []
    splits: tuple[Split, Split] = ("train", "validation")
    for split in splits:
        in_split = pc.equal(table["split"], split).to_numpy()
        for number in np.unique(numbers[in_split]).tolist():
            path = f"packed/{settings.length}/{split}-{number:04d}-{bucket:05d}.parquet"
            assembler = _Assembler(table, np.flatnonzero(in_split & (numbers == number)), number, settings)
            entry = assembler.write(out, path)
            num_tokens = int(assembler.pieces.length.sum())
            written.append(PackedFile(entry, split, settings.sources[number], len(assembler.num_tokens), num_tokens))
    return written


def _check(table: pa.Table, settings: Settings, uri: str) -> None:
    languages = [None, *settings.slices.languages]
    for column, known in (
        ("source", settings.sources),
        ("language", languages),
        ("split", ["train", "validation"]),
    ):
        unknown = sorted(set(pc.unique(table[column]).to_pylist()) - set(known))
        if unknown:
            raise IntegrityError(
                f"{uri}: column {column!r} holds {unknown[0]!r}, expected one of {known}: it was written by another "
                "build. Remove the folder 'tokens' and run the build again."
            )


def place_pieces(num_tokens: Ints, doc_ids: list[str], capacity: int) -> Pieces:
    """Cut documents into pieces of at most capacity tokens and place them in rows of capacity tokens.

    num_tokens: int64 (num_documents,), without the end-of-text token that each document gets. Rows come in the order
    of a hash of their first piece, so that neither fullness nor length of documents follows from a row's position.
    """
    whole = num_tokens + 1
    num_pieces = -(-whole // capacity)
    document = np.repeat(np.arange(len(whole)), num_pieces)
    first = np.cumsum(num_pieces) - num_pieces
    start = (np.arange(len(document)) - first[document]) * capacity
    length = np.minimum(whole[document] - start, capacity)
    descending = np.argsort(-length, kind="stable")
    row = np.empty(len(document), np.int64)
    row[descending], num_rows = best_fit(length[descending], capacity)
    lead = np.full(num_rows, len(document), np.int64)  # the first piece of each row
    np.minimum.at(lead, row, np.arange(len(document)))
    keys = [hash_fraction(f"{doc_ids[document[piece]]}:{start[piece]}", "row", 0) for piece in lead.tolist()]
    rank = np.empty(num_rows, np.int64)
    rank[np.lexsort((lead, np.array(keys, np.float64)))] = np.arange(num_rows)
    row = rank[row]
    order = np.argsort(row, kind="stable")
    document, start, length, row = document[order], start[order], length[order], row[order]
    end = np.cumsum(length)
    before_row = np.concatenate([[0], end])[np.searchsorted(row, row)]
    return Pieces(document, start, length, row, end - length - before_row)


class _Assembler:
    """Turns documents of one split and source, rows of the table of tokens, into packed rows."""

    def __init__(self, table: pa.Table, rows: Ints, source: int, settings: Settings) -> None:
        self.source = source
        self.settings = settings
        lists = table["tokens"].combine_chunks()
        offsets: Ints = lists.offsets.to_numpy()
        self.tokens = lists.values.to_numpy()
        self.schema = packed_schema(lists.values.type, settings.length)
        documents = table.select(["doc_id", "num_bytes", "language", "quality"]).take(pa.array(rows)).combine_chunks()
        self.doc_ids = documents["doc_id"]
        self.num_bytes: Ints = documents["num_bytes"].to_numpy()
        self.languages = settings.slices.language_numbers(documents["language"].combine_chunks())
        self.deciles = settings.slices.deciles(documents["quality"].combine_chunks())
        self.first_token = offsets[rows]
        self.num_tokens = np.diff(offsets)[rows]
        self.pieces = place_pieces(self.num_tokens, self.doc_ids.to_pylist(), settings.length + 1)

    def write(self, out: str, path: str) -> FileEntry:
        """Write the rows to `path` below out."""
        with TableWriter(shards.join(out, path), self.schema, path=path) as writer:
            for table in self._tables():
                writer.write(table)
        assert writer.entry is not None
        return writer.entry

    def _tables(self) -> Iterator[pa.Table]:
        """The rows in order, in tables of one row group each: the trainer's order counts on ROW_GROUP_ROWS."""
        num_rows = int(self.pieces.row[-1]) + 1
        for first in range(0, num_rows, ROW_GROUP_ROWS):
            last = min(first + ROW_GROUP_ROWS, num_rows)
            yield self._table(self.pieces.rows(first, last), first, last)

    def _table(self, pieces: Pieces, first: int, last: int) -> pa.Table:
        capacity = self.settings.length + 1
        rows = np.full((last - first) * capacity, self.settings.end_of_text_id, self.tokens.dtype)
        begin = self.first_token[pieces.document] + pieces.start
        # The end-of-text token of a document is not in `tokens`: there it is the filling of `rows`.
        stored = np.minimum(pieces.length, self.num_tokens[pieces.document] - pieces.start)
        copy_pieces(self.tokens, begin, stored, (pieces.row - first) * capacity + pieces.place, rows)
        bounds = pa.array(np.searchsorted(pieces.row, np.arange(first, last + 1)), pa.int32())

        def lists(name: str, values: Any) -> pa.Array:
            kind = self.schema.field(name).type
            return pa.ListArray.from_arrays(bounds, values.cast(kind.value_type), type=kind)

        columns = {
            "tokens": token_column(rows.reshape(-1, capacity)),
            "segment_doc": lists("segment_doc", self.doc_ids.take(pa.array(pieces.document)).combine_chunks()),
            "segment_start": lists("segment_start", pa.array(pieces.start)),
            "segment_length": lists("segment_length", pa.array(pieces.length)),
            "segment_source": lists("segment_source", pa.repeat(self.source, len(pieces.document))),
            "segment_language": lists("segment_language", pa.array(self.languages[pieces.document])),
            "segment_quality": lists("segment_quality", pa.array(self.deciles[pieces.document])),
            "segment_bytes": lists("segment_bytes", pa.array(self._bytes(pieces, begin, stored))),
        }
        return pa.table(columns, schema=self.schema)

    def _bytes(self, pieces: Pieces, begin: Ints, stored: Ints) -> Ints:
        """UTF-8 bytes that each piece stands for: from its tokens, or its share of the document's bytes by tokens."""
        if self.settings.token_bytes is not None:
            sums: Ints = sum_pieces(self.tokens, begin, stored, self.settings.token_bytes)
            return sums
        total, size = self.num_bytes[pieces.document], np.maximum(self.num_tokens[pieces.document], 1)
        shares: Ints = total * (pieces.start + stored) // size - total * pieces.start // size
        return shares
