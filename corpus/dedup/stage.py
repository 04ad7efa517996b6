"""Deduplication of a whole corpus over the runs that the units left; texts are not read.

Maps over groups of units and over partitions, with files between them; this process connects pairs to components:

    runs of units -> by partition of their keys -> pairs of equal documents -> (here) documents with equal words
    -> bands of the first of them -> by partition -> pairs of candidates -> (here) components
    -> facts and signatures of members -> by partition of the components -> keepers -> one table for each unit

The result depends on the runs alone: not on workers, order of completion, groups or the number of partitions. A run
that breaks off goes on with the tasks that were not committed; intermediate files go at the end.
"""

from corpus.dedup.components import connect
from corpus.dedup.keepers import decide, send_facts, write_units
from corpus.dedup.keys import KINDS
from corpus.dedup.pairs import collect_bands, collect_equal, kinds_of, pair_bands, pair_equal, pair_files
from corpus.dedup.plan import Item, RunMap, Task
from corpus.dedup.work import MEMBERS, TWINS, SignedUnit, Work
from corpus.recipe import Dedup
from manifests.digest import digest_json
from manifests.shards import FileEntry

# A partition of this many documents has some ten million bands, which take half a gigabyte while they are sorted.
PARTITION_DOCUMENTS = 500_000


def deduplicate(
    out: str, units: list[SignedUnit], older: list[SignedUnit], config: Dedup, digest: str, run_map: RunMap
) -> tuple[list[FileEntry], list[str]]:
    """Write OUT/duplicates/<unit_id>.parquet (schema DUPLICATES, in row order) for each unit.

    Returns their entries, and what was wrong with files of an earlier run of which no task told (see commits.Found).

    units: with the files of a RunWriter with the same config in OUT/units/<unit_id>; older: those of older corpora.
    Only documents that are duplicates or have some have a row. digest: of all that decides the result; what a run with
    the same digest left is used again, what was in OUT/duplicates of another one is removed first.
    Raises IntegrityError where a run is broken.
    """
    if not units:
        return [], []
    num_documents = max(1, sum(unit.num_documents for unit in [*older, *units]))
    partitions = min(config.partitions or -(-num_documents // PARTITION_DOCUMENTS), num_documents, 4096)
    settings = config.model_dump(mode="json", include={*KINDS, "keep", "minhash"})
    order = sorted(units, key=lambda unit: unit.unit_id)
    # Processes keep the plan that they opened: another one, of a build that goes on, must have another digest.
    plan_digest = digest_json([digest, partitions, [unit.root for unit in older]])
    work = Work(out, plan_digest, [*older, *order], len(older), settings, partitions)
    work.save()
    groups, parts = work.items(len(work.groups)), work.items(work.partitions)
    _run(run_map, collect_equal, groups)
    _run(run_map, pair_equal, parts)
    same_words = [kind for kind in kinds_of(work) if kind != "url"]
    damaged = _connect(work, TWINS, same_words, run_map)
    if config.minhash is not None:
        _run(run_map, collect_bands, groups)
        _run(run_map, pair_bands, parts)
    others = ["bands"] if config.minhash is not None else []
    damaged += _connect(work, MEMBERS, [*kinds_of(work), *others], run_map)
    for task, numbered in ((send_facts, groups), (decide, parts), (write_units, groups)):
        _run(run_map, task, numbered)
    return work.made(write_units, len(groups)), damaged


def _connect(work: Work, target: str, names: list[str], run_map: RunMap) -> list[str]:
    """Connect the pairs of these runs, unless that was done; what was wrong with files of an earlier run."""
    files = pair_files(work, *names)
    done = work.once(work.file(f"{target}.json"), lambda: [connect(work, target, files, run_map)])
    return list(done.get("damaged", []))


def _run(run_map: RunMap, task: Task, numbered: list[Item]) -> None:
    """Run a task whose results are files."""
    for _ in run_map(task, numbered):
        pass
