"""Near-duplicates: documents that share a band of their MinHash signatures."""

from typing import Any

import numpy as np

from corpus.dedup.components import forest, stars
from corpus.dedup.runs import nodes_of, read_run, read_unit, rows_of, uint32s, uint64s
from corpus.dedup.work import EXACT_LOSERS, Work


def pair_near(item: dict[str, Any]) -> dict[str, Any]:
    """Merge one partition of all units' band runs, without copies of equal texts; writes pairs that connect them.

    A bucket of n documents gives n - 1 pairs (its first with each other), not n * (n - 1) / 2: the components are the
    same, and a page found a million times costs a million. item: `out`, `partition`. Returns {}.
    """
    work = Work.open(item["out"])
    keys, nodes = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for ordinal in range(len(work.unit_ids)):
        run = read_run(work.unit_file(ordinal, "bands.parquet"), item["partition"], work.partitions)
        rows = uint32s(run, "row")
        losers = rows_of(uint64s(read_unit(work.file(EXACT_LOSERS), ordinal), "node"))
        stay = ~np.isin(rows, losers)
        keys.append(uint64s(run, "key")[stay])
        nodes.append(nodes_of(ordinal, rows[stay]))
    # A stable sort of sorted runs, laid out by unit: nodes rise within equal keys.
    order = np.argsort(np.concatenate(keys), kind="stable")
    firsts, others = stars([np.concatenate(keys)[order]], np.concatenate(nodes)[order])
    work.write_pairs(f"near-{item['partition']:05}.parquet", *forest(firsts, others))
    return {}
