"""Corpora that are made from another one's tokenizer and packed rows, without a build."""

from collections.abc import Sequence
from typing import Any

from manifests import shards
from manifests.manifest import File, Manifest, Shard, write_manifest


def write_derived(out: str, parent_root: str, parent: Manifest, packed: Sequence[Shard], **facts: Any) -> Manifest:
    """Seal a corpus of the packed shards, which lie below `out`, and the parent's tokenizer, which is copied there.

    facts: fields of the manifest that differ from the parent's, such as name and recipe. It has no ledger, units or
    report, so that nothing but training and measuring reads it.
    """
    path = parent.tokenizer.path
    entry = shards.write_bytes(shards.join(out, path), shards.read_bytes(shards.join(parent_root, path)), path)
    num_rows, num_tokens = sum(shard.rows for shard in packed), sum(shard.tokens for shard in packed)
    packing = {
        "num_rows": num_rows,
        "num_validation_rows": sum(shard.rows for shard in packed if shard.split == "validation"),
        "num_tokens": num_tokens,
        "efficiency": round(num_tokens / max(1, num_rows * (parent.packing.length + 1)), 6),
    }
    changes = {
        "shards": list(packed),
        "files": [File(path=path, rows=0, bytes=entry.bytes, sha256=entry.sha256)],
        "packing": parent.packing.model_copy(update=packing),
        "parents": [parent.digest],
        "recipe_digest": "",
        "units": [],
        "counts": {},
        "side_files": [],
        "run": {},
    }
    return write_manifest(out, parent.model_copy(update={**changes, **facts}))
