"""The last map, over buckets: bring the documents of a bucket together, shuffle, pack. And the tokenizer's place."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.commits import Record, find_committed, write_commit
from corpus.encode import gather_bucket
from corpus.finish import TOKEN_LIBRARIES
from corpus.pack import PackedFile, Settings, pack_bucket
from corpus.recipe import Recipe
from corpus.score import versions
from corpus.texts import final_texts, kept_rows
from corpus.tokenizers import load_tokenizer
from corpus.train_tokenizer import MAX_SAMPLE_BYTES, train_tokenizer, trained_vocab_size
from manifests import shards
from manifests.digest import digest_json, hash_fraction
from manifests.manifest import Shard, TokenizerFacts

COMMIT = "tokenizer.commit.json"


def place_tokenizer(recipe: Recipe, out: str, unit_ids: list[str], kept_bytes: int, decided_by: str) -> Record:
    """Put the corpus's tokenizer file below out: a copy of the recipe's, or one trained on the kept text.

    decided_by: digest of everything that decides which documents are kept; there must be some. Returns `files` (the one
    entry), and as `damaged` what was wrong with the file of an earlier run, which is made again.
    """
    value = recipe.tokenize.tokenizer
    vocab_size = trained_vocab_size(value)
    if vocab_size is None:
        name = "tokenizer.tiktoken" if value.endswith(".tiktoken") else "tokenizer.json"
        return {"files": [asdict(shards.write_bytes(shards.join(out, name), shards.read_bytes(value), name))]}
    digest = digest_json([1, versions(TOKEN_LIBRARIES), vocab_size, recipe.seed, decided_by])
    done, damaged = find_committed(out, shards.join(out, COMMIT), digest)
    if done:
        return done
    ratio = min(1.0, 2.0 * MAX_SAMPLE_BYTES / max(1, kept_bytes))
    texts = _kept_texts(out, unit_ids, ratio, recipe.seed)
    data = train_tokenizer(texts, vocab_size, recipe.seed)
    entry = shards.write_bytes(shards.join(out, "tokenizer.json"), data, "tokenizer.json")
    return {**write_commit(shards.join(out, COMMIT), digest, [entry]), "damaged": damaged}


def _kept_texts(out: str, unit_ids: list[str], ratio: float, seed: int) -> Iterator[pa.Array]:
    """Final texts of kept documents, or of the share `ratio` of them that a hash of their ids picks."""
    for unit_id in unit_ids:
        keep = kept_rows(out, unit_id)
        for first_row, batch, text in final_texts(out, unit_id):
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


def tokens_commit(bucket: int) -> str:
    """Path below out of the commit record of a bucket's token shard."""
    return f"tokens/part-{bucket:05d}.commit.json"


def packed_commit(bucket: int) -> str:
    """Path below out of the commit record of a bucket's packed shards."""
    return f"packed/part-{bucket:05d}.commit.json"


def tokens_done(out: str, item: dict[str, Any]) -> bool:
    """True if the bucket's token shard is there as wanted, so that units need not be encoded for it."""
    uri = shards.join(out, tokens_commit(item["bucket"]))
    return find_committed(out, uri, item["tokens_digest"]).record is not None


def gather_and_pack(
    recipe: Recipe, out: str, plan: dict[str, Any], unit_ids: list[str], item: dict[str, Any]
) -> dict[str, Any]:
    """Task: make the token shard and the packed shards of item["bucket"], each unless it is there as wanted.

    Returns bucket, shards, reused, and as `damaged` what was wrong with files of an earlier run, which are made again.
    """
    gathered = _gather(recipe, out, plan, unit_ids, item)
    packed = _pack(recipe, out, plan, item)
    reused = bool(gathered.get("reused")) and bool(packed.get("reused"))
    damaged = [*gathered.get("damaged", []), *packed.get("damaged", [])]
    made = [*gathered["shards"], *packed["shards"]]
    return {"bucket": item["bucket"], "shards": made, "reused": reused, "damaged": damaged}


def _gather(recipe: Recipe, out: str, plan: dict[str, Any], unit_ids: list[str], item: dict[str, Any]) -> Record:
    uri = shards.join(out, tokens_commit(item["bucket"]))
    done, damaged = find_committed(out, uri, item["tokens_digest"])
    if done:
        return {**done, "reused": True}
    tokenizer = load_tokenizer(shards.join(out, plan["tokenizer"]), plan["pretokenizer"])
    entry = gather_bucket(out, unit_ids, item["bucket"], recipe.seed, tokenizer.token_type)
    counts = shards.read_table(shards.join(out, entry.path), ["num_tokens"])["num_tokens"]
    made = [Shard(**asdict(entry), kind="tokens", split="all", tokens=pc.sum(counts).as_py() or 0)]
    record = write_commit(uri, item["tokens_digest"], [entry], shards=[shard.model_dump() for shard in made])
    return {**record, "damaged": damaged}


def _pack(recipe: Recipe, out: str, plan: dict[str, Any], item: dict[str, Any]) -> Record:
    uri = shards.join(out, packed_commit(item["bucket"]))
    done, damaged = find_committed(out, uri, item["packed_digest"])
    if done:
        return {**done, "reused": True}
    tokenizer = load_tokenizer(shards.join(out, plan["tokenizer"]), plan["pretokenizer"])
    names = [source.name for source in recipe.source]
    settings = Settings(recipe.pack.length, tokenizer.end_of_text_id, names, tokenizer.token_bytes())
    packed = pack_bucket(out, item["bucket"], settings)
    made = [_packed_shard(file).model_dump() for file in packed]
    record = write_commit(uri, item["packed_digest"], [file.entry for file in packed], shards=made)
    return {**record, "damaged": damaged}


def _packed_shard(file: PackedFile) -> Shard:
    return Shard(**asdict(file.entry), kind="packed", split=file.split, tokens=file.num_tokens)
