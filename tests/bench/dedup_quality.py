"""Which pages near-duplicate search calls the same, against labels, and against texts that people marked.

    python -m tests.bench.dedup_quality

Three texts of each page: the main text that the recipe extracts, the whole page, and the main text that people marked
(gold). A labelled pair is found where both pages end in one component (a keeper and its duplicates). Pairs `same`
should be found, `different` ones (twins of one template, pages whose extraction collapsed to the same notice) should
not. Then, over all pages with gold: how many duplicates have a gold text unlike their keeper's (exact 5-gram Jaccard
below 0.2), which is what would be lost.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from corpus.dedup.stage import deduplicate
from corpus.extract import extract
from corpus.read import UnitReader
from corpus.recipe import Dedup, MinHash, Source
from corpus.units import plan_units
from manifests.shards import read_table
from tests.corpus.dedup.corpora import signed, write_unit_runs
from tests.reference.dedup import Document
from tests.reference.minhash import folded_words
from tests.shared import shared_data

LABELS = ("same-content", "different-content")
THRESHOLDS = (0.5, 0.72, 0.8, 0.9)


def texts() -> dict[str, dict[str, str]]:
    """Page id to text, for each of the three texts."""
    web = shared_data("web")
    pages = sorted(json_lines(web / "pages.jsonl.zst"), key=lambda page: page["warc_offset"])
    gold = {page["page_id"]: page["text"] for page in json_lines(web / "gold.jsonl.zst")}
    found: dict[str, dict[str, str]] = {"main text": {}, "whole page": {}, "gold": gold}
    for name, kind, pattern in (("main text", "warc", "*.warc.gz"), ("whole page", "wet", "*.warc.wet.gz")):
        source = Source(name="web", format=kind, paths=[str(web / kind / pattern)])  # type: ignore[arg-type]
        for unit in plan_units(source):
            # Both files of a shard have the pages in the same order, the archive's other records aside.
            ids = [page["page_id"] for page in pages if page[kind] == unit.file]
            batches = [extract(batch, "resiliparse") if kind == "warc" else batch for batch in UnitReader(unit, source)]
            rows = [row for batch in batches for row in batch.select(["text", "reason"]).to_pylist()]
            texts_here = [row["text"] for row in rows if row["reason"] not in ("read.record_type",)]
            found[name].update(zip(ids, texts_here, strict=True))
    return found


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a compressed file of JSON lines."""
    with zstandard.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def components(pages: dict[str, str], threshold: float) -> dict[str, str]:
    """Page id to the id of its keeper; pages without text left out."""
    documents = [Document(page, text) for page, text in sorted(pages.items()) if text.strip()]
    config = Dedup(minhash=MinHash(threshold=threshold))
    keepers = {document.doc_id: document.doc_id for document in documents}
    with tempfile.TemporaryDirectory() as out:
        write_unit_runs(out, "u", documents, config, batch=500)
        deduplicate(out, signed({"u": documents}), [], config, "bench", lambda task, items: map(task, items))
        for row in read_table(f"{out}/duplicates/u.parquet").to_pylist():
            keepers[row["doc_id"]] = row["kept_doc_id"]
    return keepers


def jaccard(first: str, second: str) -> float:
    """Exact, of 5-word shingles."""
    ours, theirs = shingles(first), shingles(second)
    return len(ours & theirs) / max(1, len(ours | theirs))


def shingles(text: str) -> set[tuple[str, ...]]:
    words = folded_words(text)
    return {tuple(words[start : start + 5]) for start in range(max(1, len(words) - 4))}


def main() -> None:
    """Print the tables."""
    pairs: list[dict[str, Any]] = list(json_lines(shared_data("web") / "neardup_pairs.jsonl.zst"))
    all_texts = texts()
    print("| text | threshold | duplicates | same pairs found | different pairs found | precision | recall |")
    print("|---|---|---|---|---|---|---|")
    kept = {}
    for kind, pages in all_texts.items():
        for threshold in THRESHOLDS:
            keepers = kept[kind, threshold] = components(pages, threshold)
            num_duplicates = sum(page != keeper for page, keeper in keepers.items())
            found, there = dict.fromkeys(LABELS, 0), dict.fromkeys(LABELS, 0)
            for pair in pairs:
                if pair["label"] in found and pair["a_id"] in keepers and pair["b_id"] in keepers:
                    there[pair["label"]] += 1
                    found[pair["label"]] += keepers[pair["a_id"]] == keepers[pair["b_id"]]
            right, wrong = found["same-content"], found["different-content"]
            print(
                f"| {kind} | {threshold} | {num_duplicates} | {right} of {there['same-content']} | "
                f"{wrong} of {there['different-content']} | {right / max(1, right + wrong):.2f} | "
                f"{right / max(1, there['same-content']):.2f} |",
                flush=True,
            )
    gold = all_texts["gold"]
    print("\n| text | threshold | duplicates with gold | of these unlike their keeper's gold |\n|---|---|---|---|")
    for (kind, threshold), keepers in kept.items():
        judged = [(a, b) for a, b in keepers.items() if a != b and a in gold and b in gold]
        lost = sum(jaccard(gold[a], gold[b]) < 0.2 for a, b in judged)
        print(f"| {kind} | {threshold} | {len(judged)} | {lost} |")


if __name__ == "__main__":
    main()
