"""The second map over units: kept texts to token ids, and every record's final fate to the ledger."""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.commits import Record, committed, files_present, write_commit
from corpus.encode import EncodeWriter
from corpus.recipe import Recipe
from corpus.score import stored_texts, unit_folder
from corpus.tokenizers import load_tokenizer
from manifests import schemas, shards
from manifests.digest import digest_json
from manifests.shards import FileEntry

VERSION = 1


def finish_unit(recipe: Recipe, out: str, plan: dict[str, Any], item: dict[str, Any]) -> Record:
    """Task: encode the kept documents of unit item["unit_id"] and write its ledger; returns the commit record.

    plan: tokenizer (path below out), its sha256, pretokenizer, num_buckets, duplicates (digest of the dedup result).
    item: unit_id, digest (see finish_digest), need_tokens: the gathered shards are not there, so tokens are wanted.
    """
    unit_id = item["unit_id"]
    uri = shards.join(out, unit_folder(unit_id), "encode.json")
    done = committed(out, uri, item["digest"])
    if done and (not item["need_tokens"] or files_present(out, {"files": done["tokens"]})):
        return {**done, "reused": True}
    tokens = _encode(recipe, out, plan, unit_id)
    entry = _write_ledger(out, unit_id, _duplicates(out, unit_id))
    return write_commit(uri, item["digest"], [entry], unit_id=unit_id, tokens=[asdict(file) for file in tokens])


def finish_digest(recipe: Recipe, plan: dict[str, Any], runs_digest: str, input_sha256: str) -> str:
    """What decides the bytes that finish_unit writes for one unit."""
    return digest_json([VERSION, runs_digest, input_sha256, plan, recipe.seed, recipe.pack.validation_ratio])


def _duplicates(out: str, unit_id: str) -> pa.Table:
    return shards.read_table(shards.join(out, "duplicates", f"{unit_id}.parquet"))


def _encode(recipe: Recipe, out: str, plan: dict[str, Any], unit_id: str) -> list[FileEntry]:
    folder = unit_folder(unit_id)
    tokenizer = load_tokenizer(shards.join(out, plan["tokenizer"]), plan["pretokenizer"])
    writer = EncodeWriter(
        shards.join(out, folder), tokenizer, plan["num_buckets"], recipe.seed, recipe.pack.validation_ratio
    )
    keep = kept_rows(out, unit_id)
    labels = shards.read_table(shards.join(out, folder, "scores.parquet"), ["language.label"])["language.label"]
    for first_row, batch, text in stored_texts(shards.join(out, folder)):
        rows = pa.array(np.flatnonzero(keep[first_row : first_row + batch.num_rows]))
        if len(rows):
            languages = labels.slice(first_row, batch.num_rows)
            writer.add(
                pa.table(
                    {
                        "doc_id": batch["doc_id"].take(rows),
                        "text": text.take(rows),
                        "source": batch["source"].take(rows),
                        "language": languages.take(rows),
                    }
                )
            )
    return [FileEntry(f"{folder}/{file.path}", file.rows, file.bytes, file.sha256) for file in writer.finish()]


def kept_rows(out: str, unit_id: str) -> npt.NDArray[np.bool_]:
    """Boolean (num_records,): kept by the filters and not a duplicate of another."""
    duplicates = _duplicates(out, unit_id)
    decisions = shards.read_table(shards.join(out, unit_folder(unit_id), "decisions.parquet"), ["doc_id", "fate"])
    losers = duplicates.filter(pc.not_equal(duplicates["kind"], "keeper"))["doc_id"]
    kept = pc.and_(pc.equal(decisions["fate"], "kept"), pc.invert(pc.is_in(decisions["doc_id"], value_set=losers)))
    return np.asarray(kept.to_numpy(zero_copy_only=False), bool)


def _write_ledger(out: str, unit_id: str, duplicates: pa.Table) -> FileEntry:
    """Join documents, decisions, scores, duplicates and token counts of a unit; same rows, same order."""
    folder = shards.join(out, unit_folder(unit_id))
    names = [name for name in schemas.RECORD.names if name not in ("text", "reason", "extra")]
    records = shards.read_table(shards.join(folder, "documents.parquet"), names)
    decisions = shards.read_table(shards.join(folder, "decisions.parquet"))
    scores = shards.read_table(shards.join(folder, "scores.parquet"))
    tokens = shards.read_table(shards.join(folder, "tokens.parquet"), ["doc_id", "num_tokens"])
    found = _lookup(decisions["doc_id"], duplicates, "doc_id")
    kind = duplicates["kind"].combine_chunks().take(found)
    loser = pc.fill_null(pc.not_equal(kind, "keeper"), False)
    null = pa.nulls(records.num_rows, pa.string())
    columns = {name: records[name] for name in names}
    columns |= {
        "fate": pc.if_else(loser, "duplicate", decisions["fate"].combine_chunks()),
        "stage": pc.if_else(loser, "dedup", decisions["stage"].combine_chunks()),
        "reason": pc.if_else(
            loser, pc.binary_join_element_wise("dedup", kind, "."), decisions["reason"].combine_chunks()
        ),
        "num_bytes": pc.fill_null(scores["text.num_bytes"], 0),
        "num_tokens": tokens["num_tokens"].combine_chunks().take(_lookup(decisions["doc_id"], tokens, "doc_id")),
        "duplicate_of": pc.if_else(loser, duplicates["kept_doc_id"].combine_chunks().take(found), null),
        "duplicate_kind": pc.if_else(loser, kind, null),
        "jaccard": pc.if_else(loser, duplicates["jaccard"].combine_chunks().take(found), pa.scalar(None, pa.float64())),
        "component_size": pc.fill_null(duplicates["component_size"].combine_chunks().take(found), 1),
    }
    measures = [name for name in scores.column_names if name != "doc_id"]
    schema = pa.schema([*schemas.LEDGER, *(scores.schema.field(name) for name in measures)])
    arrays = [columns[field.name] for field in schemas.LEDGER] + [scores[name] for name in measures]
    table = pa.Table.from_arrays(arrays, names=schema.names).cast(schema)
    return shards.write_table(shards.join(out, "ledger", f"{unit_id}.parquet"), table, f"ledger/{unit_id}.parquet")


def _lookup(values: pa.ChunkedArray, table: pa.Table, column: str) -> pa.Array:
    """Row of each value in table[column], null where it is not there."""
    return pc.index_in(values, value_set=table[column]).combine_chunks()
