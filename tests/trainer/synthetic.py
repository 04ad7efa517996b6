"""A small corpus made by hand: packed shards of two sources, validation rows, a tokenizer entry, a sealed manifest."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests import shards
from manifests.manifest import File, Manifest, PackingFacts, Shard, SourceFacts, TokenizerFacts, write_manifest
from manifests.schemas import packed_schema
from trainer.config import ModelConfig, ScheduleConfig, TrainConfig

END_OF_TEXT = 0
SOURCES = ("even", "odd")


@dataclass(frozen=True)
class Segments:
    """One row: (doc_id, source number, token ids) of each segment; the row is padded with end of text."""

    segments: tuple[tuple[str, int, tuple[int, ...]], ...]


def counting_row(row: int, length: int, vocab_size: int) -> Segments:
    """Two documents that count upwards by 1 (source 0) and by 2 (source 1), with padding after them.

    The starts differ by row, so rows differ; what follows each token is learnt in a few steps.
    """
    first = length // 2 + row % 3
    second = length - first - row % 2
    words = vocab_size - 1
    one = [1 + (row * 7 + i) % words for i in range(first - 1)] + [END_OF_TEXT]
    two = [1 + (row * 5 + 2 * i) % words for i in range(second - 1)] + [END_OF_TEXT]
    return Segments(((f"even-{row:06d}", 0, tuple(one)), (f"odd-{row:06d}", 1, tuple(two))))


def table_of(rows: list[Segments], length: int) -> pa.Table:
    """Rows as a table of the packed schema; every text token stands for three bytes."""
    columns: dict[str, list[object]] = {name: [] for name in packed_schema(pa.uint16(), length).names}
    for row in rows:
        tokens = [token for _, _, ids in row.segments for token in ids]
        columns["tokens"].append(tokens + [END_OF_TEXT] * (length + 1 - len(tokens)))
        columns["segment_doc"].append([doc for doc, _, _ in row.segments])
        columns["segment_source"].append([source for _, source, _ in row.segments])
        columns["segment_length"].append([len(ids) for _, _, ids in row.segments])
        columns["segment_language"].append([-1 for _ in row.segments])
        columns["segment_quality"].append([-1 for _ in row.segments])
        columns["segment_bytes"].append([3 * int(np.count_nonzero(ids)) for _, _, ids in row.segments])
        if "segment_start" in columns:
            columns["segment_start"].append([0 for _ in row.segments])
    return pa.table(columns, schema=packed_schema(pa.uint16(), length))


def _write_shard(folder: Path, split: str, name: str, rows: list[Segments], length: int) -> Shard:
    path = f"packed/{length}/{name}.parquet"
    entry = shards.write_table(shards.join(str(folder), path), table_of(rows, length), path)
    tokens = sum(len(ids) for row in rows for _, _, ids in row.segments)
    facts = {"path": path, "rows": entry.rows, "bytes": entry.bytes, "sha256": entry.sha256}
    return Shard.model_validate({**facts, "kind": "packed", "split": split, "tokens": tokens})


def _packing(length: int, num_rows: int, num_validation_rows: int, num_tokens: int) -> PackingFacts:
    return PackingFacts(
        length=length,
        num_rows=num_rows,
        num_validation_rows=num_validation_rows,
        num_tokens=num_tokens,
        efficiency=num_tokens / (max(1, num_rows + num_validation_rows) * (length + 1)),
    )


def make_corpus(
    folder: Path, train_shards: list[list[Segments]], validation: list[Segments], length: int, vocab_size: int
) -> Manifest:
    """Write the shards and the manifest of a corpus with these rows below the folder."""
    named = [("train", f"part-{number:05d}", rows) for number, rows in enumerate(train_shards)]
    entries = [
        _write_shard(folder, split, name, rows, length)
        for split, name, rows in [*named, ("validation", "validation-00000", validation)]
    ]
    tokenizer = shards.write_bytes(shards.join(str(folder), "tokenizer.json"), b"{}", "tokenizer.json")
    num_rows = sum(len(rows) for rows in train_shards)
    manifest = Manifest(
        name="synthetic",
        seed=0,
        recipe={},
        recipe_digest="",
        sources=[
            SourceFacts(name=name, format="text", licence="CC0", num_units=1, num_records=num_rows, bytes=0)
            for name in SOURCES
        ],
        units=[],
        shards=entries,
        files=[File(path=tokenizer.path, rows=0, bytes=tokenizer.bytes, sha256=tokenizer.sha256)],
        tokenizer=TokenizerFacts(
            path=tokenizer.path,
            kind="tokenizer.json",
            pretokenizer=None,
            vocab_size=vocab_size,
            end_of_text_id=END_OF_TEXT,
            token_type="uint16",
            sha256=tokenizer.sha256,
        ),
        packing=_packing(length, num_rows, len(validation), sum(shard.tokens for shard in entries)),
        models={},
        counts={},
        schemas={},
        versions={},
    )
    return write_manifest(str(folder), manifest)


def counting_corpus(
    folder: Path, num_rows: int = 24, num_validation: int = 5, length: int = 32, vocab_size: int = 64
) -> Manifest:
    """A corpus of counting rows in two train shards of unequal size."""
    rows = [counting_row(row, length, vocab_size) for row in range(num_rows)]
    validation = [counting_row(1000 + row, length, vocab_size) for row in range(num_validation)]
    third = num_rows // 3
    return make_corpus(folder, [rows[:third], rows[third:]], validation, length, vocab_size)


def small_config(**changes: object) -> TrainConfig:
    """Twenty steps of a model that learns the counting corpus in well under a second."""
    model = ModelConfig(layers=1, width=16, heads=2, kv_heads=1, hidden=32)
    schedule = ScheduleConfig(warmup_steps=2)
    settings = {
        "precision": "fp32",
        "steps": 20,
        "global_batch": 4,
        "checkpoint_every": 5,
        "eval_every": 10,
        "report_every": 1,
    }
    return TrainConfig.model_validate({"model": model, "schedule": schedule, **settings, **changes})
