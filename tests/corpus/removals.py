"""A small corpus with duplicates of every kind, and removals from it."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from corpus.removal import Removal, Selection, remove, select
from corpus.removal_lists import Lists, read_lists
from corpus.run_local import LocalRunner
from manifests import ledger, shards
from tests.conftest import unwatched

RECIPE = """
name = "small"
[[source]]
name = "s"
format = "jsonl"
paths = ["*.jsonl"]
[dedup]
keep = "earliest"
url = true
[dedup.minhash]
[tokenize]
tokenizer = "train:300"
shards = 3
[pack]
length = 64
validation_ratio = 0.2
"""
WORDS = ("harbour", "town", "wakes", "early", "boats", "leave", "before", "sun", "market", "opens", "quiet", "stone")


def text_of(seed: int, num_words: int = 120) -> str:
    """Prose that shares no run of five words with that of other seeds."""
    generator = random.Random(seed)
    return " ".join(f"{generator.choice(WORDS)}{generator.randrange(1000)}" for _ in range(num_words))


def document(name: str, text: str, year: int = 2020, url: str | None = None) -> dict[str, str]:
    """A row of an input file; found again by its URL."""
    return {"url": url or f"https://{name}.example/page", "date": f"{year}-01-01", "text": text}


def write_inputs(folder: Path) -> None:
    """Two files. `first` (2001) has an exact copy (2002) and a near copy (2003), each in the other file.

    `chain-a` (2004) has the text of `chain-b` (2005), which has the URL of `chain-c` (2006), whose text is another.
    """
    first, chain = text_of(1), text_of(2)
    shared = "https://www.chain.example/page"
    a = [document(f"a{number}", text_of(100 + number)) for number in range(12)]
    b = [document(f"b{number}", text_of(200 + number)) for number in range(12)]
    a += [
        document("first", first, 2001),
        document("chain-a", chain, 2004),
        document("chain-c", text_of(3), 2006, shared),
    ]
    b += [document("exact", first, 2002), document("near", f"{first} indeed", 2003)]
    b += [document("chain-b", chain, 2005, "http://chain.example/page?utm_source=x")]
    for name, rows in (("a", a), ("b", b)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "recipe.toml").write_text(RECIPE, "utf-8")


def by_host(out: Any) -> dict[str, dict[str, Any]]:
    """Ledger rows by the first label of the URL's host; chain-b by that, chain-c by `www`."""
    rows = ledger.scan(str(out)).collect().to_dicts()
    names = {"http://chain.example/page?utm_source=x": "chain-b", "https://www.chain.example/page": "chain-c"}
    return {names.get(row["url"]) or row["url"].split("/")[2].split(".")[0]: row for row in rows}


def lists(folder: Path, **lines: list[str]) -> Lists:
    """Lists of ids, urls, domains."""
    paths: dict[str, str | None] = dict.fromkeys(("ids", "urls", "domains"))
    for kind, entries in lines.items():
        path = folder / f"{kind}.txt"
        path.write_text("\n".join(entries), "utf-8")
        paths[kind] = str(path)
    return read_lists(**paths)  # type: ignore[arg-type]


def removed_from(
    corpus: Any, out: Any, wanted: Lists, near: bool = False, watch: Any = unwatched
) -> tuple[Selection, Removal]:
    """Select and remove with the local runner."""
    selection = select(str(corpus), wanted, near)
    return selection, remove(selection, None if out is None else str(out), LocalRunner(), watch)


def contents(folder: Any) -> dict[str, str]:
    """SHA-256 of every file."""
    paths = shards.list_files(str(folder))
    return {path: hashlib.sha256(shards.read_bytes(shards.join(str(folder), path))).hexdigest() for path in paths}


def encoded(out: Any) -> set[str]:
    """Ids of all documents in the token shards."""
    files = [path for path in shards.list_files(shards.join(str(out), "tokens")) if path.endswith(".parquet")]
    return {
        doc_id
        for path in files
        for doc_id in shards.read_table(shards.join(str(out), "tokens", path), ["doc_id"])["doc_id"].to_pylist()
    }
