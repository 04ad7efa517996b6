"""The last map, over buckets: bring the documents of a bucket together, shuffle, pack. And the tokenizer's place."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.commits import Record, committed, write_commit
from corpus.encode import gather_bucket
from corpus.finish import kept_rows
from corpus.pack import PackedFile, Settings, pack_bucket
from corpus.recipe import Recipe
from corpus.score import stored_texts, unit_folder
from corpus.tokenizers import load_tokenizer
from corpus.train_tokenizer import MAX_SAMPLE_BYTES, train_tokenizer, trained_vocab_size
from manifests import shards
from manifests.digest import digest_json, hash_fraction
from manifests.errors import InputError
from manifests.manifest import Shard, TokenizerFacts
from manifests.shards import FileEntry

COMMIT = "tokenizer.commit.json"


def place_tokenizer(recipe: Recipe, out: str, unit_ids: list[str], kept_bytes: int, decided_by: str) -> FileEntry:
    """Put the corpus's tokenizer file below out: a copy of the recipe's, or one trained on the kept text.

    decided_by: digest of everything that decides which documents are kept. Raises InputError if none are.
    """
    value = recipe.tokenize.tokenizer
    vocab_size = trained_vocab_size(value)
    if vocab_size is None:
        name = "tokenizer.tiktoken" if value.endswith(".tiktoken") else "tokenizer.json"
        return shards.write_bytes(shards.join(out, name), shards.read_bytes(value), name)
    digest = digest_json([1, vocab_size, recipe.seed, decided_by])
    if done := committed(out, shards.join(out, COMMIT), digest):
        return FileEntry(**done["files"][0])
    ratio = min(1.0, 2.0 * MAX_SAMPLE_BYTES / max(1, kept_bytes))
    texts = _kept_texts(out, unit_ids, ratio, recipe.seed)
    first = next(texts, None)
    if first is None:
        raise InputError(f"{out}: no document is kept, so there is no text to train a tokenizer on. See the ledger.")
    data = train_tokenizer(_chain(first, texts), vocab_size, recipe.seed)
    entry = shards.write_bytes(shards.join(out, "tokenizer.json"), data, "tokenizer.json")
    write_commit(shards.join(out, COMMIT), digest, [entry])
    return entry


def _chain(first: pa.Array, rest: Iterator[pa.Array]) -> Iterator[pa.Array]:
    yield first
    yield from rest


def _kept_texts(out: str, unit_ids: list[str], ratio: float, seed: int) -> Iterator[pa.Array]:
    """Final texts of kept documents, or of the share `ratio` of them that a hash of their ids picks."""
    for unit_id in unit_ids:
        keep = kept_rows(out, unit_id)
        for first_row, batch, text in stored_texts(shards.join(out, unit_folder(unit_id))):
            kept = keep[first_row : first_row + batch.num_rows]
            if ratio < 1.0:
                ids = batch["doc_id"].to_pylist()
                kept = kept & [hash_fraction(doc_id, "tokenizer", seed) < ratio for doc_id in ids]
            if kept.any():
                yield text.filter(pa.array(kept))


def tokenizer_facts(out: str, path: str, pretokenizer: str | None) -> TokenizerFacts:
    """What the manifest says of the tokenizer file at `path` below out."""
    tokenizer = load_tokenizer(shards.join(out, path), pretokenizer)
    return TokenizerFacts(
        path=path,
        kind=tokenizer.kind,
        pretokenizer=tokenizer.pretokenizer,
        vocab_size=tokenizer.vocab_size,
        end_of_text_id=tokenizer.end_of_text_id,
        token_type=tokenizer.token_type,
        sha256=tokenizer.digest,
    )


def bucket_commit(bucket: int) -> str:
    """Path below out of a bucket's commit record."""
    return f"tokens/part-{bucket:05d}.commit.json"


def gather_and_pack(
    recipe: Recipe, out: str, plan: dict[str, Any], unit_ids: list[str], item: dict[str, Any]
) -> Record:
    """Task: make the token shard and the packed shards of item["bucket"]; returns the commit record."""
    bucket = item["bucket"]
    uri = shards.join(out, bucket_commit(bucket))
    if done := committed(out, uri, item["digest"]):
        return {**done, "reused": True}
    tokenizer = load_tokenizer(shards.join(out, plan["tokenizer"]), plan["pretokenizer"])
    gathered = gather_bucket(out, unit_ids, bucket, recipe.seed, tokenizer.token_type)
    names = [source.name for source in recipe.source]
    settings = Settings(recipe.pack.length, tokenizer.end_of_text_id, names, tokenizer.token_bytes())
    packed = pack_bucket(out, bucket, settings)
    counts = shards.read_table(shards.join(out, gathered.path), ["num_tokens"])["num_tokens"]
    tokens = Shard(**asdict(gathered), kind="tokens", split="all", tokens=pc.sum(counts).as_py() or 0)
    made = [tokens, *(_packed_shard(file) for file in packed)]
    files = [gathered, *(file.entry for file in packed)]
    return write_commit(uri, item["digest"], files, bucket=bucket, shards=[shard.model_dump() for shard in made])


def _packed_shard(file: PackedFile) -> Shard:
    return Shard(**asdict(file.entry), kind="packed", split=file.split, tokens=file.num_tokens)
