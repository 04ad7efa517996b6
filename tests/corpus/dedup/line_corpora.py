"""Small corpora for the tests of line deduplication: units with texts and what was decided of them."""

from typing import Any

import pyarrow as pa

from corpus.dedup.lines import deduplicate_lines
from corpus.recipe import Dedup, Lines
from corpus.stage import DECISIONS, EDITS
from corpus.texts import final_texts, kept_rows
from manifests.schemas import DUPLICATES
from manifests.shards import FileEntry, join, read_table, write_table
from tests.corpus.dedup.corpora import in_order

Texts = dict[str, list[str]]


def write_texts(
    out: str,
    units: Texts,
    dropped: frozenset[tuple[str, int]] = frozenset(),
    losers: frozenset[tuple[str, int]] = frozenset(),
) -> None:
    """What scoring and document deduplication leave of units. dropped, losers: (unit, row) that they took out."""
    for unit_id, texts in units.items():
        ids = [f"{unit_id}-{row}" for row in range(len(texts))]
        fates = ["dropped" if (unit_id, row) in dropped else "kept" for row in range(len(texts))]
        decided = [{"doc_id": doc_id, "fate": fate} for doc_id, fate in zip(ids, fates, strict=True)]
        twins = [
            {**dict.fromkeys(DUPLICATES.names), "row": row, "doc_id": doc_id, "kept_doc_id": "x", "kind": "exact"}
            | {"jaccard": 1.0, "component_size": 2}
            for row, doc_id in enumerate(ids)
            if (unit_id, row) in losers
        ]
        folder = join(out, "units", unit_id)
        documents = {"doc_id": pa.array(ids, pa.string()), "text": pa.array(texts, pa.large_string())}
        write_table(join(folder, "documents.parquet"), pa.table(documents))
        write_table(join(folder, "edits.parquet"), EDITS.empty_table())
        write_table(join(folder, "decisions.parquet"), pa.Table.from_pylist(decided, schema=DECISIONS))
        duplicates = pa.Table.from_pylist(
            [{name: row.get(name) for name in DUPLICATES.names} for row in twins], schema=DUPLICATES
        )
        write_table(join(out, "duplicates", f"{unit_id}.parquet"), duplicates)


def deduplicated(
    out: str, units: Texts, config: Lines, partitions: int = 3, run_map: Any = in_order, digest: str = "d"
) -> list[FileEntry]:
    """Run the stage over what `write_texts` wrote."""
    sizes = {unit_id: sum(map(len, texts)) for unit_id, texts in units.items()}
    return deduplicate_lines(out, sizes, Dedup(lines=config, partitions=partitions), digest, run_map)


def left(out: str, units: Texts) -> dict[str, list[str | None]]:
    """The text of each document as it is encoded; None where it is not kept."""
    found: dict[str, list[str | None]] = {}
    for unit_id in units:
        texts = [text for _, _, batch in final_texts(out, unit_id) for text in batch.to_pylist()]
        keep = kept_rows(out, unit_id).tolist()
        found[unit_id] = [text if kept else None for text, kept in zip(texts, keep, strict=True)]
    return found


def removed(out: str, unit_id: str) -> list[dict[str, Any]]:
    """The rows of REMOVED_LINES of a unit."""
    return read_table(join(out, "duplicates", "lines", f"{unit_id}.parquet")).to_pylist()
