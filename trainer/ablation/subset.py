"""A corpus that is a random part of another's training rows: the control for a corpus that filtering made smaller.

Whole packed rows are taken, so that it is read, trained on and explained as any corpus.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests import shards
from manifests.errors import RecipeError
from manifests.manifest import NAME, Manifest, Shard, corpus_root, read_manifest
from manifests.shards import TableWriter
from trainer.ablation.derive import write_derived
from trainer.order import permute


def train_tokens(manifest: Manifest) -> int:
    """Document tokens of the training rows."""
    return sum(shard.tokens for shard in manifest.packed("train"))


def train_rows(manifest: Manifest) -> int:
    """Packed rows to train on."""
    return sum(shard.rows for shard in manifest.packed("train"))


def write_subset(path: str, num_tokens: int, seed: int, out: str) -> Manifest:
    """Write a corpus below `out` with rows drawn from the training rows of another; it has no validation rows.

    Rows are taken in the order of a permutation keyed by the seed while their tokens come to num_tokens at most, so
    less than a row is missing. Nothing is drawn again if the manifest is there. Raises RecipeError if num_tokens is
    not between those of one row and those of all.
    """
    root, parent = corpus_root(path), read_manifest(path)
    recipe = {"subset_of": parent.digest, "num_tokens": num_tokens, "seed": seed}
    if shards.exists(shards.join(out, NAME)):
        made = read_manifest(out)
        if made.recipe == recipe:
            return made
    packed = parent.packed("train")
    chosen = _choose([_row_tokens(shards.join(root, shard.path)) for shard in packed], num_tokens, seed)
    if not any(rows.any() for rows in chosen):
        raise RecipeError(f"{root}: no row has {num_tokens} tokens or fewer: there is no part of that size.")
    written = [_write_rows(root, shard, rows, out) for shard, rows in zip(packed, chosen, strict=True) if rows.any()]
    return write_derived(out, root, parent, written, name=f"part of {parent.name}", recipe=recipe)


def _row_tokens(uri: str) -> npt.NDArray[np.int64]:
    """int64 (num_rows,): document tokens of each row of a packed shard."""
    counts = [np.empty(0, np.int64)]
    for group in shards.row_groups(uri, ["segment_length"]):
        lengths = group["segment_length"].combine_chunks()
        ends = np.cumsum(np.concatenate([[0], lengths.flatten().to_numpy()]), dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(lengths).to_numpy())])
        counts.append(np.diff(ends[offsets]))
    return np.concatenate(counts)


def _choose(row_tokens: list[npt.NDArray[np.int64]], num_tokens: int, seed: int) -> list[npt.NDArray[np.bool_]]:
    """Which rows of each shard are taken."""
    tokens = np.concatenate(row_tokens)
    order = permute(np.arange(len(tokens), dtype=np.int64), len(tokens), f"subset\0{seed}")
    chosen = np.zeros(len(tokens), np.bool_)
    chosen[order[np.cumsum(tokens[order]) <= num_tokens]] = True
    return np.split(chosen, np.cumsum([len(rows) for rows in row_tokens])[:-1])


def _write_rows(root: str, shard: Shard, rows: npt.NDArray[np.bool_], out: str) -> Shard:
    """The chosen rows of a shard, in storage order, under the shard's path below `out`."""
    uri = shards.join(root, shard.path)
    num_tokens, start = 0, 0
    with shards.open_parquet(uri) as file:
        schema = file.schema_arrow
    with TableWriter(shards.join(out, shard.path), schema, path=shard.path) as writer:
        for group in shards.row_groups(uri):
            some = group.filter(pa.array(rows[start : start + group.num_rows]))
            start += group.num_rows
            num_tokens += int(pc.sum(pc.list_flatten(some["segment_length"])).as_py() or 0)
            writer.write(some)
    assert writer.entry is not None
    entry = writer.entry
    facts = {"rows": entry.rows, "bytes": entry.bytes, "sha256": entry.sha256, "tokens": num_tokens}
    return shard.model_copy(update=facts)
