"""The last map, over buckets: bring the documents of a bucket together, shuffle, pack. And the tokenizer's place."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus import removed
from corpus.commits import Record, check_entry, entries, find_committed, find_wanted, read_commit, write_commit
from corpus.encode import gather_bucket
from corpus.finish import TOKEN_LIBRARIES
from corpus.pack import PackedFile, Settings, pack_bucket
from corpus.recipe import Recipe
from corpus.score import versions
from corpus.slices import Slices
from corpus.texts import final_texts, kept_rows
from corpus.tokenizers import load_tokenizer
from corpus.train_tokenizer import MAX_SAMPLE_BYTES, train_tokenizer, trained_vocab_size
from manifests import shards
from manifests.digest import digest_json, hash_fraction
from manifests.errors import IntegrityError
from manifests.manifest import Manifest, Shard, TokenizerFacts
from manifests.shards import FileEntry

COMMIT = "tokenizer.commit.json"
# Which units, in which state, the token shards were made from; written when all of them are.
STATE = "tokens/commit.json"
# Raise it when packing gives other rows for the same tokens.
PACK_VERSION = 4


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
    if damaged and shards.exists(shards.join(out, removed.COMMIT)):
        raise IntegrityError(
            f"{out}/{damaged[0]}. Documents were taken out of this corpus since it was trained, so that it cannot be "
            "made again: put back the file of the older corpus."
        )
    ratio = min(1.0, 2.0 * MAX_SAMPLE_BYTES / max(1, kept_bytes))
    texts = _kept_texts(out, unit_ids, ratio, recipe.seed)
    data = train_tokenizer(texts, vocab_size, recipe.seed)
    entry = shards.write_bytes(shards.join(out, "tokenizer.json"), data, "tokenizer.json")
    return {**write_commit(shards.join(out, COMMIT), digest, [entry]), "damaged": damaged}


def keep_tokenizer(out: str, parent: Manifest) -> Record:
    """The tokenizer file below out, which must be that of the parent. Returns `files`, as place_tokenizer does.

    Raises IntegrityError if it is another one: token ids would change under a trainer.
    """
    (entry,) = (FileEntry(**file.model_dump()) for file in parent.files if file.path == parent.tokenizer.path)
    check_entry(out, entry)
    return {"files": [asdict(entry)]}


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


def tokens_state(plan: dict[str, Any], commits: dict[str, Record], digests: dict[str, str]) -> Record:
    """What the token shards are to be made from: `digest` of it all, and of each of `units` two digests.

    commits, digests: of the units, of scoring and of finish_digest. The second digest is of a unit's records: while it
    stays, so do the ids of its documents.
    """
    units = {}
    for unit_id, record in commits.items():
        units[unit_id] = [digests[unit_id], digest_json([record["input"]["sha256"], record["steps"]["text"]])]
    return {"digest": digest_json([plan, units]), "units": units}


def held_units(out: str, num_buckets: int, state: Record) -> set[str]:
    """The units whose tokens the token shards hold as wanted, so that they need not be encoded again.

    None, unless each shard is sound and as a build left it that finished them all, or as wanted already; and unless all
    that may be in them can be told from what belongs to changed units.
    """
    last = read_commit(shards.join(out, STATE)) or {"digest": "", "units": {}}
    found = set()
    for bucket in range(num_buckets):
        uri = shards.join(out, tokens_commit(bucket))
        record = find_wanted(out, uri, lambda record: record.get("state") in (last["digest"], state["digest"])).record
        if record is None:
            return set()
        found.add(record["state"])
    if found == {state["digest"]}:
        return set(state["units"])
    for unit_id, (_, records) in last["units"].items():
        if unit_id not in state["units"] or state["units"][unit_id][1] != records:
            return set()
    return {unit_id for unit_id, digests in state["units"].items() if last["units"].get(unit_id) == digests}


def bucket_items(
    recipe: Recipe, plan: dict[str, Any], records: dict[str, Record], state: Record, slices: Slices, others_stay: bool
) -> list[Record]:
    """Items of gather_and_pack. records: of finish_unit, by unit id. A bucket's digest is of what is in it alone."""
    names = [source.name for source in recipe.source]
    settings = [PACK_VERSION, recipe.pack.model_dump(mode="json"), names, asdict(slices)]
    parts = [records[unit_id]["parts"] for unit_id in sorted(records)]
    items = []
    for bucket in range(plan["num_buckets"]):
        mine = [part[bucket] for part in parts if part[bucket]]
        tokens_digest = digest_json([plan, versions(TOKEN_LIBRARIES), recipe.seed, mine])
        item = {"bucket": bucket, "state": state["digest"], "others_stay": others_stay}
        packed_digest = digest_json([tokens_digest, settings])
        items.append({**item, "tokens_digest": tokens_digest, "packed_digest": packed_digest})
    return items


def gather_and_pack(
    recipe: Recipe, out: str, plan: dict[str, Any], changed: list[str], slices: Slices, item: dict[str, Any]
) -> dict[str, Any]:
    """Task: make the token shard and the packed shards of item["bucket"], each unless it is there as wanted.

    changed: the units to take documents from; item["others_stay"]: those of the others stay in the shard as it is.
    Returns bucket, shards, reused, and as `damaged` what was wrong with files of an earlier run, which are made again.
    """
    gathered = _gather(recipe, out, plan, changed, item)
    packed = _pack(recipe, out, plan, slices, item)
    reused = bool(gathered.get("reused")) and bool(packed.get("reused"))
    damaged = [*gathered.get("damaged", []), *packed.get("damaged", [])]
    made = [*gathered["shards"], *packed["shards"]]
    return {"bucket": item["bucket"], "shards": made, "reused": reused, "damaged": damaged}


def _gather(recipe: Recipe, out: str, plan: dict[str, Any], changed: list[str], item: dict[str, Any]) -> Record:
    uri = shards.join(out, tokens_commit(item["bucket"]))
    digest, state = item["tokens_digest"], item["state"]
    done, damaged = find_committed(out, uri, digest)
    if done:
        if done["state"] != state:
            write_commit(uri, digest, entries(done), shards=done["shards"], state=state)
        return {**done, "reused": True}
    tokenizer = load_tokenizer(shards.join(out, plan["tokenizer"]), plan["pretokenizer"])
    entry = gather_bucket(
        out, changed, item["bucket"], recipe.seed, tokenizer.token_type, others_stay=item["others_stay"]
    )
    counts = shards.read_table(shards.join(out, entry.path), ["num_tokens"])["num_tokens"]
    made = [Shard(**asdict(entry), kind="tokens", split="all", tokens=pc.sum(counts).as_py() or 0)]
    record = write_commit(uri, digest, [entry], shards=[shard.model_dump() for shard in made], state=state)
    return {**record, "damaged": damaged}


def _pack(recipe: Recipe, out: str, plan: dict[str, Any], slices: Slices, item: dict[str, Any]) -> Record:
    uri = shards.join(out, packed_commit(item["bucket"]))
    done, damaged = find_committed(out, uri, item["packed_digest"])
    if done:
        return {**done, "reused": True}
    tokenizer = load_tokenizer(shards.join(out, plan["tokenizer"]), plan["pretokenizer"])
    names = [source.name for source in recipe.source]
    settings = Settings(recipe.pack.length, tokenizer.end_of_text_id, names, slices, tokenizer.token_bytes())
    packed = pack_bucket(out, item["bucket"], settings)
    made = [_packed_shard(file).model_dump() for file in packed]
    record = write_commit(uri, item["packed_digest"], [file.entry for file in packed], shards=made)
    return {**record, "damaged": damaged}


def _packed_shard(file: PackedFile) -> Shard:
    return Shard(**asdict(file.entry), kind="packed", split=file.split, tokens=file.num_tokens, source=file.source)
