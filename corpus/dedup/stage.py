"""Deduplication of a whole corpus: exact, then MinHash, over the runs that the units left; texts are not read.

Five maps, over partitions or units, with files between them; this process holds only pairs of duplicates:

    exact runs -> pairs of equal texts -> band runs without their copies -> pairs -> components (here)
    -> facts of members, by component -> keepers -> one table for each unit

The result depends on the runs alone: not on workers, order of completion or the number of partitions. A run that
breaks off is begun anew (the runs of the units, which cost the time, are there); intermediate files go at the end.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.dedup.bands import pair_near
from corpus.dedup.components import Components
from corpus.dedup.exact import pair_exact
from corpus.dedup.keepers import decide, send_facts, write_unit
from corpus.dedup.runs import write_by_node
from corpus.dedup.work import EXACT_LOSERS, FOLDER, MEMBERS, Work
from corpus.recipe import Dedup
from manifests.shards import FileEntry, join, remove

Task = Callable[[dict[str, Any]], dict[str, Any]]
# Applies a function of some module to items, in any processes; yields what it returns, in any order.
RunMap = Callable[[Task, list[dict[str, Any]]], Iterator[dict[str, Any]]]


def deduplicate(out: str, unit_ids: list[str], config: Dedup, run_map: RunMap) -> list[FileEntry]:
    """Write OUT/duplicates/<unit_id>.parquet (schema DUPLICATES, in row order) for each unit; returns their entries.

    unit_ids: sorted, each with the files of a RunWriter with the same config in OUT/units/<unit_id>. Only documents in
    components of two or more have a row. What was in OUT/duplicates before is removed first.
    Raises IntegrityError where a run is broken or was cut into another number of partitions.
    """
    assert unit_ids == sorted(set(unit_ids))
    remove(join(out, "duplicates"))
    if not unit_ids:
        return []
    keep = config.minhash.keep if config.minhash else "longest"
    work = Work(out, unit_ids, config.partitions, keep)
    work.save()
    _find_components(work, config, run_map)
    by_unit = [{"out": out, "ordinal": ordinal} for ordinal in range(len(unit_ids))]
    _run(run_map, send_facts, by_unit)
    _run(run_map, decide, _by_partition(work))
    entries = [FileEntry(**entry) for entry in run_map(write_unit, by_unit)]
    remove(join(out, FOLDER))
    return sorted(entries, key=lambda entry: entry.path)


def _find_components(work: Work, config: Dedup, run_map: RunMap) -> None:
    """Write MEMBERS."""
    components = Components()
    if config.exact:
        _run(run_map, pair_exact, _by_partition(work))
        _add_pairs(components, work, "exact")
    _, losers = components.stars()
    write_by_node(work.file(EXACT_LOSERS), pa.table({"node": losers}))
    if config.minhash is not None:
        _run(run_map, pair_near, _by_partition(work))
        _add_pairs(components, work, "near")
    roots, others = components.stars()
    first = np.unique(roots)
    nodes, least = np.concatenate([first, others]), np.concatenate([first, roots])
    order = np.argsort(nodes)
    write_by_node(work.file(MEMBERS), pa.table({"node": nodes[order], "component": least[order]}))


def _add_pairs(components: Components, work: Work, kind: str) -> None:
    for partition in range(work.partitions):
        components.add(*work.read_pairs(f"{kind}-{partition:05}.parquet"))


def _by_partition(work: Work) -> list[dict[str, Any]]:
    return [{"out": work.out, "partition": partition} for partition in range(work.partitions)]


def _run(run_map: RunMap, task: Task, items: list[dict[str, Any]]) -> None:
    """Run a task whose results are files."""
    for _ in run_map(task, items):
        pass
