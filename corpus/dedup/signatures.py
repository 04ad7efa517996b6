"""What a unit leaves behind for deduplication: signatures, and sorted runs of equality keys and band keys.

signatures.parquet  one row per document that the filters keep, in row order: its facts, keys and MinHash signature
<kind>.parquet      for each kind of equality (see corpus.dedup.keys) a sorted run of (high, low, row)
bands.parquet       a sorted run of (key, row): one row per document and band

The runs stay: they are the index against which later corpora are deduplicated.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.dedup.dates import moment
from corpus.dedup.keys import equality_keys, kinds
from corpus.dedup.runs import UInt32s, UInt64s, uint32s
from corpus.recipe import Dedup
from filters.base import Documents
from filters.kernels.minhash import DTYPES, Values, band_keys, minhash_signatures, permutations
from manifests.shards import FileEntry, join, write_table

EQUAL_RUN = pa.schema(
    [
        pa.field("high", pa.uint64(), nullable=False),
        pa.field("low", pa.uint64(), nullable=False),
        pa.field("row", pa.uint32(), nullable=False),
    ]
)

BAND_RUN = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)])

FACTS = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),  # row in the unit's documents.parquet
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("date", pa.int64()),  # see corpus.dedup.dates.moment
        pa.field("quality", pa.float64(), nullable=False),
    ]
)


def signatures_schema(config: Dedup) -> pa.Schema:
    """FACTS, for each kind of equality `<kind>_high` and `<kind>_low` (null where a document has no such key), and with
    MinHash `signature`: the values, little-endian, one after another (null without words); its metadata has `scheme`.
    """
    schema = FACTS
    for kind in kinds(config):
        schema = schema.append(pa.field(f"{kind}_high", pa.uint64())).append(pa.field(f"{kind}_low", pa.uint64()))
    minhash = config.minhash
    if minhash is None:
        return schema
    width = np.dtype(DTYPES[minhash.scheme]).itemsize * minhash.bands * minhash.rows
    return schema.append(pa.field("signature", pa.binary(width), metadata={"scheme": minhash.scheme}))


class RunWriter:
    """Takes a unit's kept documents batch by batch, and writes the files at the end.

    Holds 4 (affine64: 8) * bands * rows + 12 * bands + about 100 bytes for each document, never its text.
    """

    def __init__(self, unit_uri: str, config: Dedup) -> None:
        self.unit_uri = unit_uri
        self.config = config
        self._signatures = [signatures_schema(config).empty_table()]
        self._bands = [BAND_RUN.empty_table()]

    def add(self, documents: Documents, rows: UInt32s, facts: pa.Table) -> None:
        """Add documents with their final texts; those with an empty text are left out.

        rows: uint32 (num_documents,), rising, also from call to call. facts: doc_id, num_bytes, date (a string or
        null), quality (higher is better), a row for each document.
        """
        has_text = np.diff(documents.text.offsets) > 0
        columns = {"row": pa.array(rows), **{name: facts[name] for name in FACTS.names[1:]}}
        columns["date"] = pa.array([moment(date) for date in facts["date"].to_pylist()], pa.int64())
        for kind, (high, low, has_key) in equality_keys(documents, self.config).items():
            missing = ~np.asarray(has_key)
            columns |= {f"{kind}_high": pa.array(high, mask=missing), f"{kind}_low": pa.array(low, mask=missing)}
        keys, key_rows = np.zeros(0, np.uint64), np.zeros(0, np.uint32)
        minhash = self.config.minhash
        if minhash is not None:
            drawn = permutations(minhash.bands * minhash.rows, minhash.seed, minhash.scheme)
            signed = minhash_signatures(documents.text, documents.words(), minhash.ngram, drawn)
            columns["signature"] = _as_binary(signed.values, signed.num_shingles > 0)
            found = np.flatnonzero(signed.num_shingles)
            keys = band_keys(signed.values[found], minhash.bands, minhash.rows).ravel()
            key_rows = np.repeat(rows[found], minhash.bands)
        table = pa.table(columns).cast(self._signatures[0].schema)
        self.add_signed(table.filter(pa.array(has_text)), keys, key_rows)

    def add_signed(self, signatures: pa.Table, keys: UInt64s, rows: UInt32s) -> None:
        """Add rows of signatures.parquet, and the keys of their bands with the row of each."""
        self._signatures.append(signatures)
        self._bands.append(pa.table([keys, rows], schema=BAND_RUN))

    def finish(self) -> list[FileEntry]:
        """Write the files; their entries have paths relative to the unit's folder."""
        signatures = pa.concat_tables(self._signatures).combine_chunks()
        assert (np.diff(uint32s(signatures, "row").astype(np.int64)) > 0).all(), "rows must rise"
        entries = [write_table(join(self.unit_uri, "signatures.parquet"), signatures, "signatures.parquet")]
        for kind in kinds(self.config):
            columns = [f"{kind}_high", f"{kind}_low", "row"]
            run = signatures.select(columns).drop_null().rename_columns(EQUAL_RUN.names).cast(EQUAL_RUN)
            entries.append(self._write_sorted(f"{kind}.parquet", run))
        if self.config.minhash is not None:
            entries.append(self._write_sorted("bands.parquet", pa.concat_tables(self._bands)))
        return entries

    def _write_sorted(self, name: str, table: pa.Table) -> FileEntry:
        order = np.lexsort([table[column].to_numpy() for column in reversed(table.column_names)])
        return write_table(join(self.unit_uri, name), table.take(pa.array(order)), name)


def _as_binary(values: Values, has_shingles: npt.NDArray[np.bool_]) -> pa.Array:
    """Values (num_documents, num_permutations) as fixed-size binary, little-endian; null without shingles."""
    dtype = values.dtype.newbyteorder("<")
    data = pa.py_buffer(np.ascontiguousarray(values, dtype))
    kind = pa.binary(dtype.itemsize * values.shape[1])
    plain = pa.Array.from_buffers(kind, len(values), [None, data])
    return pc.if_else(pa.array(has_shingles), plain, pa.scalar(None, kind))


def signature_values(table: pa.Table) -> tuple[Values, npt.NDArray[np.int64]]:
    """A table's signatures: values (num_signatures, num_permutations), and which of them each row has.

    The latter is int64 (num_rows,), -1 where a row has none. The values are uint32 or uint64 by the column's scheme.
    """
    field = table.schema.field("signature")
    dtype = np.dtype(DTYPES[field.metadata[b"scheme"].decode()]).newbyteorder("<")
    width = field.type.byte_width // dtype.itemsize
    is_valid = table["signature"].is_valid().to_numpy()
    places = np.where(is_valid, np.cumsum(is_valid) - 1, -1)
    joined = pa.concat_arrays([pa.array([], field.type), *table["signature"].drop_null().chunks])
    data = joined.buffers()[1]
    values: Values = np.frombuffer(data, dtype) if data is not None else np.zeros(0, dtype)
    return values[joined.offset * width : (joined.offset + len(joined)) * width].reshape(len(joined), width), places


def take_rows(signatures: pa.Table, rows: UInt32s) -> pa.Table:
    """The rows of a unit's signatures.parquet with these numbers (each is there), in their order."""
    positions = np.searchsorted(uint32s(signatures, "row"), rows)
    taken = signatures.take(pa.array(positions))
    assert np.array_equal(uint32s(taken, "row"), rows)
    return taken
