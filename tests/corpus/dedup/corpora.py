"""Small corpora for the tests of deduplication, and maps that run its tasks in this process."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.dedup.signatures import RunWriter
from corpus.dedup.stage import deduplicate
from corpus.dedup.work import SignedUnit, Work
from corpus.recipe import Dedup
from filters.base import Documents
from manifests.shards import FileEntry, join, read_table
from tests.reference.dedup import Document

Units = dict[str, list[Document]]


def in_order(task: Callable[[dict[str, Any]], dict[str, Any]], items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return map(task, items)


def shuffled(seed: int) -> Any:
    """A map that runs and yields in random order, and runs some tasks twice, as retries do."""

    def run(task: Callable[[dict[str, Any]], dict[str, Any]], items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        generator = random.Random(seed)
        work = generator.sample(items, len(items))
        for item in work:
            if generator.random() < 0.3:
                task(item)
        return iter(generator.sample([task(item) for item in work], len(work)))

    return run


def tables(documents: list[Document]) -> tuple[Documents, pa.Table]:
    """A batch, and its facts."""
    doc_ids = pa.array([document.doc_id for document in documents], pa.string())
    text = pa.array([document.text for document in documents], pa.large_string())
    urls = pa.array([document.url for document in documents], pa.string())
    batch = Documents(pa.table({"doc_id": doc_ids, "url": urls, "text": text}))
    facts = {
        "doc_id": doc_ids,
        "num_bytes": pa.array([document.num_bytes for document in documents], pa.int64()),
        "date": pa.array([document.date for document in documents], pa.string()),
        "quality": pa.array([document.quality for document in documents], pa.float64()),
    }
    return batch, pa.table(facts)


def write_unit_runs(
    out: str, unit_id: str, documents: list[Document], config: Dedup, batch: int = 3
) -> list[FileEntry]:
    """The unit's files; document i has row 2 * i + 1, as if every other record had been dropped."""
    writer = RunWriter(join(out, "units", unit_id), config)
    for start in range(0, len(documents), batch):
        part = documents[start : start + batch]
        rows = np.arange(start, start + len(part), dtype=np.uint32) * np.uint32(2) + np.uint32(1)
        writer.add(tables(part)[0], rows, tables(part)[1])
    return writer.finish()


def signed(units: Units, root: str = "", corpus: str | None = None) -> list[SignedUnit]:
    """What deduplication must know of units whose runs are written."""
    return [SignedUnit(unit_id, len(documents), root, corpus) for unit_id, documents in sorted(units.items())]


def build(
    out: str, units: Units, config: Dedup, run_map: Any = in_order, older: Sequence[SignedUnit] = ()
) -> list[FileEntry]:
    """Write all runs and deduplicate."""
    for unit_id, documents in units.items():
        write_unit_runs(out, unit_id, documents, config)
    entries, damaged = deduplicate(out, signed(units), list(older), config, "digest", run_map)
    assert damaged == []
    Work.clean(out)
    return entries


def rows(out: str, units: Units) -> dict[str, list[dict[str, Any]]]:
    """The duplicates table of each unit, without the column `row`, whose value is checked here."""
    found = {}
    for unit_id, documents in units.items():
        place = {document.doc_id: 2 * number + 1 for number, document in enumerate(documents)}
        found[unit_id] = read_table(join(out, "duplicates", f"{unit_id}.parquet")).to_pylist()
        assert all(row.pop("row") == place[row["doc_id"]] for row in found[unit_id])
    return found
