"""Texts that compared models are measured on: the same for all, none of them in what any was trained on.

A held-out set is the validation split of a corpus. Each model's losses on it are kept by document, so that which
documents count, and in which slices, is decided after the models are trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import nn

from manifests import shards
from manifests.errors import RecipeError
from manifests.manifest import Manifest, Shard, corpus_root, read_manifest
from manifests.schemas import token_rows
from trainer.evaluation.slices import QUALITY_DECILES, UNKNOWN, target_bytes
from trainer.objectives.causal import Causal
from trainer.packed import validation_rows

# Of fewer documents a slice says little, and each slice makes the correction for many comparisons stricter.
MIN_SLICE_DOCUMENTS = 10
SLICES = ("source", "language", "quality")

LOSSES = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),  # documents in the order of their first row
        pa.field("source", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),  # "unknown" where it is
        pa.field("quality", pa.string(), nullable=False),  # decile 0 to 9 within the held-out set's corpus, or unknown
        pa.field("num_targets", pa.float64(), nullable=False),  # tokens that are predicted
        pa.field("num_bytes", pa.float64(), nullable=False),  # UTF-8 bytes that they stand for
        pa.field("nats", pa.float64(), nullable=False),  # sum of their losses
    ]
)


@dataclass(frozen=True)
class HeldOut:
    """The validation split of the corpus at `path`."""

    name: str
    path: str

    @cached_property
    def manifest(self) -> Manifest:
        """The corpus's manifest. Raises RecipeError where it has no validation rows."""
        manifest = read_manifest(self.path)
        if not manifest.packing.num_validation_rows:
            raise RecipeError(
                f"{self.path}: the corpus has no validation rows to measure on. Build it with a higher [pack] "
                "validation_ratio, or name other held-out texts with --eval."
            )
        return manifest

    @property
    def packed(self) -> list[Shard]:
        """The shards of the split."""
        return self.manifest.packed("validation")


@torch.no_grad()
def losses_by_document(model: nn.Module, held_out: HeldOut, micro_batch: int, device: torch.device) -> pa.Table:
    """A decoder's losses on each document of a held-out set, in full precision; schema LOSSES.

    model: (tokens_BT, segment_BT) -> logits_BTV. A document of several rows is one row of the result.
    """
    reader = validation_rows(corpus_root(held_out.path), held_out.manifest)
    assert reader is not None
    names = _Names(held_out.manifest)
    parts = []
    for start in range(0, reader.num_rows, micro_batch):
        batch = reader.read(np.arange(start, min(start + micro_batch, reader.num_rows), dtype=np.int64))
        objective = Causal()
        losses = objective.losses(model, objective.tensors(batch, device))
        nats, num_targets = losses.by_segment(batch.total_segments).cpu().numpy()
        columns = {
            "source": names.source.take(pa.array(batch.segment_source)),
            "language": names.language.take(pa.array(batch.segment_language + 1)),
            "quality": names.quality.take(pa.array(batch.segment_quality + 1)),
            "num_targets": num_targets,
            "num_bytes": target_bytes(objective, batch, held_out.manifest.tokenizer.end_of_text_id),
            "nats": nats,
        }
        parts.append(pa.table(columns))
    segments = pa.concat_tables(parts).add_column(0, "doc_id", _documents(held_out))
    firsts, sums = LOSSES.names[1:4], LOSSES.names[4:]
    wanted = [*((name, "first") for name in firsts), *((name, "sum") for name in sums)]
    table = segments.group_by("doc_id", use_threads=False).aggregate(wanted)
    names_found = ["doc_id", *(f"{name}_{how}" for name, how in wanted)]
    return pa.Table.from_arrays([table[name].combine_chunks() for name in names_found], names=LOSSES.names).cast(LOSSES)


class _Names:
    """Names by number + 1; the first is that of an unknown one."""

    def __init__(self, manifest: Manifest) -> None:
        self.source = pa.array([source.name for source in manifest.sources])
        self.language = pa.array([UNKNOWN, *manifest.packing.languages])
        self.quality = pa.array([UNKNOWN, *QUALITY_DECILES])


def documents_of(held_out: HeldOut) -> set[str]:
    """The ids of a held-out set's documents."""
    return set(_documents(held_out).to_pylist())


def _documents(held_out: HeldOut) -> pa.ChunkedArray:
    """doc_id of each segment, in the order of rows."""
    root = corpus_root(held_out.path)
    groups = [
        pc.list_flatten(group["segment_doc"])
        for shard in held_out.packed
        for group in shards.row_groups(shards.join(root, shard.path), ["segment_doc"])
    ]
    return pa.chunked_array([chunk for group in groups for chunk in group.chunks], pa.string())


def slices(losses: pa.Table, counted: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.bool_]]:
    """Which documents are in which slice: "all", and "source NAME" and the like where a set has several.

    losses: schema LOSSES; counted: bool (num_documents,), the documents that may be in any. Slices of fewer than
    MIN_SLICE_DOCUMENTS documents are left out.
    """
    found = {"all": counted}
    for kind in SLICES:
        values = losses[kind].to_numpy(zero_copy_only=False)
        names = sorted(set(values[counted].tolist()))
        if len(names) > 1:
            found |= {f"{kind} {name}": counted & (values == name) for name in names}
    return {name: mask for name, mask in found.items() if name == "all" or mask.sum() >= MIN_SLICE_DOCUMENTS}


@dataclass(frozen=True)
class Overlap:
    """Ids of held-out documents that a training split has: the id itself, or a segment with the same tokens."""

    by_id: frozenset[str]
    by_text: frozenset[str]


def overlaps(held_out: Sequence[HeldOut], path: str) -> list[Overlap]:
    """Look for the documents of each held-out set in the training split of the corpus at `path`, of the same tokenizer.

    Reads that split once, a row group at a time; the tokens of the sets are held. Near-duplicates are not looked for.
    """
    ids: dict[str, set[int]] = {}  # doc_id -> numbers of the sets that have it
    texts: dict[bytes, set[tuple[int, str]]] = {}  # tokens of a segment -> (number of the set, doc_id)
    for number, one in enumerate(held_out):
        for segments in _segments(corpus_root(one.path), one.manifest, "validation"):
            for doc_id, text in zip(*segments, strict=True):
                ids.setdefault(doc_id, set()).add(number)
                texts.setdefault(text, set()).add((number, doc_id))
    same_id: set[tuple[int, str]] = set()
    same_text: set[tuple[int, str]] = set()
    for doc_ids, found in _segments(corpus_root(path), read_manifest(path), "train"):
        same_id |= {(number, doc_id) for doc_id in ids.keys() & set(doc_ids) for number in ids[doc_id]}
        same_text |= {document for text in texts.keys() & set(found) for document in texts[text]}
    return [Overlap(_of_set(same_id, number), _of_set(same_text, number)) for number in range(len(held_out))]


def _of_set(documents: set[tuple[int, str]], number: int) -> frozenset[str]:
    return frozenset(doc_id for of_set, doc_id in documents if of_set == number)


def _segments(
    root: str, manifest: Manifest, split: Literal["train", "validation"]
) -> Iterator[tuple[list[str], list[bytes]]]:
    """For each row group of a split: doc_id, and the tokens' bytes, of each segment."""
    for shard in manifest.packed(split):
        columns = ["tokens", "segment_doc", "segment_length"]
        for group in shards.row_groups(shards.join(root, shard.path), columns):
            yield pc.list_flatten(group["segment_doc"]).to_pylist(), _token_bytes(group, manifest.tokenizer.token_type)


def _token_bytes(group: pa.Table, token_type: str) -> list[bytes]:
    rows = token_rows(group["tokens"], token_type)
    lengths = group["segment_length"].combine_chunks()
    length = lengths.flatten().to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(group)), pc.list_value_length(lengths).to_numpy())
    ends = np.cumsum(length)
    before_row = np.concatenate([[0], ends])[np.searchsorted(row, row)]
    start = row * rows.shape[1] + ends - length - before_row
    width, buffer = rows.itemsize, rows.tobytes()
    return [buffer[a * width : b * width] for a, b in zip(start.tolist(), (start + length).tolist(), strict=True)]
