"""What a unit leaves behind for deduplication: signatures, and sorted runs of exact keys and band keys.

signatures.parquet  one row per document that the filters keep, in row order: its facts, exact key and MinHash signature
exact.parquet       a run (see corpus.dedup.runs) of (key_hi, key_lo, row)
bands.parquet       a run of (key, row): one row per document and band
"""

import numpy as np
import pyarrow as pa

from corpus.dedup.exact import exact_keys
from corpus.dedup.runs import UInt32s, partition_of, uint32s, uint64s, write_run
from corpus.recipe import Dedup
from filters.base import Documents
from filters.kernels.minhash import DTYPES, Values, band_keys, minhash_signatures, permutations
from manifests.shards import FileEntry, join, write_table

EXACT_RUN = pa.schema(
    [
        pa.field("key_hi", pa.uint64(), nullable=False),
        pa.field("key_lo", pa.uint64(), nullable=False),
        pa.field("row", pa.uint32(), nullable=False),
    ]
)

BAND_RUN = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)])

FACTS = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),  # row in the unit's documents.parquet
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("date", pa.string()),
        pa.field("quality", pa.float64(), nullable=False),
        pa.field("exact_hi", pa.uint64(), nullable=False),  # xxh3-128 of the final text
        pa.field("exact_lo", pa.uint64(), nullable=False),
    ]
)


def signatures_schema(config: Dedup) -> pa.Schema:
    """FACTS, and with MinHash `signature`: the values, little-endian, one after another; its metadata has `scheme`."""
    minhash = config.minhash
    if minhash is None:
        return FACTS
    width = np.dtype(DTYPES[minhash.scheme]).itemsize * minhash.bands * minhash.rows
    return FACTS.append(pa.field("signature", pa.binary(width), nullable=False, metadata={"scheme": minhash.scheme}))


class RunWriter:
    """Takes a unit's kept documents batch by batch, and writes the three files at the end.

    Holds 4 (affine64: 8) * bands * rows + 12 * bands + about 100 bytes for each document, never its text.
    """

    def __init__(self, unit_uri: str, config: Dedup) -> None:
        self.unit_uri = unit_uri
        self.config = config
        self._signatures = [signatures_schema(config).empty_table()]
        self._bands = [BAND_RUN.empty_table()]

    def add(self, documents: Documents, rows: UInt32s, facts: pa.Table) -> None:
        """Add documents with their final texts; those with an empty text are left out.

        rows: uint32 (num_documents,), rising, also from call to call. facts: doc_id, num_bytes, date (may be null),
        quality (higher is better), a row for each document.
        """
        text = documents.text
        has_text = np.diff(text.offsets) > 0
        high, low = exact_keys(text)
        columns = {"row": pa.array(rows), **{name: facts[name] for name in ("doc_id", "num_bytes", "date", "quality")}}
        columns |= {"exact_hi": pa.array(high), "exact_lo": pa.array(low)}
        minhash = self.config.minhash
        if minhash is not None:
            drawn = permutations(minhash.bands * minhash.rows, minhash.seed, minhash.scheme)
            signed = minhash_signatures(text, documents.words(), minhash.ngram, drawn)
            columns["signature"] = _as_binary(signed.values)
            found = np.flatnonzero(signed.num_shingles)
            keys = band_keys(signed.values[found], minhash.bands, minhash.rows)
            self._bands.append(
                pa.table([keys.ravel(), np.repeat(rows[found], minhash.bands)], schema=BAND_RUN),
            )
        table = pa.table(columns).cast(self._signatures[0].schema)
        self._signatures.append(table.filter(pa.array(has_text)))

    def finish(self) -> list[FileEntry]:
        """Write the files; their entries have paths relative to the unit's folder."""
        signatures = pa.concat_tables(self._signatures).combine_chunks()
        assert (np.diff(uint32s(signatures, "row").astype(np.int64)) > 0).all(), "rows must rise"
        entries = [write_table(join(self.unit_uri, "signatures.parquet"), signatures, "signatures.parquet")]
        if self.config.exact:
            columns = [signatures[name] for name in ("exact_hi", "exact_lo", "row")]
            keys = ("key_hi", "key_lo", "row")
            entries.append(self._write_sorted("exact.parquet", pa.table(columns, schema=EXACT_RUN), keys))
        if self.config.minhash is not None:
            entries.append(self._write_sorted("bands.parquet", pa.concat_tables(self._bands), ("key", "row")))
        return entries

    def _write_sorted(self, name: str, table: pa.Table, order: tuple[str, ...]) -> FileEntry:
        positions = np.lexsort([table[column].to_numpy() for column in reversed(order)])
        ordered = table.take(pa.array(positions))
        num_partitions = self.config.partitions
        partitions = partition_of(uint64s(ordered, order[0]), num_partitions)
        return write_run(join(self.unit_uri, name), ordered, partitions, num_partitions, name)


def _as_binary(values: Values) -> pa.Array:
    """Values (num_documents, num_permutations) as fixed-size binary, little-endian."""
    dtype = values.dtype.newbyteorder("<")
    data = pa.py_buffer(np.ascontiguousarray(values, dtype))
    return pa.Array.from_buffers(pa.binary(dtype.itemsize * values.shape[1]), len(values), [None, data])


def signature_values(table: pa.Table) -> Values:
    """Values (num_documents, num_permutations) of a table's `signature` column, uint32 or uint64 by its scheme."""
    field = table.schema.field("signature")
    dtype = np.dtype(DTYPES[field.metadata[b"scheme"].decode()]).newbyteorder("<")
    width = field.type.byte_width // dtype.itemsize
    joined = table["signature"].combine_chunks()
    joined = pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined
    data = joined.buffers()[1]
    values: Values = np.frombuffer(data, dtype) if data is not None else np.zeros(0, dtype)
    return values[joined.offset * width : (joined.offset + len(joined)) * width].reshape(len(joined), width)


def take_rows(signatures: pa.Table, rows: UInt32s) -> pa.Table:
    """The rows of a unit's signatures.parquet with these numbers (each is there), in their order."""
    positions = np.searchsorted(uint32s(signatures, "row"), rows)
    taken = signatures.take(pa.array(positions))
    assert np.array_equal(uint32s(taken, "row"), rows)
    return taken
