"""Who is dropped: drop rates by language, source, top-level domain and mentioned identity group, with gates on them.

A document belongs to the rule that gave its first reason. It has *reached* a rule when no earlier one dropped it, so
drop ratios are conditional: dropped by the rule / reached the rule. Records that reading or extraction gave up hold no
document and are left out. Intervals are Wilson's (1927) at 95 %.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from corpus.ledger_rows import Tally, batches, columns_of, top_level_domain_of
from corpus.recipe import Audit, Gate
from filters.mentions import GROUPS
from manifests import shards
from manifests.errors import GateFailed, RecipeError
from manifests.ledger import ledger_files

ALL_RULES = "*"
OTHER = "(other)"
NOT_A_DOCUMENT = ("read", "extract")
DEDUP = "dedup"
# Smaller top-level domains are pooled, so that misspelled hosts do not fill the report; gates may ask for less.
MIN_TLD_DOCUMENTS = 30
Z_95 = 1.959963984540054  # the 0.975 quantile of the normal distribution


def audit(out: str, config: Audit, rules: Sequence[str]) -> dict[str, Any]:
    """Drop and toxicity ratios by slice, from the ledger's files alone; memory does not grow with the ledger.

    out: the corpus folder; rules: the stages that drop before dedup, in run order. Duplicates are dropped by `dedup`.
    Raises InputError if there is no ledger. Returns rules (with dedup), num_documents, and two sorted lists of rows:
    rows: slice, value, rule (a rule, a reason, or "*"), num_reached, num_dropped, drop_ratio, low, high;
    toxicity: slice, value, num_documents, num_toxic, toxic_ratio, low, high; empty where toxicity is not measured.
    Slice "identity" holds documents with a mention of a group (a document can be in several) and "none".
    """
    ledger = [shards.join(out, name) for name in ledger_files(out)]
    order = [*(rule for rule in rules if rule not in (*NOT_A_DOCUMENT, DEDUP)), DEDUP]
    table = _pool_small_domains(_tally(ledger, config, order), config.gate)
    rows: list[dict[str, Any]] = []
    toxicity: list[dict[str, Any]] = []
    measures_toxicity = "toxicity" in order or "toxicity.score" in columns_of(ledger)
    for (name, value), part in _by_slice(table):
        rows += [{"slice": name, "value": value, **row} for row in _rule_rows(part, order)]
        if measures_toxicity and name in ("all", "identity"):
            toxicity.append({"slice": name, "value": value, **_toxicity(part)})
    num_documents = sum(row["num_reached"] for row in rows if (row["slice"], row["rule"]) == ("all", ALL_RULES))
    return {"rules": order, "num_documents": num_documents, "rows": rows, "toxicity": toxicity}


def failures_of(found: dict[str, Any], gate: Gate) -> list[str]:
    """What each slice that fails a gate lost; [] if the gate is met."""
    return [
        _failure(row, gate)
        for row in found["rows"]
        if (row["slice"], row["rule"]) == (gate.slice, gate.rule)
        and row["num_reached"] >= gate.min_documents
        and row["drop_ratio"] > gate.max_drop_ratio
    ]


def verdicts(found: dict[str, Any], gates: Sequence[Gate]) -> list[dict[str, Any]]:
    """For the report: `text` and `met` of each gate."""
    rows = []
    for gate in gates:
        failures = failures_of(found, gate)
        limit = f"{gate.rule} may drop at most {gate.max_drop_ratio:.1%} by {gate.slice}"
        rows.append({"text": "; ".join([limit, *failures]), "met": not failures})
    return rows


def check_gates(found: dict[str, Any], gates: Sequence[Gate]) -> None:
    """Raise GateFailed if any slice is dropped more than a gate allows; RecipeError if a gate names no known rule."""
    check_gate_rules(gates, found["rules"])
    failures = [failure for gate in gates for failure in failures_of(found, gate)]
    if failures:
        more = f" (and {len(failures) - 5} more slices)" if len(failures) > 5 else ""
        raise GateFailed(
            f"audit: {'; '.join(failures[:5])}{more}. Change the rule's thresholds, raise max_drop_ratio of the gate, "
            "or remove the gate to accept this; the audit tables of the report show all slices."
        )


def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share, as (low, high) in [0, 1]; (0, 1) where total is 0.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", without continuity
    correction.
    """
    if total == 0:
        return 0.0, 1.0
    share, spread = count / total, Z_95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def _tally(ledger: Sequence[str], config: Audit, rules: list[str]) -> pl.DataFrame:
    """slice, value, position (of the rule that dropped, len(rules) if none did), reason; sums documents and toxic."""
    available = columns_of(ledger)
    measures = ["language.label", "toxicity.score", *(f"mentions.{group}" for group in GROUPS)]
    columns = ["source", "url", "fate", "stage", "reason", *(name for name in measures if name in available)]
    tally = Tally(["slice", "value", "position", "reason"], ["documents", "toxic"])
    for frame in batches(ledger, columns):
        documents = frame.with_columns(
            _position(rules).alias("position"),
            _toxic(columns, config).alias("toxic"),
            pl.lit(1, pl.Int64).alias("documents"),
        ).filter(pl.col("position") >= 0)
        for name, value, condition in _slices(columns):
            rows = documents.filter(condition).with_columns(pl.lit(name).alias("slice"), value.alias("value"))
            tally.add(rows)
    return tally.table()


def _position(rules: list[str]) -> pl.Expr:
    """Int32: index of the rule that dropped the document, len(rules) if none of them did, -1 if it reached none."""
    other = pl.when(pl.col("fate") == "kept").then(len(rules)).otherwise(-1)
    listed = pl.col("stage").replace_strict(rules, list(range(len(rules))), default=None, return_dtype=pl.Int32)
    return pl.when(pl.col("fate") == "failed").then(-1).otherwise(pl.coalesce(listed, other)).cast(pl.Int32)


def _toxic(columns: list[str], config: Audit) -> pl.Expr:
    """Int64 0 or 1: dropped for toxicity, or a toxicity score of at least toxic_min_score."""
    toxic = pl.col("reason").str.starts_with("toxicity.").fill_null(False)
    if "toxicity.score" in columns:
        toxic = toxic | (pl.col("toxicity.score") >= config.toxic_min_score).fill_null(False)
    return toxic.cast(pl.Int64)


def _slices(columns: list[str]) -> list[tuple[str, pl.Expr, pl.Expr]]:
    """(slice, value, which documents). A document whose language or mentions were not measured is in no such slice."""
    everything = pl.lit(True)
    found = [
        ("all", pl.lit("all"), everything),
        ("source", pl.col("source"), everything),
        ("tld", top_level_domain_of(pl.col("url")), everything),
    ]
    if "language.label" in columns:
        label = pl.col("language.label")
        found.append(("language", label, label.is_not_null()))
    mentions = {group: pl.col(f"mentions.{group}") for group in GROUPS if f"mentions.{group}" in columns}
    found += [("identity", pl.lit(group), count >= 1) for group, count in mentions.items()]
    if mentions:
        found.append(("identity", pl.lit("none"), pl.all_horizontal([count < 1 for count in mentions.values()])))
    return found


def _pool_small_domains(table: pl.DataFrame, gates: Sequence[Gate]) -> pl.DataFrame:
    if table.is_empty():
        return table
    least = min([MIN_TLD_DOCUMENTS, *(gate.min_documents for gate in gates)])
    small = (pl.col("slice") == "tld") & (pl.col("documents").sum().over("slice", "value") < least)
    table = table.with_columns(pl.when(small).then(pl.lit(OTHER)).otherwise(pl.col("value")).alias("value"))
    keys = ["slice", "value", "position", "reason"]
    return table.group_by(keys).agg(pl.col("documents", "toxic").sum()).sort(keys)


def _by_slice(table: pl.DataFrame) -> list[tuple[tuple[str, str], list[dict[str, Any]]]]:
    """((slice, value), its rows of the tally), sorted."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in table.iter_rows(named=True):
        found.setdefault((row["slice"], row["value"]), []).append(row)
    return sorted(found.items())


def _rule_rows(part: list[dict[str, Any]], rules: list[str]) -> list[dict[str, Any]]:
    """One row for all rules together, then for each rule that was reached one row and one for each of its reasons."""
    num_documents = _documents(part)
    rows = [_ratio_row(ALL_RULES, num_documents, _documents(row for row in part if row["position"] < len(rules)))]
    for position, rule in enumerate(rules):
        num_reached = _documents(row for row in part if row["position"] >= position)
        dropped = [row for row in part if row["position"] == position]
        if num_reached:
            rows.append(_ratio_row(rule, num_reached, _documents(dropped)))
            rows += [_ratio_row(row["reason"], num_reached, row["documents"]) for row in dropped]
    return rows


def _documents(rows: Iterable[dict[str, Any]]) -> int:
    return sum(row["documents"] for row in rows)


def _ratio_row(rule: str, num_reached: int, num_dropped: int) -> dict[str, Any]:
    low, high = wilson(num_dropped, num_reached)
    return {
        "rule": rule,
        "num_reached": num_reached,
        "num_dropped": num_dropped,
        "drop_ratio": round(num_dropped / num_reached, 6),
        "low": round(low, 6),
        "high": round(high, 6),
    }


def _toxicity(part: list[dict[str, Any]]) -> dict[str, Any]:
    num_documents, num_toxic = _documents(part), sum(row["toxic"] for row in part)
    low, high = wilson(num_toxic, num_documents)
    return {
        "num_documents": num_documents,
        "num_toxic": num_toxic,
        "toxic_ratio": round(num_toxic / num_documents, 6),
        "low": round(low, 6),
        "high": round(high, 6),
    }


def check_gate_rules(gates: Sequence[Gate], rules: Sequence[str]) -> None:
    """Raise RecipeError if a gate is on a rule that is not in the run: it could never fail."""
    for gate in gates:
        if gate.rule != ALL_RULES and gate.rule.split(".", 1)[0] not in rules:
            raise RecipeError(
                f"audit.gate: rule {gate.rule!r} drops nothing in this recipe, so the gate would never fail. "
                f"Name one of {', '.join(rules)}, a reason of one of them (rule.defect), or '*'."
            )


def _failure(row: dict[str, Any], gate: Gate) -> str:
    what = "all rules together drop" if gate.rule == ALL_RULES else f"{gate.rule} drops"
    where = "all documents" if gate.slice == "all" else f"{gate.slice} {row['value']!r}"
    return (
        f"{what} {row['drop_ratio']:.1%} of {where} ({row['num_dropped']:,} of {row['num_reached']:,} that reached it, "
        f"95 % interval {row['low']:.1%} to {row['high']:.1%}), the gate allows {gate.max_drop_ratio:.1%}"
    )
