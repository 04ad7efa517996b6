"""The folder of intermediate files of one deduplication, the plan that its tasks share, and what makes them resumable.

Tasks get a few bytes each and read the plan from here, so that ten thousand units do not travel with each partition.
Each task leaves a commit record beside its files: a build that was killed goes on with the tasks that have none.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from corpus.commits import find_committed, write_commit
from manifests.errors import IntegrityError
from manifests.schemas import LINES_FOLDER, REMOVED_FOLDER
from manifests.shards import FileEntry, exists, file_entry, join, read_bytes, read_table, remove, write_bytes

FOLDER = "duplicates/work"
PLAN = "plan.json"
TWINS = "twins.parquet"  # node, component: documents with equal words, whose signatures are therefore equal
MEMBERS = "members.parquet"  # node, component: all documents that may be tied to another

# A group of units is one task: few enough files for the partitions to open, few enough documents to hold their facts.
GROUP_UNITS = 64
GROUP_DOCUMENTS = 500_000

Item = dict[str, Any]
Numbered = Callable[["Work", int], list[FileEntry]]


@dataclass(frozen=True)
class SignedUnit:
    """A unit with the files of a RunWriter.

    Of an older corpus also: its root, its name, and the SHA-256 of the unit's files that are read, by path below root.
    """

    unit_id: str
    num_documents: int
    root: str = ""
    corpus: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raise IntegrityError, with what to do, where a file of an older corpus is not as it was written."""
        for path, sha256 in self.sha256.items():
            if not exists(join(self.root, path)) or file_entry(self.root, path).sha256 != sha256:
                raise IntegrityError(
                    f"{self.root}/{path}: is not as that corpus's manifest says. Make it anew with "
                    f"`gristmill build {self.root}/recipe.toml --out {self.root}`."
                )


@dataclass(frozen=True)
class Work:
    """What every task knows. units: those of older corpora first; num_old: how many they are; digest: of it all."""

    out: str
    digest: str
    units: list[SignedUnit]
    num_old: int
    config: dict[str, Any]  # the keys of a Dedup that tasks ask for
    partitions: int

    def save(self) -> None:
        """Write the plan for the tasks; intermediate files of another plan are removed."""
        text = json.dumps({key: value for key, value in asdict(self).items() if key != "out"}).encode()
        try:
            if read_bytes(self.file(PLAN)) == text:
                return
        except FileNotFoundError:
            pass
        remove(join(self.out, "duplicates"))
        write_bytes(self.file(PLAN), text)

    def file(self, name: str) -> str:
        """Where an intermediate file lies."""
        return join(self.out, FOLDER, name)

    def unit_file(self, ordinal: int, name: str) -> str:
        """Where a file of a unit lies."""
        unit = self.units[ordinal]
        return join(unit.root or self.out, "units", unit.unit_id, name)

    @functools.cached_property
    def groups(self) -> list[range]:
        """Ordinals of units that are worked on together; none has units of older corpora and of this one."""
        found = [range(0)]
        size = 0
        for ordinal, unit in enumerate(self.units):
            size += unit.num_documents
            if len(found[-1]) == GROUP_UNITS or size > GROUP_DOCUMENTS or ordinal == self.num_old:
                found.append(range(ordinal, ordinal))
                size = unit.num_documents
            found[-1] = range(found[-1].start, ordinal + 1)
        return [group for group in found if len(group)]

    def excluded(self, ordinal: int) -> np.ndarray:
        """Rows of a unit that take no part: removed ones, and in older corpora those that deduplication took out."""
        unit = self.units[ordinal]
        root = unit.root or self.out
        gone = join(root, REMOVED_FOLDER, f"{unit.unit_id}.parquet")
        rows = [read_table(gone, ["row"])["row"].to_numpy()] if exists(gone) else []
        if ordinal < self.num_old:
            decided = read_table(join(root, "duplicates", f"{unit.unit_id}.parquet"), ["row", "kind"])
            rows.append(decided["row"].to_numpy()[decided["kind"].to_numpy() != "keeper"])
            lines = join(root, LINES_FOLDER, f"{unit.unit_id}.parquet")
            if exists(lines):
                cut = read_table(lines, ["row", "dropped"])
                rows.append(cut["row"].to_numpy()[cut["dropped"].to_numpy()])
        return np.concatenate([np.zeros(0, np.uint32), *rows])


@functools.lru_cache(maxsize=1)
def _open(out: str, digest: str) -> Work:
    plan = json.loads(read_bytes(join(out, FOLDER, PLAN)))
    assert plan["digest"] == digest
    plan["units"] = [SignedUnit(**unit) for unit in plan["units"]]
    return Work(out=out, **plan)


def numbered_task(task: Numbered) -> Callable[[Item], Item]:
    """A task of items {out, digest, number}: skipped where its commit record and files are there, else committed."""

    @functools.wraps(task)
    def run(item: Item) -> Item:
        work, number = _open(item["out"], item["digest"]), item["number"]
        uri = work.file(f"{task.__name__}-{number:05}.json")
        return do_once(work.out, uri, work.digest, functools.partial(task, work, number))

    return run


def do_once(out: str, uri: str, digest: str, make: Callable[[], list[FileEntry]]) -> Item:
    """Make files and commit them at uri, unless they are there as wanted: then {"reused": True}."""
    record, damaged = find_committed(out, uri, digest)
    if record is not None:
        return {"reused": True}
    write_commit(uri, digest, make())
    return {"damaged": damaged} if damaged else {}


def items(work: Work, count: int) -> list[Item]:
    """The items of a numbered task."""
    return [{"out": work.out, "digest": work.digest, "number": number} for number in range(count)]
