"""The columns of every table on disk. Plain pyarrow, polars and DuckDB read all of them without this package."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import SchemaMismatch

# One row per record of an input, also for records that hold no document or cannot be read.
# `text` is HTML after reading a WARC, plain text afterwards; "" where there is none.
# `reason` is null for a document that goes on, else `read.<defect>` or `extract.<defect>`.
# `error` says what went wrong where the record failed (fate `failed`), else null.
RECORD = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),  # 32 hex characters
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),  # path below the source's root
        pa.field("offset", pa.int64(), nullable=False),  # byte offset in the file, or row number
        pa.field("length", pa.int64(), nullable=False),  # bytes in the file (compressed if it is), or 1 row
        pa.field("url", pa.string()),
        pa.field("date", pa.string()),  # ISO 8601 as declared
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("error", pa.string()),
        pa.field("extra", pa.string()),  # kept columns as one JSON object, else null
    ]
)

FATES = ("kept", "dropped", "duplicate", "failed", "removed")

# The first columns of the ledger; every score follows as a column `<rule>.<measure>`.
LEDGER = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("date", pa.string()),
        pa.field("fate", pa.string(), nullable=False),  # one of FATES
        pa.field("stage", pa.string()),  # read, extract, language, a rule's name, dedup, remove; null if kept
        pa.field("reason", pa.string()),  # rule.defect; null if kept
        pa.field("error", pa.string()),
        pa.field("num_bytes", pa.int64(), nullable=False),  # UTF-8 bytes of the final text; 0 without text
        # Lines, and their bytes with line feeds, that went since an earlier document has them: not in num_bytes.
        pa.field("num_lines_removed", pa.int64(), nullable=False),
        pa.field("num_line_bytes_removed", pa.int64(), nullable=False),
        pa.field("num_tokens", pa.int64()),  # null unless kept
        pa.field("duplicate_of", pa.string()),  # doc_id of the keeper; null unless duplicate
        pa.field("duplicate_in", pa.string()),  # the older corpus that the keeper is in; null if it is in this one
        pa.field("duplicate_kind", pa.string()),  # exact, normalized, url or near; null unless duplicate
        pa.field("jaccard", pa.float64()),  # estimated against the keeper; null unless duplicate
        pa.field("component_size", pa.int64()),  # documents in its duplicate component; 1 if alone
    ]
)

DUPLICATES = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),  # row in the unit's documents.parquet
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("kept_doc_id", pa.string(), nullable=False),  # its own id for a keeper
        pa.field("kept_in", pa.string()),  # the older corpus that the kept document is in; null if it is in this one
        pa.field("kind", pa.string(), nullable=False),  # keeper, exact, normalized, url, near
        pa.field("jaccard", pa.float64()),  # estimated from signatures; 1.0 for equal words; null where one has none
        pa.field("component_size", pa.int64(), nullable=False),  # the kept document and its duplicates
    ]
)

LINES_FOLDER = "duplicates/lines"  # there if and only if the recipe has [dedup.lines]; a file per unit
LINES_REASON = "dedup.lines"  # of documents of which less than one line that counts is left
_SPANS = pa.list_(pa.field("item", pa.int64(), nullable=False))

# What documents lose of their texts since an earlier document has it; only those that lose something have a row.
REMOVED_LINES = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),  # row in the unit's documents.parquet
        pa.field("starts", _SPANS, nullable=False),  # byte positions in the text, after edits, of what is cut out
        pa.field("ends", _SPANS, nullable=False),
        pa.field("num_lines_removed", pa.int64(), nullable=False),  # lines with content
        pa.field("num_bytes_removed", pa.int64(), nullable=False),  # of all spans
        pa.field("dropped", pa.bool_(), nullable=False),  # less is left than one line that counts
    ]
)

REMOVED_FOLDER = "removed"  # there if documents were taken out of a finished corpus; a file per unit that had some

# Documents that were taken out: they take no part in anything after scoring.
REMOVED = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),  # row in the unit's documents.parquet; rising
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # remove.ids, remove.urls, remove.domains, remove.near
    ]
)


def tokens_schema(token_type: pa.DataType) -> pa.Schema:
    """Schema of `tokens/part-*.parquet`; token_type is uint16 or uint32."""
    return pa.schema(
        [
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("tokens", pa.large_list(pa.field("item", token_type, nullable=False)), nullable=False),
            pa.field("num_tokens", pa.int64(), nullable=False),
            pa.field("num_bytes", pa.int64(), nullable=False),  # UTF-8 bytes of the text that was encoded
            pa.field("source", pa.string(), nullable=False),
            pa.field("language", pa.string()),
            pa.field("quality", pa.float64()),  # the score that [pack] quality names; null where it is not there
            pa.field("split", pa.string(), nullable=False),  # train or validation
        ]
    )


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; combine_chunks would copy even one chunk."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def token_rows(column: pa.ChunkedArray, token_type: str) -> npt.NDArray[Any]:
    """The column `tokens` of packed rows as an array (num_rows, length + 1) of token_type, uint16 or uint32.

    Nothing is copied where the column is in one piece.
    """
    whole = one_chunk(column)
    kind = np.dtype(token_type).newbyteorder("<")
    num_tokens = whole.type.byte_width // kind.itemsize
    data = np.frombuffer(whole.buffers()[1], kind, len(whole) * num_tokens, whole.offset * whole.type.byte_width)
    return data.reshape(-1, num_tokens)


def token_column(rows: npt.NDArray[Any]) -> pa.Array:
    """The column `tokens` of packed rows, from an array (num_rows, length + 1); what `token_rows` undoes."""
    data = np.ascontiguousarray(rows, rows.dtype.newbyteorder("<"))
    kind = pa.binary(data.shape[1] * data.itemsize)
    return pa.Array.from_buffers(kind, len(data), [None, pa.py_buffer(data)])


def packed_schema(token_type: pa.DataType, length: int) -> pa.Schema:
    """Schema of `packed/<length>/*.parquet`: rows of exactly length + 1 tokens, all rows of a file of one source.

    Segments lie one after another from position 0; what they leave over at the end is padding (end-of-text ids).
    A segment is one document, or one piece of a long one, with its end-of-text token where the document ends.
    """
    return pa.schema(
        [
            # The ids one after another, little-endian. As bytes they are read four times as fast as a list, for which
            # Parquet keeps levels for each id, and take 0.8 of the space.
            pa.field("tokens", pa.binary((length + 1) * token_type.bit_width // 8), nullable=False),
            pa.field("segment_doc", pa.list_(pa.field("item", pa.string(), nullable=False)), nullable=False),  # doc_id
            # Position of the segment's first token in its document: 0, or more for later pieces of a long one.
            pa.field("segment_start", pa.list_(pa.field("item", pa.int64(), nullable=False)), nullable=False),
            pa.field("segment_length", pa.list_(pa.field("item", pa.int32(), nullable=False)), nullable=False),
            pa.field("segment_source", pa.list_(pa.field("item", pa.int16(), nullable=False)), nullable=False),
            # Position in the manifest's packing.languages; -1 where the language is not known.
            pa.field("segment_language", pa.list_(pa.field("item", pa.int16(), nullable=False)), nullable=False),
            # Decile, 0 to 9, of the document's quality among the corpus's documents; -1 where it has no score.
            pa.field("segment_quality", pa.list_(pa.field("item", pa.int8(), nullable=False)), nullable=False),
            # UTF-8 bytes that the tokens of each segment stand for; makes bits per byte exact.
            pa.field("segment_bytes", pa.list_(pa.field("item", pa.int64(), nullable=False)), nullable=False),
        ]
    )


# What `gristmill losses` writes of a training run: a row for each document, sorted by doc_id.
DOCUMENT_LOSSES = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        # Of all its parts, each when it was read for the last time, before the update of that step.
        pa.field("num_targets", pa.int64(), nullable=False),
        pa.field("num_times", pa.int64(), nullable=False),  # that its most read part was read
        pa.field("last_step", pa.int64(), nullable=False),
        pa.field("loss", pa.float64(), nullable=False),  # nats per target
        pa.field("bits_per_byte", pa.float64()),  # null where no text was predicted
        # Beyond the bits per byte of all that the same steps read: a model is better at the end of a run.
        pa.field("excess_bits_per_byte", pa.float64()),
    ]
)


def require(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """Return the table with exactly the schema's columns in order; raise SchemaMismatch naming what differs."""
    for field in schema:
        if field.name not in table.column_names:
            raise SchemaMismatch(f"{where}: column {field.name!r} is missing; the table has {table.column_names}.")
        found = table.schema.field(field.name).type
        if found != field.type:
            raise SchemaMismatch(f"{where}: column {field.name!r} is {found}, expected {field.type}.")
    return table.select(schema.names).cast(schema)
