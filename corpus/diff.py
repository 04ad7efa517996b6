"""How two corpora differ: which documents changed fate, and why."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from manifests import ledger
from manifests.manifest import read_manifest

NUM_SAMPLES = 20


@dataclass(frozen=True)
class Difference:
    """digests: of both manifests; counts: documents by fate in each; changes: (before, after) -> documents; samples."""

    digests: tuple[str, str]
    recipe_digests: tuple[str, str]
    counts: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    samples: list[dict[str, Any]]


def diff(first: str, second: str) -> Difference:
    """Compare two corpora by document id. Documents that only one of them has count as `absent` in the other."""
    a, b = read_manifest(first), read_manifest(second)
    fates = sorted(set(a.counts["fate"]) | set(b.counts["fate"]))
    counts = [
        {"fate": fate, "first": a.counts["fate"].get(fate, 0), "second": b.counts["fate"].get(fate, 0)}
        for fate in fates
    ]
    columns = ["doc_id", "url", "fate", "reason"]
    outcome = pl.coalesce("reason", "fate")
    left = ledger.scan(first, columns).with_columns(before=outcome).select("doc_id", "url", "before")
    right = ledger.scan(second, columns).with_columns(after=outcome).select("doc_id", "url", "after")
    joined = left.join(right, on="doc_id", how="full", coalesce=True).with_columns(
        pl.col("before").fill_null("absent"), pl.col("after").fill_null("absent"), url=pl.coalesce("url", "url_right")
    )
    changed = joined.filter(pl.col("before") != pl.col("after")).select("doc_id", "url", "before", "after").collect()
    changes = changed.group_by("before", "after").len("documents")
    return Difference(
        digests=(a.digest, b.digest),
        recipe_digests=(a.recipe_digest, b.recipe_digest),
        counts=counts,
        changes=changes.sort("documents", "before", "after", descending=[True, False, False]).to_dicts(),
        samples=changed.sort(pl.col("doc_id").str.slice(16)).head(NUM_SAMPLES).to_dicts(),
    )
