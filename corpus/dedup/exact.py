"""Exact duplicates: documents whose final texts are equal byte by byte."""

from itertools import pairwise
from typing import Any

import numpy as np
import xxhash

from corpus.dedup.components import forest, stars
from corpus.dedup.runs import UInt64s, nodes_of, read_run, uint32s, uint64s
from corpus.dedup.work import Work
from filters.kernels.buffers import TextBuffers


def exact_keys(text: TextBuffers) -> tuple[UInt64s, UInt64s]:
    """High and low half of each text's xxh3-128, each uint64 (num_documents,).

    One call a document costs half a microsecond, which is nothing beside the hashing of a page's text.
    """
    data = memoryview(text.data)  # type: ignore[arg-type]
    # The canonical form of a digest is big-endian.
    digests = [xxhash.xxh3_128_digest(data[start:end]) for start, end in pairwise(text.offsets.tolist())]
    halves = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2).astype(np.uint64)
    return halves[:, 0], halves[:, 1]


def pair_exact(item: dict[str, Any]) -> dict[str, Any]:
    """Merge one partition of all units' exact runs; writes the pairs (first document, other with the same text).

    item: `out`, `partition`. Returns {}.
    """
    work = Work.open(item["out"])
    high, low, nodes = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for ordinal in range(len(work.unit_ids)):
        run = read_run(work.unit_file(ordinal, "exact.parquet"), item["partition"], work.partitions)
        high.append(uint64s(run, "key_hi"))
        low.append(uint64s(run, "key_lo"))
        nodes.append(nodes_of(ordinal, uint32s(run, "row")))
    keys = (np.concatenate(low), np.concatenate(high))
    # A stable sort of sorted runs, laid out by unit: nodes rise within equal keys.
    order = np.lexsort(keys)
    firsts, others = stars([keys[1][order], keys[0][order]], np.concatenate(nodes)[order])
    work.write_pairs(f"exact-{item['partition']:05}.parquet", *forest(firsts, others))
    return {}
