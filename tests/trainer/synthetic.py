"""A small corpus made by hand: packed shards of two sources, validation rows, a tokenizer entry, a sealed manifest."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests import shards
from manifests.manifest import File, Manifest, PackingFacts, Shard, SourceFacts, TokenizerFacts, write_manifest
from manifests.schemas import packed_schema
from trainer.config import ModelConfig, ScheduleConfig, TrainConfig
from trainer.packed import PackedRows, form_of, packed_shards

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
        padded = tokens + [END_OF_TEXT] * (length + 1 - len(tokens))
        columns["tokens"].append(np.array(padded, "<u2").tobytes())
        columns["segment_doc"].append([doc for doc, _, _ in row.segments])
        columns["segment_source"].append([source for _, source, _ in row.segments])
        columns["segment_length"].append([len(ids) for _, _, ids in row.segments])
        columns["segment_language"].append([-1 for _ in row.segments])
        columns["segment_quality"].append([-1 for _ in row.segments])
        columns["segment_bytes"].append([3 * int(np.count_nonzero(ids)) for _, _, ids in row.segments])
        columns["segment_start"].append([0 for _ in row.segments])
    return pa.table(columns, schema=packed_schema(pa.uint16(), length))


def _write_shards(folder: Path, split: str, bucket: int, rows: list[Segments], length: int) -> list[Shard]:
    """The rows of a bucket, in a shard for each source that a row begins with; without rows an empty shard."""
    sources = sorted({row.segments[0][1] for row in rows}) or [0]
    found = []
    for source in sources:
        path = f"packed/{length}/{split}-{source:04d}-{bucket:05d}.parquet"
        mine = [row for row in rows if row.segments[0][1] == source]
        entry = shards.write_table(shards.join(str(folder), path), table_of(mine, length), path)
        tokens = sum(len(ids) for row in mine for _, _, ids in row.segments)
        facts = {"path": path, "rows": entry.rows, "bytes": entry.bytes, "sha256": entry.sha256, "tokens": tokens}
        found.append(Shard.model_validate({**facts, "kind": "packed", "split": split, "source": SOURCES[source]}))
    return found


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
    buckets = [("train", number, rows) for number, rows in enumerate(train_shards)]
    entries = [
        shard
        for split, bucket, rows in [*buckets, ("validation", 0, validation)]
        for shard in _write_shards(folder, split, bucket, rows, length)
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


def sources_corpus(
    folder: Path, num_even: int, num_odd: int, length: int = 8, vocab_size: int = 64, name: str = "synthetic"
) -> Manifest:
    """A corpus without validation rows; each row is one document, of the source even or odd, in two buckets."""
    buckets: list[list[Segments]] = [[], []]
    for source, num_rows in enumerate((num_even, num_odd)):
        for row in range(num_rows):
            ids = (*(1 + (row * 3 + i) % (vocab_size - 1) for i in range(length - row % 2)), END_OF_TEXT)
            buckets[row % 2].append(Segments(((f"{SOURCES[source]}-{row:06d}", source, ids),)))
    manifest = make_corpus(folder, buckets, [], length, vocab_size)
    return write_manifest(str(folder), manifest.model_copy(update={"name": name}))


def train_rows(folder: Path, manifest: Manifest) -> PackedRows:
    """A reader of the training split."""
    return PackedRows(packed_shards(str(folder), manifest, "train", 0, np.array([-1])), form_of(manifest))


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
