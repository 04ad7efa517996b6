"""The second map over units: kept texts to token ids, and every record's final fate to the ledger."""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.commits import Record, damaged_files, find_committed, write_commit
from corpus.encode import EncodeWriter
from corpus.recipe import Recipe
from corpus.removed import removed_documents, removed_file
from corpus.rows import RowReader, SparseRows
from corpus.score import unit_folder, versions
from corpus.texts import final_texts, kept_rows, removed_lines
from corpus.tokenizers import load_tokenizer
from manifests import schemas, shards
from manifests.digest import digest_json
from manifests.schemas import LINES_REASON
from manifests.shards import FileEntry, TableWriter

VERSION = 6
# Libraries whose version decides the bytes of tokens and shards.
TOKEN_LIBRARIES = ("pyarrow", "gigatoken", "tokenizers")
RECORD_COLUMNS = [name for name in schemas.RECORD.names if name not in ("text", "reason", "extra")]

Counts = npt.NDArray[np.int64]


def finish_unit(recipe: Recipe, out: str, plan: dict[str, Any], item: dict[str, Any]) -> Record:
    """Task: encode the kept documents of unit item["unit_id"] and write its ledger.

    Returns the commit record, and as `damaged` what was wrong with files of an earlier run, which are made again.

    plan: tokenizer (path below out), its sha256, pretokenizer, num_buckets.
    item: unit_id, digest (see finish_digest), need_tokens: the token shards do not hold the unit's tokens.
    """
    unit_id = item["unit_id"]
    uri = shards.join(out, unit_folder(unit_id), "encode.json")
    done, damaged = find_committed(out, uri, item["digest"])
    if done and item["need_tokens"]:
        # Gathered ones are removed, so that a missing one is no damage.
        there = [file for file in done["tokens"] if shards.exists(shards.join(out, file["path"]))]
        damaged = damaged_files(out, there)
        done = None if damaged or len(there) < len(done["tokens"]) else done
    if done:
        return {**done, "reused": True}
    writer, tokens, num_tokens = _encode(recipe, out, plan, unit_id)
    ledger = _write_ledger(out, unit_id, num_tokens)
    facts = {"unit_id": unit_id, "parts": writer.parts, "tokens": [asdict(file) for file in tokens]}
    return {**write_commit(uri, item["digest"], [ledger], **facts), "damaged": damaged}


def decided_files(unit_id: str) -> list[str]:
    """Files that decide, since scoring, which documents of a unit are kept and as what; not each need be there."""
    return [*(f"{folder}/{unit_id}.parquet" for folder in ("duplicates", schemas.LINES_FOLDER)), removed_file(unit_id)]


def finish_digest(recipe: Recipe, plan: dict[str, Any], record: Record, decided: list[str | None]) -> str:
    """What decides the bytes that finish_unit writes for one unit.

    record: of the unit's scoring; decided: SHA-256 of its decided_files, None where there is no such file.
    """
    pack = [recipe.pack.validation_ratio, recipe.pack.quality]
    used = [VERSION, versions(TOKEN_LIBRARIES), plan, recipe.seed, *pack]
    return digest_json([*used, record["digest"], record["input"]["sha256"], decided])


def _encode(
    recipe: Recipe, out: str, plan: dict[str, Any], unit_id: str
) -> tuple[EncodeWriter, list[FileEntry], Counts]:
    """Write the unit's tokens; also int64 (num_records,): tokens of each kept document, -1 for the other records."""
    folder = unit_folder(unit_id)
    tokenizer = load_tokenizer(shards.join(out, plan["tokenizer"]), plan["pretokenizer"])
    writer = EncodeWriter(
        shards.join(out, folder), tokenizer, plan["num_buckets"], recipe.seed, recipe.pack.validation_ratio
    )
    keep = kept_rows(out, unit_id)
    num_tokens = np.full(len(keep), -1, np.int64)
    quality = recipe.pack.quality
    measures = ["language.label", *([quality] if quality else [])]
    scores = RowReader(shards.join(out, folder, "scores.parquet"), measures)
    for first_row, batch, text in final_texts(out, unit_id):
        rows = np.flatnonzero(keep[first_row : first_row + batch.num_rows])
        scored = scores.take(batch.num_rows)
        if len(rows):
            columns = {
                "doc_id": batch["doc_id"],
                "text": text,
                "source": batch["source"],
                "language": scored["language.label"],
                "quality": scored[quality].cast(pa.float64()) if quality else pa.nulls(batch.num_rows, pa.float64()),
            }
            num_tokens[first_row + rows] = writer.add(pa.table(columns).take(pa.array(rows)))
    files = [FileEntry(f"{folder}/{file.path}", file.rows, file.bytes, file.sha256) for file in writer.finish()]
    return writer, files, num_tokens


def _write_ledger(out: str, unit_id: str, num_tokens: Counts) -> FileEntry:
    """Join documents, decisions, scores, duplicates and token counts of a unit; same rows, same order."""
    folder = shards.join(out, unit_folder(unit_id))
    duplicates = shards.read_table(shards.join(out, "duplicates", f"{unit_id}.parquet"))
    lines = removed_lines(out, unit_id)
    removed = removed_documents(out, unit_id)
    decisions = RowReader(shards.join(folder, "decisions.parquet"))
    scores = RowReader(shards.join(folder, "scores.parquet"))
    measures = [name for name in scores.schema.names if name != "doc_id"]
    schema = pa.schema([*schemas.LEDGER, *(scores.schema.field(name) for name in measures)])
    path = f"ledger/{unit_id}.parquet"
    with TableWriter(shards.join(out, path), schema, path=path) as writer:
        first_row = 0
        for records in shards.row_groups(shards.join(folder, "documents.parquet"), RECORD_COLUMNS):
            decided, scored = decisions.take(records.num_rows), scores.take(records.num_rows)
            tokens = num_tokens[first_row : first_row + records.num_rows]
            lost = _lost_lines(lines, first_row, records.num_rows)
            columns = _ledger_columns(records, decided, scored, duplicates, tokens, lost)
            columns |= _taken_out(columns, removed)
            arrays = [columns[field.name] for field in schemas.LEDGER] + [scored[name] for name in measures]
            writer.write(pa.Table.from_arrays(arrays, names=schema.names).cast(schema))
            first_row += records.num_rows
    assert writer.entry is not None
    return writer.entry


def _taken_out(columns: dict[str, Any], removed: pa.Table) -> dict[str, Any]:
    """Fate, stage and reason of a batch of records, with those of the removed documents."""
    found = pc.index_in(columns["doc_id"], value_set=removed["doc_id"]).combine_chunks()
    reason = removed["reason"].combine_chunks().take(found)
    new = {"fate": "removed", "stage": "remove", "reason": reason}
    return {name: pc.if_else(reason.is_valid(), value, columns[name]) for name, value in new.items()}


def _lost_lines(lines: SparseRows | None, first_row: int, num_rows: int) -> dict[str, pa.Array]:
    """The last three columns of REMOVED_LINES for rows from first_row, 0 and false where they lost none."""
    lost = {"num_lines_removed": np.zeros(num_rows, np.int64), "num_bytes_removed": np.zeros(num_rows, np.int64)}
    lost["dropped"] = np.zeros(num_rows, bool)
    if lines is not None:
        found = lines.between(first_row, first_row + num_rows)
        for name, values in lost.items():
            values[found["row"].to_numpy().astype(np.int64) - first_row] = found[name].to_numpy()
    return {name: pa.array(values) for name, values in lost.items()}


def _ledger_columns(
    records: pa.Table,
    decided: pa.Table,
    scored: pa.Table,
    duplicates: pa.Table,
    num_tokens: Counts,
    lost: dict[str, pa.Array],
) -> dict[str, Any]:
    """The columns of LEDGER for a batch of records; lost: of _lost_lines."""
    found = pc.index_in(decided["doc_id"], value_set=duplicates["doc_id"]).combine_chunks()
    twin = {name: duplicates[name].combine_chunks().take(found) for name in duplicates.column_names}
    loser = pc.fill_null(pc.not_equal(twin["kind"], "keeper"), False)
    null = pa.nulls(records.num_rows, pa.string())
    reason = pc.binary_join_element_wise("dedup", twin["kind"], ".")
    old = {name: decided[name].combine_chunks() for name in ("fate", "stage", "reason")}
    dropped = lost["dropped"]
    return {name: records[name] for name in RECORD_COLUMNS} | {
        "fate": pc.if_else(loser, "duplicate", pc.if_else(dropped, "dropped", old["fate"])),
        "stage": pc.if_else(pc.or_(loser, dropped), "dedup", old["stage"]),
        "reason": pc.if_else(loser, reason, pc.if_else(dropped, LINES_REASON, old["reason"])),
        "num_bytes": pc.subtract(pc.fill_null(scored["text.num_bytes"], 0), lost["num_bytes_removed"]),
        "num_lines_removed": lost["num_lines_removed"],
        "num_line_bytes_removed": lost["num_bytes_removed"],
        "num_tokens": pa.array(num_tokens, mask=num_tokens < 0),
        "duplicate_of": pc.if_else(loser, twin["kept_doc_id"], null),
        "duplicate_in": pc.if_else(loser, twin["kept_in"], null),
        "duplicate_kind": pc.if_else(loser, twin["kind"], null),
        "jaccard": pc.if_else(loser, twin["jaccard"], pa.scalar(None, pa.float64())),
        "component_size": pc.fill_null(twin["component_size"], 1),
    }
