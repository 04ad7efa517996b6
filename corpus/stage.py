"""From texts to scores, from scores to reasons: pure functions of a batch, the same for every runner."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.recipe import Recipe
from filters.base import Documents, Edit, Filter
from filters.mentions import Mentions

# What every document has besides the measures of its filters, of the final text.
TEXT_COLUMNS = {"text.num_bytes": pa.int64(), "text.num_chars": pa.int64()}
EMPTY_TEXT = "text.empty"  # nothing left after the edits
EDITS = pa.schema([pa.field("row", pa.uint32(), nullable=False), pa.field("text", pa.large_string(), nullable=False)])
DECISIONS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("fate", pa.string(), nullable=False),  # kept, dropped or failed; duplicates are found later
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string()),
    ]
)


def chain(recipe: Recipe) -> list[Filter]:
    """All filters in run order: language first, then the recipe's, then the mentions that the audit counts."""
    return [recipe.language, *recipe.filter, Mentions(lexicons=recipe.audit.lexicons)]


def rules(recipe: Recipe) -> list[str]:
    """The stages that can drop a document before dedup, in the order in which the first reason wins."""
    return ["read", "extract", *(rule.rule for rule in chain(recipe)), "text"]


def scores_schema(recipe: Recipe) -> pa.Schema:
    """Columns of scores.parquet: doc_id, the text columns, and each measure in run order."""
    fields = [pa.field("doc_id", pa.string(), nullable=False)]
    fields += [pa.field(name, kind) for name, kind in TEXT_COLUMNS.items()]
    for rule in chain(recipe):
        fields += [pa.field(name, kind) for name, kind in rule.column_types().items()]
    return pa.schema(fields)


def deciding_columns(recipe: Recipe) -> list[str]:
    """The columns of scores that `reasons` reads."""
    return [*(name for rule in chain(recipe) for name in rule.deciding_columns()), "text.num_bytes"]


@dataclass(frozen=True)
class Measured:
    """scores: one row per record (null where it holds no document); text: the final text of every record."""

    scores: pa.Table
    text: pa.Array


def measure(batch: pa.Table, recipe: Recipe) -> Measured:
    """Take all measures of a batch (schema RECORD) and make its edits, in run order.

    Records with a reason hold no document and are not measured. With `short_circuit`, measures after the first reason
    are null; edits are made on every document, so that no masked detail comes back in a sample.
    """
    readable = pc.is_null(batch["reason"]).combine_chunks()
    rows = np.flatnonzero(readable.to_numpy(zero_copy_only=False))
    whole = len(rows) == batch.num_rows
    documents = Documents(batch if whole else batch.take(rows))
    alive = np.ones(len(rows), bool)
    columns: dict[str, pa.Array] = {}
    for rule in chain(recipe):
        if isinstance(rule, Edit):
            text, measured = rule.edit(documents)
            documents, judged = documents.with_text(text), np.ones(len(rows), bool)
        else:
            judged = alive.copy() if recipe.short_circuit else np.ones(len(rows), bool)
            seen = documents if judged.all() else Documents(documents.table.filter(pa.array(judged)))
            measured = rule.score(seen)
        found = {name: pa.array(measured[name.split(".", 1)[1]], kind) for name, kind in rule.column_types().items()}
        if recipe.short_circuit:
            reasons = rule.reject(pa.table(found)) if rule.bounds or found else None
            if reasons is not None:
                alive[np.flatnonzero(judged)] &= pc.is_null(reasons).to_numpy(zero_copy_only=False)
        columns.update({name: _scatter(values, rows[judged], batch.num_rows) for name, values in found.items()})
    final = documents.table["text"].combine_chunks()
    text_columns = {
        "text.num_bytes": pc.binary_length(final).cast(pa.int64()),
        "text.num_chars": pc.utf8_length(final).cast(pa.int64()),
    }
    columns.update({name: _scatter(values, rows, batch.num_rows) for name, values in text_columns.items()})
    schema = scores_schema(recipe)
    arrays = [batch["doc_id"] if field.name == "doc_id" else columns[field.name] for field in schema]
    text = final if whole else pc.fill_null(_scatter(final, rows, batch.num_rows), "")
    return Measured(pa.Table.from_arrays(arrays, schema=schema), text)


def _scatter(values: pa.Array, rows: np.ndarray, num_rows: int) -> pa.Array:
    """An array of num_rows with `values` at `rows` and nulls elsewhere."""
    if len(rows) == num_rows:
        return values
    index = np.full(num_rows, -1, np.int64)
    index[rows] = np.arange(len(rows))
    return values.take(pa.array(index, mask=index < 0))


def edits(before: pa.Array, after: pa.Array, first_row: int) -> pa.Table:
    """The rows whose text was changed, counted from first_row (schema EDITS)."""
    changed = pc.not_equal(before, after)
    rows = np.flatnonzero(changed.to_numpy(zero_copy_only=False))
    return pa.Table.from_arrays([pa.array(rows + first_row, pa.uint32()), after.take(pa.array(rows))], schema=EDITS)


def reasons(before: pa.Array, scores: pa.Table, recipe: Recipe) -> pa.Array:
    """Why each document is dropped, null where it is not: string, one for each row; the first in run order wins.

    before: reasons of reading and extraction, or null; scores: the same rows.
    """
    reason = before
    for rule in chain(recipe):
        if reason.null_count:
            reason = pc.coalesce(reason, rule.reject(scores))
    empty = pc.fill_null(pc.equal(scores["text.num_bytes"], 0), False).combine_chunks()
    return pc.coalesce(reason, pc.if_else(empty, EMPTY_TEXT, pa.nulls(len(reason), pa.string())))


def decide(records: pa.Table, scores: pa.Table, recipe: Recipe) -> pa.Table:
    """Fate, stage and reason of each record (schema DECISIONS) from scores alone.

    records: doc_id, reason (of reading and extraction) and error; scores: the same rows.
    """
    reason = reasons(records["reason"].combine_chunks(), scores, recipe)
    failed = pc.is_valid(records["error"]).combine_chunks()
    fate = pc.if_else(failed, "failed", pc.if_else(pc.is_null(reason), "kept", "dropped"))
    stage = pc.replace_substring_regex(reason, r"\..*$", "")
    return pa.Table.from_arrays([records["doc_id"].combine_chunks(), fate, stage, reason], schema=DECISIONS)
