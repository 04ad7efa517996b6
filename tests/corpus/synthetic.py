"""Small ledgers and corpora made row by row, for tests of what reads them."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.mentions import GROUPS
from manifests import schemas, shards
from manifests.digest import document_id

MEASURES = {
    "text.num_bytes": pa.int64(),
    "language.label": pa.string(),
    "language.score": pa.float64(),
    "gopher_quality.num_words": pa.float64(),
    "gopher_quality.mean_word_chars": pa.float64(),
    "gopher_repetition.duplicate_line_ratio": pa.float64(),
    "toxicity.score": pa.float64(),
    "decontaminate.item": pa.string(),
    "decontaminate.item_file": pa.float64(),
    **{f"mentions.{group}": pa.float64() for group in GROUPS},
}
RULES = ["read", "extract", "language", "gopher_repetition", "gopher_quality", "toxicity", "mentions", "text"]
BOUNDS: list[dict[str, Any]] = [
    {"column": "language.score", "side": "min", "limit": 0.65, "reason": "language.low_score"},
    {
        "column": "gopher_repetition.duplicate_line_ratio",
        "side": "max",
        "limit": 0.3,
        "reason": "gopher_repetition.duplicate_lines",
    },
    {"column": "gopher_quality.num_words", "side": "min", "limit": 50.0, "reason": "gopher_quality.too_few_words"},
    {"column": "gopher_quality.num_words", "side": "max", "limit": 1e5, "reason": "gopher_quality.too_many_words"},
    {"column": "gopher_quality.mean_word_chars", "side": "min", "limit": 3.0, "reason": "gopher_quality.short_words"},
    {"column": "gopher_quality.mean_word_chars", "side": "max", "limit": 10.0, "reason": "gopher_quality.long_words"},
    {"column": "toxicity.score", "side": "max", "limit": 0.8, "reason": "toxicity.hateful"},
]


def ledger_schema() -> pa.Schema:
    return pa.schema([*schemas.LEDGER, *(pa.field(name, kind) for name, kind in MEASURES.items())])


def row(position: int, **values: Any) -> dict[str, Any]:
    """A ledger row: a kept document of source "crawl" unless told otherwise."""
    found = {
        "doc_id": document_id("crawl", "a.warc", position),
        "source": "crawl",
        "file": "a.warc",
        "offset": position,
        "length": 1,
        "fate": "kept",
        "num_bytes": 100,
        "num_lines_removed": 0,
        "num_line_bytes_removed": 0,
        "component_size": 1,
        **values,
    }
    if found["fate"] not in ("kept", "failed") and found.get("reason"):
        found.setdefault("stage", found["reason"].split(".")[0])
    return found


def write_ledger(path: Path, rows: list[dict[str, Any]]) -> str:
    """Write rows as one ledger file; returns its path."""
    shards.write_table(str(path), pa.Table.from_pylist(rows, schema=ledger_schema()))
    return str(path)


def write_unit(out: Path, unit_id: str, rows: list[dict[str, Any]], texts: list[str], edits: dict[int, str]) -> None:
    """Write a unit's ledger, documents and edits."""
    write_ledger(out / "ledger" / f"{unit_id}.parquet", rows)
    ids = pa.array([found["doc_id"] for found in rows], pa.string())
    documents = pa.table({"doc_id": ids, "text": pa.array(texts, pa.large_string())})
    shards.write_table(str(out / "units" / unit_id / "documents.parquet"), documents)
    changed = pa.table({"row": pa.array(list(edits), pa.uint32()), "text": pa.array(edits.values(), pa.large_string())})
    shards.write_table(str(out / "units" / unit_id / "edits.parquet"), changed)


def random_row(position: int, dice: random.Random) -> dict[str, Any]:
    """A plausible record with measures; its fate follows from them."""
    if dice.random() < 0.03:
        error = dice.choice(["gzip member ends early", "record is larger than 64 MiB", "no HTTP header"])
        return row(position, fate="failed", stage="read", reason="read.failed", error=error, num_bytes=0)
    domain = dice.choice(
        ["example.org", "news.example.com", "www.beispiel.de", "blog.example.co.uk", "forum.example.net"]
    )
    language = dice.choice(["en"] * 7 + ["de", "fr", "ja"])
    words = dice.lognormvariate(5.6, 1.3)
    values: dict[str, Any] = {
        "url": f"https://{domain}/page/{position}",
        "language.label": language,
        "language.score": min(1.0, dice.betavariate(9, 1.2)),
        "gopher_quality.num_words": float(round(words)),
        "gopher_quality.mean_word_chars": max(1.0, dice.gauss(4.9, 1.1)),
        "gopher_repetition.duplicate_line_ratio": dice.betavariate(0.5, 6),
        "toxicity.score": dice.betavariate(0.5, 8),
        **{f"mentions.{group}": float(dice.random() < 0.15) * dice.randint(1, 4) for group in GROUPS},
    }
    if values["mentions.orientation"]:
        values["toxicity.score"] = dice.betavariate(3, 2)
    values["num_bytes"] = values["text.num_bytes"] = round(words * 6)
    return row(position, **values, **random_fate(values, dice))


def random_fate(values: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """The first bound that fails decides; some of the rest are duplicates."""
    if values["language.label"] != "en":
        return {"fate": "dropped", "reason": "language.unwanted"}
    for bound in BOUNDS:
        value = values[bound["column"]]
        if value < bound["limit"] if bound["side"] == "min" else value > bound["limit"]:
            return {"fate": "dropped", "reason": bound["reason"]}
    size = dice.choice([1] * 8 + [2, 2, 3, 12])
    if size > 1 and dice.random() < 0.5:
        duplicate = {"duplicate_of": "0" * 32, "duplicate_kind": "near", "jaccard": 0.87}
        return {"fate": "duplicate", "reason": "dedup.near", "component_size": size, **duplicate}
    return {"component_size": size, "num_tokens": values["num_bytes"] // 4}


def write_corpus(out: Path, num_rows: int, seed: int = 7) -> None:
    """Two units of random records; every text says which row it is."""
    dice = random.Random(seed)
    for unit_id in ("0123456789abcdef", "fedcba9876543210"):
        rows = [random_row(dice.randrange(1 << 40), dice) for _ in range(num_rows // 2)]
        texts = [
            "" if r["fate"] == "failed" else f"Row {i} of {unit_id}.\n" + "Words of a page. " * 60
            for i, r in enumerate(rows)
        ]
        write_unit(out, unit_id, rows, texts, {})
