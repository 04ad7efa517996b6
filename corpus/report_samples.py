"""Sample texts for a report: a few documents for each reason, a few kept ones, and a few of each large component.

They are always the same ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from corpus.ledger_rows import Tally, batches, columns_of, take_rows
from corpus.texts import cut_lines, lines_file
from manifests import shards
from manifests.ledger import COMPONENT

PER_REASON = 5
EXCERPT_CHARS = 500
KEPT = "kept"
MAX_COMPONENTS = 20
PER_COMPONENT = 3
COMPONENT_CHARS = 200
MAX_TALLIED = 100_000  # kinds and sources of components that are held; those of the smallest are forgotten


def samples(out: str, ledger: Sequence[str], bounds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each reason of documents that have text: reason and documents, in order of reason, `kept` last.

    ledger: its files below out, `ledger/<unit_id>.parquet`. Document ids are hashes, so the PER_REASON smallest by
    their last 16 characters are a sample that does not depend on order or place. Each document has doc_id, url, source,
    file, language, text (the first EXCERPT_CHARS characters after edits), cut (whether there is more), checks (column,
    value, side, limit of the bounds that gave the reason), duplicate_of and jaccard (null unless a duplicate).
    """
    frames = _with_reasons([shards.join(out, name) for name in ledger])
    grouped = _read(out, ledger, _choose(frames, PER_REASON), bounds)
    order = sorted(grouped, key=lambda reason: (reason == KEPT, reason))
    return [{"reason": reason, "documents": grouped[reason]} for reason in order]


def large_components(out: str, ledger: Sequence[str], min_documents: int) -> list[dict[str, Any]]:
    """The MAX_COMPONENTS largest components of duplicates among those with at least min_documents.

    ledger: its files below out, `ledger/<unit_id>.parquet`. Each component has keeper (doc_id), num_documents, kinds
    and sources (name -> documents, of those in this corpus), and documents as in `samples`, with the first
    COMPONENT_CHARS characters: the keeper, unless it is in an older corpus, and other members up to PER_COMPONENT.
    """
    paths = [shards.join(out, name) for name in ledger]
    tally = Tally(["num_documents", "keeper", "kind", "source"], ["documents"], MAX_TALLIED)
    for frame in _members(paths, min_documents):
        tally.add(frame.with_columns(documents=pl.lit(1, pl.Int64)))
    table = tally.table()
    if table.is_empty():
        return []
    top = table.select("num_documents", "keeper").unique()
    top = top.sort(["num_documents", "keeper"], descending=[True, False]).head(MAX_COMPONENTS)
    chosen = _choose(
        (frame.join(top, on="keeper", how="semi") for frame in _members(paths, min_documents)), PER_COMPONENT
    )
    documents = _read(out, ledger, chosen, [])
    rows = []
    for num_documents, keeper in top.iter_rows():
        part = table.filter(pl.col("keeper") == keeper)
        sums = {name: part.group_by(name).agg(pl.col("documents").sum()).sort(name) for name in ("kind", "source")}
        counts = {f"{name}s": dict(sums[name].iter_rows()) for name in sums}
        texts = [_shortened(document) for document in documents[keeper]]
        rows.append({"keeper": keeper, "num_documents": num_documents, **counts, "documents": texts})
    return rows


def _members(paths: Sequence[str], min_documents: int) -> Iterator[pl.DataFrame]:
    """Documents of components of this size: keeper, kind and source, and key and order for `_choose`, keepers first."""
    columns = ["doc_id", "source", "component_size", "duplicate_of", "duplicate_in", "duplicate_kind"]
    is_keeper = pl.col("duplicate_of").is_null()
    for frame in batches(paths, columns):
        yield frame.filter(pl.col("component_size") >= min_documents).select(
            "source",
            "unit",
            "row",
            num_documents="component_size",
            keeper=COMPONENT,
            kind=pl.col("duplicate_kind").fill_null("keeper"),
            key=COMPONENT,
            order=pl.when(is_keeper).then(pl.lit("")).otherwise(pl.col("doc_id").str.slice(-16)),
        )


def _shortened(document: dict[str, Any]) -> dict[str, Any]:
    text = document["text"]
    return {**document, "text": text[:COMPONENT_CHARS], "cut": document["cut"] or len(text) > COMPONENT_CHARS}


def _read(
    out: str, ledger: Sequence[str], chosen: list[tuple[str, int, int]], bounds: Sequence[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """What the report shows of the chosen documents (key, unit, row), by key."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for unit, name in enumerate(ledger):
        rows = [row for _, number, row in chosen if number == unit]
        for row, document in _documents(out, name, rows, bounds).items():
            found[unit, row] = document
    grouped: dict[str, list[dict[str, Any]]] = {}
    for key, unit, row in chosen:
        grouped.setdefault(key, []).append(found[unit, row])
    return grouped


def _with_reasons(paths: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Documents that have text: key and order for `_choose`."""
    for frame in batches(paths, ["doc_id", "fate", "reason", "num_bytes"]):
        yield frame.filter(~pl.col("fate").is_in(["failed", "removed"]) & (pl.col("num_bytes") > 0)).select(
            key=pl.when(pl.col("fate") == "kept")
            .then(pl.lit(KEPT))
            .otherwise(pl.col("reason"))
            .fill_null(pl.col("fate")),
            order=pl.col("doc_id").str.slice(-16),
            unit="unit",
            row="row",
        )


def _choose(frames: Iterable[pl.DataFrame], per_key: int) -> list[tuple[str, int, int]]:
    """(key, unit, row) of the documents that come first in `order` for each key, by key and then by that order."""
    best = pl.DataFrame(schema={"key": pl.String, "order": pl.String, "unit": pl.UInt32, "row": pl.UInt32})
    for frame in frames:
        rows = pl.concat([best, frame.select(best.columns)]).sort(best.columns)
        best = rows.group_by("key", maintain_order=True).head(per_key).select(best.columns)
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
