"""Sample texts for a report: a few documents for each reason, and a few kept ones, always the same ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from corpus.ledger_rows import batches, columns_of, take_rows
from corpus.texts import cut_lines, lines_file
from manifests import shards

PER_REASON = 5
EXCERPT_CHARS = 500
KEPT = "kept"


def samples(out: str, ledger: Sequence[str], bounds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each reason of documents that have text: reason and documents, in order of reason, `kept` last.

    ledger: its files below out, `ledger/<unit_id>.parquet`. Document ids are hashes, so the PER_REASON smallest by
    their last 16 characters are a sample that does not depend on order or place. Each document has doc_id, url, source,
    file, language, text (the first EXCERPT_CHARS characters after edits), cut (whether there is more), checks (column,
    value, side, limit of the bounds that gave the reason), duplicate_of and jaccard (null unless a duplicate).
    """
    paths = [shards.join(out, name) for name in ledger]
    chosen = _choose(paths)
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for unit, name in enumerate(ledger):
        rows = [row for _, number, row in chosen if number == unit]
        for row, document in _documents(out, name, rows, bounds).items():
            found[unit, row] = document
    grouped: dict[str, list[dict[str, Any]]] = {}
    for reason, unit, row in chosen:
        grouped.setdefault(reason, []).append(found[unit, row])
    order = sorted(grouped, key=lambda reason: (reason == KEPT, reason))
    return [{"reason": reason, "documents": grouped[reason]} for reason in order]


def _choose(paths: Sequence[str]) -> list[tuple[str, int, int]]:
    """(reason, unit, row) of the sampled documents, by reason and then by the order of the sample."""
    best = pl.DataFrame(schema={"key": pl.String, "order": pl.String, "unit": pl.UInt32, "row": pl.UInt32})
    for frame in batches(paths, ["doc_id", "fate", "reason", "num_bytes"]):
        rows = frame.filter((pl.col("fate") != "failed") & (pl.col("num_bytes") > 0)).select(
            key=pl.when(pl.col("fate") == "kept")
            .then(pl.lit(KEPT))
            .otherwise(pl.col("reason"))
            .fill_null(pl.col("fate")),
            order=pl.col("doc_id").str.slice(-16),
            unit="unit",
            row="row",
        )
        best = (
            pl.concat([best, rows])
            .sort("key", "order", "unit", "row")
            .group_by("key", maintain_order=True)
            .head(PER_REASON)
        )
        best = best.select("key", "order", "unit", "row")
    return [(key, unit, row) for key, _, unit, row in best.iter_rows()]


def _documents(out: str, ledger: str, rows: list[int], bounds: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """What the report shows of each row."""
    rows = sorted(rows)
    if not rows:
        return {}
    unit_id = ledger.removeprefix("ledger/").removesuffix(".parquet")
    texts = _without_lines(out, unit_id, _texts(shards.join(out, "units", unit_id), rows))
    path = shards.join(out, ledger)
    facts = take_rows(path, rows, columns_of([path])).to_pylist()
    return {row: _document(fact, texts[row], bounds) for row, fact in zip(rows, facts, strict=True)}


def _texts(folder: str, rows: list[int]) -> dict[int, str]:
    """The text of each row, after edits where the unit has any."""
    found = take_rows(shards.join(folder, "documents.parquet"), rows, ["text"])["text"].to_pylist()
    texts: dict[int, str] = dict(zip(rows, found, strict=True))
    edits = shards.join(folder, "edits.parquet")
    if shards.exists(edits):
        edited = shards.read_table(edits, ["row"])["row"].to_pylist()
        places = {place: row for place, row in enumerate(edited) if row in texts}
        for place, text in zip(
            sorted(places), take_rows(edits, list(places), ["text"])["text"].to_pylist(), strict=True
        ):
            texts[places[place]] = text
    return texts


def _without_lines(out: str, unit_id: str, texts: dict[int, str]) -> dict[int, str]:
    """The texts by row, without lines that earlier documents have."""
    uri = lines_file(out, unit_id)
    if not shards.exists(uri):
        return texts
    lines = shards.read_table(uri, ["row", "starts", "ends"])
    lines = lines.filter(pc.is_in(lines["row"], value_set=pa.array(texts, pa.uint32())))
    rows = lines["row"].to_pylist()
    cut = cut_lines(pa.array([texts[row] for row in rows], pa.large_string()), lines, np.arange(len(rows)))
    return texts | dict(zip(rows, cut.to_pylist(), strict=True))


def _document(fact: dict[str, Any], text: str, bounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    checks = [
        {"column": bound["column"], "value": fact[bound["column"]], "side": bound["side"], "limit": bound["limit"]}
        for bound in bounds
        if bound["reason"] == fact["reason"] and fact.get(bound["column"]) is not None
    ]
    return {
        **{key: fact[key] for key in ("doc_id", "url", "source", "file", "duplicate_of", "jaccard")},
        "language": fact.get("language.label"),
        "text": text[:EXCERPT_CHARS],
        "cut": len(text) > EXCERPT_CHARS,
        "checks": checks,
    }
