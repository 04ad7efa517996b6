"""What other thresholds would keep, from the ledger's scores alone: no text is read, nothing is written."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from corpus import stage
from corpus.recipe import Recipe
from corpus.recipe_file import read_recipe
from manifests import ledger, shards
from manifests.errors import RecipeError

NUM_SAMPLES = 20


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

    A duplicate counts as kept in place of its keeper where the keeper would go; documents admitted anew count as kept,
    for no signatures of them exist yet. Tokens of documents without a count are estimated from their bytes at the
    corpus's own ratio. Raises RecipeError if an override changes what is measured, which needs a build.
    """
    path = shards.join(out, "recipe.toml")
    old, new = read_recipe(path), read_recipe(path, overrides)
    _check_same_measures(old, new)
    schema = stage.scores_schema(old)
    names = ["doc_id", "source", "url", "fate", "stage", "reason", "error", "num_bytes", "num_tokens", "duplicate_of"]
    scored = [name for name in schema.names if name != "doc_id"]
    frame = ledger.scan(out, [*names, *scored]).collect(engine="streaming")
    decided = _decide(frame, schema, new)
    frame = frame.select([*names, "language.label"]).rename({"language.label": "language"}).with_columns(decided)
    frame = _with_new_fate(frame)
    ratio = frame.select(pl.col("num_tokens").sum() / pl.col("num_bytes").filter(pl.col("fate") == "kept").sum()).item()
    tokens = pl.coalesce(pl.col("num_tokens"), (pl.col("num_bytes") * (ratio or 0.0)).round().cast(pl.Int64))
    frame = frame.with_columns(tokens.alias("tokens"))
    changed = frame.filter(pl.col("new_fate") != pl.col("fate"))
    before = pl.col("reason").fill_null("kept").alias("before")
    after = pl.col("new_reason").fill_null("kept").alias("after")
    changes = (
        changed.group_by(before, after)
        .len("documents")
        .sort("documents", "before", "after", descending=[True, False, False])
    )
    samples = changed.select("doc_id", "url", before, after).sort(pl.col("doc_id").str.slice(16)).head(NUM_SAMPLES)
    return WhatIf(
        by_language=_table(frame, "language"),
        by_source=_table(frame, "source"),
        changes=changes.to_dicts(),
        samples=samples.to_dicts(),
        total=_table(frame.with_columns(pl.lit("all").alias("all")), "all")[0],
    )


def _check_same_measures(old: Recipe, new: Recipe) -> None:
    before = [[rule.rule, rule.measuring()] for rule in stage.chain(old)]
    after = [[rule.rule, rule.measuring()] for rule in stage.chain(new)]
    if before != after or old.normalize != new.normalize or old.extract != new.extract:
        changed = [a[0] for a, b in zip(after, before, strict=False) if a != b] or ["the list of filters"]
        raise RecipeError(
            f"--set changes what {changed[0]} measures, not only a threshold; stored scores cannot tell. "
            "Run `gristmill build` with the changed recipe."
        )


def _decide(frame: pl.DataFrame, schema: pa.Schema, recipe: Recipe) -> list[pl.Series]:
    """New fate and reason of each ledger row, dedup left out."""
    table = frame.to_arrow()
    scores = pa.Table.from_arrays([table[field.name].cast(field.type) for field in schema], schema=schema)
    before = pl.when(pl.col("stage").is_in(["read", "extract"])).then(pl.col("reason"))
    records = frame.select("doc_id", before.alias("reason"), "error").to_arrow()
    records = records.cast(pa.schema([(name, pa.string()) for name in records.column_names]))
    decided = pl.DataFrame(stage.decide(records, scores, recipe))
    return [decided["fate"].alias("passes"), decided["reason"].alias("new_reason")]


def _with_new_fate(frame: pl.DataFrame) -> pl.DataFrame:
    """Fates after dedup: of each component the keeper stays if it passes, else the first member that does."""
    component = pl.coalesce("duplicate_of", "doc_id")
    rank = pl.struct(pl.col("passes") != "kept", pl.col("fate") != "kept", pl.col("doc_id")).rank("ordinal")
    frame = frame.with_columns(first=rank.over(component) == 1)
    fate = (
        pl.when((pl.col("passes") == "kept") & ~pl.col("first")).then(pl.lit("duplicate")).otherwise(pl.col("passes"))
    )
    reason = (
        pl.when(fate == "duplicate").then(pl.coalesce("reason", pl.lit("dedup.near"))).otherwise(pl.col("new_reason"))
    )
    return frame.with_columns(new_fate=fate, new_reason=reason)


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
