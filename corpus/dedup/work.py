"""The plan of one deduplication: its units, those of older corpora first, and the groups of its signed documents."""

import functools
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from corpus.dedup.plan import Plan
from manifests.errors import IntegrityError
from manifests.schemas import LINES_FOLDER, REMOVED_FOLDER
from manifests.shards import exists, file_entry, join, read_table

TWINS = "twins.parquet"  # node, component: documents with equal words, whose signatures are therefore equal
MEMBERS = "members.parquet"  # node, component: all documents that may be tied to another

# A group of units is one task: few enough files for the partitions to open, few enough documents to hold their facts.
GROUP_UNITS = 64
GROUP_DOCUMENTS = 500_000


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
class Work(Plan):
    """What every task knows. units: those of older corpora first; num_old: how many they are."""

    RESULT: ClassVar[str] = "duplicates"

    units: list[SignedUnit]
    num_old: int
    config: dict[str, Any]  # the keys of a Dedup that tasks ask for
    partitions: int

    @classmethod
    def load(cls, values: dict[str, Any]) -> Self:
        """A plan from what `save` wrote, and out."""
        return cls(**{**values, "units": [SignedUnit(**unit) for unit in values["units"]]})

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
