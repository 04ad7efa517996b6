"""Encode kept documents: texts -> token ids -> buckets by hash, then one shuffled file per bucket.

Map: each unit writes `units/<unit_id>/tokens.parquet` with one row group per bucket. Gather: bucket b of all units
becomes `tokens/part-b.parquet`, ordered by a hash of the document id, so the order of units leaves no trace. Where only
some units changed, the documents of the others are taken from the bucket's file as it was.
"""

import tempfile
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpus.tokenizers import Tokenizer
from filters.kernels.pack import copy_pieces
from manifests import shards
from manifests.digest import canonical_json, hash_fraction
from manifests.errors import IntegrityError
from manifests.schemas import require, tokens_schema
from manifests.shards import FileEntry, TableWriter

BUCKET_BYTES = 256 * 1024 * 1024


def num_buckets(total_kept_bytes: int, shards: int | None) -> int:
    """How many `tokens/part-*` files: `shards` of the recipe, else one per 256 MiB of kept text, at least one."""
    return shards if shards is not None else max(1, -(-total_kept_bytes // BUCKET_BYTES))


class EncodeWriter:
    """Writes the tokens of one unit. Holds neither texts nor tokens: batches wait in a temporary file until `finish`.

    Row group b of the file is bucket b, also where it is empty. A document's bucket depends on its id and the seed,
    its split (`validation` with probability validation_ratio, else `train`) likewise.
    """

    def __init__(
        self, unit_uri: str, tokenizer: Tokenizer, num_buckets: int, seed: int, validation_ratio: float
    ) -> None:
        self._uri = shards.join(unit_uri, "tokens.parquet")
        self._tokenizer = tokenizer
        self._num_buckets = num_buckets
        self._seed = seed
        self._validation_ratio = validation_ratio
        self._schema = tokens_schema(pa.type_for_alias(tokenizer.token_type))
        self._file = tempfile.NamedTemporaryFile(prefix="gristmill-", suffix=".arrow")  # noqa: SIM115
        self._spill = pa.ipc.new_file(self._file, self._schema)
        self._bounds: list[npt.NDArray[np.int64]] = []  # per batch: rows of bucket b are [bounds[b], bounds[b + 1])
        self.parts: list[str] = []  # after finish, for each bucket: digest of the documents in it, "" without any

    def add(self, table: pa.Table) -> npt.NDArray[np.int64]:
        """Encode a batch of kept documents: doc_id, text (large_string), source, language, quality (float64, finite).

        The last two may be null.

        Returns int64 (num_documents,): tokens of each document, without an end-of-text token. An OSError (the
        temporary folder is full) leaves as it is.
        """
        doc_ids = table["doc_id"].to_pylist()
        buckets = np.array([self._bucket(doc_id) for doc_id in doc_ids], np.int64)
        order = np.argsort(buckets, kind="stable")
        encoded = self._encode(table, doc_ids)
        num_tokens: npt.NDArray[np.int64] = encoded["num_tokens"].to_numpy()
        if len(doc_ids):
            self._spill.write_batch(take_documents(encoded, order).to_batches()[0])
            counts = np.bincount(buckets, minlength=self._num_buckets)
            self._bounds.append(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
        return num_tokens

    def finish(self) -> list[FileEntry]:
        """Write `tokens.parquet` and drop the temporary file; its entry, with the path below the unit's folder."""
        self._spill.close()
        self._file.flush()
        with (
            pa.memory_map(self._file.name) as source,
            TableWriter(self._uri, self._schema, path="tokens.parquet", cut_each_write=True) as writer,
        ):
            spilled = pa.ipc.open_file(source)
            batches = [(spilled.get_batch(number), bounds) for number, bounds in enumerate(self._bounds)]
            for bucket in range(self._num_buckets):
                cuts = [(batch, bounds[bucket], bounds[bucket + 1]) for batch, bounds in batches]
                pieces = [batch.slice(start, stop - start) for batch, start, stop in cuts if start < stop]
                part = pa.Table.from_batches(pieces, self._schema)
                self.parts.append(_digest(part))
                writer.write(part)
        self._file.close()
        assert writer.entry is not None
        return [writer.entry]

    def _bucket(self, doc_id: str) -> int:
        return int(hash_fraction(doc_id, "bucket", self._seed) * self._num_buckets)

    def _split(self, doc_id: str) -> str:
        reserved = hash_fraction(doc_id, "validation", self._seed) < self._validation_ratio
        return "validation" if reserved else "train"

    def _encode(self, table: pa.Table, doc_ids: list[str]) -> pa.Table:
        tokens, offsets = self._tokenizer.encode(table["text"])
        columns = {
            "doc_id": table["doc_id"],
            "tokens": pa.LargeListArray.from_arrays(
                pa.array(offsets), pa.array(tokens), type=self._schema.field("tokens").type
            ),
            "num_tokens": pa.array(np.diff(offsets)),
            "num_bytes": pc.fill_null(pc.binary_length(table["text"]), 0).cast(pa.int64()),
            "source": table["source"],
            "language": table["language"],
            "quality": table["quality"],
            "split": pa.array([self._split(doc_id) for doc_id in doc_ids], pa.string()),
        }
        return pa.table(columns, schema=self._schema)


def _digest(part: pa.Table) -> str:
    """xxh3-128 (32 hex characters) of documents by their values, however they lie in memory; "" of none."""
    if part.num_rows == 0:
        return ""
    hasher = xxhash.xxh3_128()
    for name in ("doc_id", "source", "language", "split"):
        hasher.update(canonical_json(part[name].to_pylist()).encode())
    for name in ("num_tokens", "num_bytes", "quality"):
        hasher.update(part[name].to_numpy())
    for chunk in part["tokens"].chunks:
        hasher.update(chunk.flatten().to_numpy())
    return hasher.hexdigest()


def gather_bucket(
    out: str, unit_ids: list[str], bucket: int, seed: int, token_type: str, *, others_stay: bool = False
) -> FileEntry:
    """Write `tokens/part-<bucket>.parquet`: the bucket's documents of these units, shuffled by hash of the id.

    Rows are in the order of (hash_fraction(doc_id, "shuffle", seed), doc_id), whatever the order of unit_ids. A bucket
    without documents gives a file without rows. others_stay: documents in the file that are of no unit in unit_ids, by
    the units' ledgers, stay in it. Raises IntegrityError if a unit's file has no such row group.
    """
    schema = tokens_schema(pa.type_for_alias(token_type))
    path = f"tokens/part-{bucket:05d}.parquet"
    held = [_of_others(out, path, unit_ids, schema)] if others_stay else []
    table = pa.concat_tables([schema.empty_table(), *held, *_read_bucket(out, unit_ids, bucket, schema)])
    keys = [(hash_fraction(doc_id, "shuffle", seed), doc_id) for doc_id in table["doc_id"].to_pylist()]
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
    return shards.write_table(shards.join(out, path), take_documents(table, order), path)


def take_documents(table: pa.Table, rows: npt.NDArray[np.int64]) -> pa.Table:
    """The given rows of a table of tokens_schema, in this order, in one chunk.

    What Table.take does; the lists are copied by a kernel, since Arrow's take of lists is ten times slower.
    """
    lists = table["tokens"].combine_chunks()
    offsets, values = lists.offsets.to_numpy(), lists.values.to_numpy()
    lengths = np.diff(offsets)[rows]
    places = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(lengths, out=places[1:])
    tokens = np.empty(places[-1], values.dtype)
    copy_pieces(values, offsets[rows], lengths, places[:-1], tokens)
    taken = table.drop_columns("tokens").take(pa.array(rows)).combine_chunks()
    column = pa.LargeListArray.from_arrays(pa.array(places), pa.array(tokens), type=lists.type)
    return taken.add_column(1, table.schema.field("tokens"), column).select(table.column_names)


def _of_others(out: str, path: str, unit_ids: list[str], schema: pa.Schema) -> pa.Table:
    """The rows of a bucket's file that are of other units."""
    uri = shards.join(out, path)
    table = require(shards.read_table(uri), schema, uri)
    others = np.ones(table.num_rows, np.bool_)
    for unit_id in unit_ids:
        ids = shards.read_table(shards.join(out, "ledger", f"{unit_id}.parquet"), ["doc_id"])["doc_id"]
        others &= ~pc.is_in(table["doc_id"], ids).to_numpy()
    return take_documents(table, np.flatnonzero(others))


def _read_bucket(out: str, unit_ids: list[str], bucket: int, schema: pa.Schema) -> Iterator[pa.Table]:
    for unit_id in unit_ids:
        uri = shards.join(out, "units", unit_id, "tokens.parquet")
        with shards.open_parquet(uri) as file:
            if bucket >= file.num_row_groups:
                raise IntegrityError(
                    f"{uri}: has {file.num_row_groups} buckets, bucket {bucket} is asked for: it was written with "
                    "another number of shards. Remove it and run the build again."
                )
            yield require(file.read_row_group(bucket), schema, uri)
