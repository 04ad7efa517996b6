"""What other thresholds would keep, from the ledger's scores alone: no text is read, nothing is written."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl
import pyarrow as pa

from corpus import stage
from corpus.dedup.dates import moment
from corpus.recipe import Recipe
from corpus.recipe_file import read_recipe
from manifests import ledger, shards
from manifests.errors import RecipeError
from manifests.schemas import LINES_REASON

NUM_SAMPLES = 20
LEDGER_COLUMNS = [
    *("doc_id", "source", "date", "fate", "stage", "reason", "num_bytes", "num_tokens", "duplicate_of"),
    "component_size",
    "duplicate_in",
]
_BEFORE_FILTERS = pl.when(pl.col("stage").is_in(["read", "extract"])).then(pl.col("reason")).alias("before")
# What could not be read, or was taken out, stays so, whatever the thresholds.
_PASSES = (
    pl.when(pl.col("fate").is_in(["failed", "removed"]))
    .then(pl.col("fate"))
    .otherwise(pl.when(pl.col("new_reason").is_null()).then(pl.lit("kept")).otherwise(pl.lit("dropped")))
)


@dataclass(frozen=True)
class WhatIf:
    """Tables of kept documents and tokens before and after, changes by reason, and samples of changed documents."""

    by_language: list[dict[str, Any]]
    by_source: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    samples: list[dict[str, Any]]
    total: dict[str, Any]


def whatif(out: str, overrides: Iterable[str]) -> WhatIf:
    """Decide again with changed thresholds.

    Where the keeper of a component would go, the next by the recipe's policy stays in its place. Three things only a
    build can tell: whether a component falls apart without that document; of which documents those admitted anew are
    duplicates, so these count as kept; and which lines earlier documents have, so the same ones count as removed.
    Tokens are estimated from bytes, at the rate of the kept documents in their language, where they were not counted.
    Raises RecipeError if an override changes anything but thresholds.
    """
    path = shards.join(out, "recipe.toml")
    old, new = read_recipe(path), read_recipe(path, overrides)
    _check_same_measures(old, new)
    pages = _decide(out, old, new)
    frame = _with_tokens(_with_new_fate(pages))
    changed = frame.filter(pl.col("new_fate") != pl.col("fate"))
    before = pl.col("reason").fill_null("kept").alias("before")
    after = pl.col("new_reason").fill_null("kept").alias("after")
    changes = (
        changed.group_by(before, after)
        .len("documents")
        .sort("documents", "before", "after", descending=[True, False, False])
    )
    samples = changed.select("doc_id", before, after).sort(pl.col("doc_id").str.slice(16)).head(NUM_SAMPLES).to_dicts()
    urls = ledger.lookup(out, [sample["doc_id"] for sample in samples], ["doc_id", "url"])
    return WhatIf(
        by_language=_table(frame, "language"),
        by_source=_table(frame, "source"),
        changes=changes.to_dicts(),
        samples=[{"doc_id": each["doc_id"], "url": urls[each["doc_id"]]["url"], **each} for each in samples],
        total=_table(frame.with_columns(pl.lit("all").alias("all")), "all")[0],
    )


def _check_same_measures(old: Recipe, new: Recipe) -> None:
    before, after = old.model_dump(exclude={"filter", "language"}), new.model_dump(exclude={"filter", "language"})
    changed = [f"[{key}]" for key in before if before[key] != after[key]]
    # Settings as they are written: no model, evaluation set or word table is needed, or has to be there still.
    chains = [
        [(rule.rule, rule.model_dump(exclude=rule.deciding_keys())) for rule in stage.chain(recipe)]
        for recipe in (old, new)
    ]
    changed += [f"what {new[0]} measures" for was, new in zip(*chains, strict=False) if was != new]
    if len(chains[0]) != len(chains[1]):
        changed += ["the list of filters"]
    if changed:
        raise RecipeError(
            f"--set changes {changed[0]}, not only a threshold: stored scores cannot tell. "
            "Run `gristmill build` with the changed recipe."
        )


def _decide(out: str, old: Recipe, new: Recipe) -> pl.DataFrame:
    """The ledger's pages with `language`, `policy`, `new_reason` and `passes` (fate with dedup left out).

    Decided batch by batch while the ledger is read, so that scores take no more memory for a larger corpus.
    """
    scores = stage.deciding_columns(new)
    reason = pl.struct(_BEFORE_FILTERS, *scores).map_batches(
        partial(_reasons, new), return_dtype=pl.String, is_elementwise=True
    )
    policy = _policy(old)
    columns = list(dict.fromkeys([*LEDGER_COLUMNS, *policy.meta.root_names()]))
    added = {
        "language": pl.col("language.label"),
        "new_reason": reason,
        "unmeasured": pl.any_horizontal(pl.col(scores).is_null()),
    }
    # Requests, metadata and the like are beside pages: no threshold touches them, no table counts them.
    pages = ledger.scan(out).filter(pl.col("reason").ne_missing("read.record_type"))
    decided = pages.select(*columns, **added).collect(engine="streaming").with_columns(policy=policy, passes=_PASSES)
    if old.short_circuit:
        _check_all_measured(decided)
    return decided


def _check_all_measured(pages: pl.DataFrame) -> None:
    """With short_circuit a document has no scores after its first reason."""
    admitted = pages.filter((pl.col("passes") == "kept") & (pl.col("fate") == "dropped"))
    num_unknown = admitted["unmeasured"].sum()
    if num_unknown:
        raise RecipeError(
            f"{num_unknown} documents would pass where they were dropped, but have no scores for the filters after "
            "that: the corpus was built with short_circuit = true. Run `gristmill build` with the changed recipe."
        )


def _reasons(recipe: Recipe, rows: pl.Series) -> pl.Series:
    """New reason of each row, dedup left out; rows: a struct of the reason before the filters and the scores."""
    scores = pa.table(rows.struct.unnest().to_arrow())
    before = scores["before"].cast(pa.string()).combine_chunks()
    return pl.Series(stage.reasons(before, scores, recipe), dtype=pl.String)


def _policy(recipe: Recipe) -> pl.Expr:
    """Sort key, ascending with nulls last, that puts the document to keep first; see corpus.dedup.keepers."""
    keep = recipe.dedup.keep
    if keep in ("earliest", "latest"):
        date = pl.col("date").map_elements(moment, return_dtype=pl.Int64)
        return date if keep == "earliest" else -date
    quality = recipe.dedup.quality if keep == "best_quality" else None
    return -pl.col(quality or "text.num_bytes")  # before lines of earlier documents are cut


def _with_new_fate(frame: pl.DataFrame) -> pl.DataFrame:
    """Fates after dedup: of each component the first member that passes stays, by the policy and then by id."""
    component = pl.coalesce("duplicate_of", "doc_id").alias("component")
    frame = frame.with_row_index("row")
    ours = pl.col("duplicate_in").is_null()
    members = frame.filter((pl.col("component_size") > 1) & (pl.col("passes") == "kept") & ours).with_columns(component)
    keepers = members.sort("policy", "doc_id", nulls_last=True).unique("component", keep="first", maintain_order=True)
    alone = (pl.col("component_size") == 1) | pl.col("row").is_in(keepers["row"].implode())
    stays = alone & pl.col("duplicate_in").is_null()  # what an older corpus keeps stays its own
    fate = pl.when((pl.col("passes") == "kept") & ~stays).then(pl.lit("duplicate")).otherwise(pl.col("passes"))
    has_lines = (fate != "kept") | pl.col("reason").ne_missing(LINES_REASON)
    fate = pl.when(has_lines).then(fate).otherwise(pl.lit("dropped"))
    stays_so = (fate == "duplicate") | ~has_lines
    reason = pl.when(stays_so).then(pl.col("reason")).otherwise(pl.col("new_reason"))
    return frame.with_columns(new_fate=fate, new_reason=reason)


def _with_tokens(frame: pl.DataFrame) -> pl.DataFrame:
    """Column `tokens`: counted, or estimated for documents that were not kept."""
    kept_bytes = pl.col("num_bytes").filter(pl.col("fate") == "kept").sum()
    rate = pl.col("num_tokens").sum() / kept_bytes
    rate = pl.when(kept_bytes.over("language") > 0).then(rate.over("language")).otherwise(rate)
    estimated = (pl.col("num_bytes") * rate).fill_nan(0.0).round().cast(pl.Int64)
    return frame.with_columns(tokens=pl.coalesce("num_tokens", estimated))


def _table(frame: pl.DataFrame, column: str) -> list[dict[str, Any]]:
    kept, after = pl.col("fate") == "kept", pl.col("new_fate") == "kept"
    grouped = (
        frame.filter(pl.col(column).is_not_null())
        .group_by(column)
        .agg(
            documents=pl.len(),
            kept_before=kept.sum(),
            kept_after=after.sum(),
            tokens_before=pl.col("tokens").filter(kept).sum(),
            tokens_after=pl.col("tokens").filter(after).sum(),
        )
    )
    return grouped.sort(["kept_before", column], descending=[True, False]).to_dicts()
