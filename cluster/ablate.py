"""`gristmill ablate`: held-out texts made into corpora, and what the command prints kept beside the result."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from io import StringIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from cluster import show, show_ablation
from corpus.pack import PackedFile, Settings, pack_bucket
from corpus.slices import Slices
from corpus.tokenizers import load_tokenizer
from manifests import shards
from manifests.digest import document_id
from manifests.manifest import Manifest, Shard, SourceFacts, corpus_root
from manifests.schemas import tokens_schema
from trainer.ablate import Ablation, ablate
from trainer.ablation.derive import write_derived
from trainer.ablation.plan import Plan, check
from trainer.evaluation.items import TextItem, read_items

SUMMARY = "ablation.txt"
TEXT_FILES = (".jsonl", ".jsonl.gz", ".jsonl.zst")


def run_ablation(plan: Plan, out: str, report: Callable[[str], None]) -> Ablation:
    """Ablate, where plan.held_out may also name JSON Lines files; keeps what is printed as DIR/ablation.txt.

    Raises what trainer.ablate.ablate raises, RecipeError for a wrong line of such a file.
    """
    baseline = check(plan)[0]
    held_out = [
        held_out_corpus(path, plan.corpora[0], baseline, out) if path.endswith(TEXT_FILES) else path
        for path in plan.held_out
    ]
    result = ablate(replace(plan, held_out=tuple(held_out)), out, report)
    text = StringIO()
    show_ablation.ablation(Console(file=text, width=show.PIPED_WIDTH), result)
    shards.write_bytes(shards.join(out, SUMMARY), text.getvalue().encode("utf-8"))
    return result


def held_out_corpus(path: str, baseline_path: str, baseline: Manifest, out: str) -> str:
    """Pack the texts of a JSON Lines file as a corpus of validation rows below `out`; returns its folder.

    They are encoded with the baseline's tokenizer and packed as a build does; the key `slice` of a text, or else the
    file's name, is its source. A document's id is made of the file's name and the text's number.
    """
    name = os.path.basename(path).split(".jsonl")[0]
    folder = shards.join(out, "held_out", name)
    items = read_items(path, TextItem)
    slices = [item.slice or name for item in items]
    root, sources = corpus_root(baseline_path), sorted(set(slices))
    tokenizer = load_tokenizer(shards.join(root, baseline.tokenizer.path), baseline.tokenizer.pretokenizer)
    texts = pa.array([item.text for item in items], pa.large_string())
    tokens, offsets = tokenizer.encode(texts)
    schema = tokens_schema(pa.type_for_alias(tokenizer.token_type))
    columns = {
        "doc_id": [document_id(name, path.rsplit("/", 1)[-1], number) for number in range(len(items))],
        "tokens": pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(tokens), type=schema.field("tokens").type),
        "num_tokens": np.diff(offsets),
        "num_bytes": pc.binary_length(texts).cast(pa.int64()),
        "source": slices,
        "language": pa.nulls(len(items), pa.string()),
        "quality": pa.nulls(len(items), pa.float64()),
        "split": ["validation"] * len(items),
    }
    shards.write_table(shards.join(folder, "tokens/part-00000.parquet"), pa.table(columns, schema=schema))
    settings = Settings(
        baseline.packing.length, tokenizer.end_of_text_id, sources, Slices([], []), tokenizer.token_bytes()
    )
    packed = [_shard(file) for file in pack_bucket(folder, 0, settings)]
    shards.remove(shards.join(folder, "tokens"))
    facts = [_source(source, slices) for source in sources]
    write_derived(folder, root, baseline, packed, name=name, recipe={"texts": name}, sources=facts)
    return folder


def _shard(file: PackedFile) -> Shard:
    facts = asdict(file.entry)
    return Shard(kind="packed", split=file.split, tokens=file.num_tokens, source=file.source, **facts)


def _source(name: str, slices: Sequence[str]) -> SourceFacts:
    return SourceFacts(name=name, format="jsonl", licence="", num_units=1, num_records=slices.count(name), bytes=0)
