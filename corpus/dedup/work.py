"""The folder of intermediate files of one deduplication, and the plan that its tasks share.

Tasks get a few bytes each and read the plan from here, so that ten thousand units do not travel with each partition.
"""

import json
from dataclasses import asdict, dataclass
from typing import Literal

import pyarrow as pa

from corpus.dedup.runs import UInt64s, uint64s, write_by_node
from manifests.shards import join, read_bytes, read_table, write_bytes

FOLDER = "duplicates/work"
PLAN = "plan.json"
EXACT_LOSERS = "exact-losers.parquet"  # node: all but the first of each set of equal texts
MEMBERS = "members.parquet"  # node, component: all documents in components of two or more

PAIRS = pa.schema([pa.field("first", pa.uint64(), nullable=False), pa.field("node", pa.uint64(), nullable=False)])


@dataclass(frozen=True)
class Work:
    """What every task knows: unit_ids sorted; partitions; `keep`: the policy that picks a component's keeper."""

    out: str
    unit_ids: list[str]
    partitions: int
    keep: Literal["longest", "best_quality", "earliest"]

    def save(self) -> None:
        """Write the plan for the tasks."""
        plan = asdict(self)
        del plan["out"]
        write_bytes(self.file(PLAN), json.dumps(plan).encode())

    @classmethod
    def open(cls, out: str) -> "Work":
        """The plan that is saved below this corpus folder."""
        return cls(out=out, **json.loads(read_bytes(join(out, FOLDER, PLAN))))

    def file(self, name: str) -> str:
        """Where an intermediate file lies."""
        return join(self.out, FOLDER, name)

    def unit_file(self, ordinal: int, name: str) -> str:
        """Where a file of a unit lies."""
        return join(self.out, "units", self.unit_ids[ordinal], name)

    def write_pairs(self, name: str, firsts: UInt64s, nodes: UInt64s) -> None:
        """Write pairs, sorted by their second node."""
        write_by_node(self.file(name), pa.table([firsts, nodes], schema=PAIRS))

    def read_pairs(self, name: str) -> tuple[UInt64s, UInt64s]:
        """Pairs as written."""
        table = read_table(self.file(name))
        return uint64s(table, "first"), uint64s(table, "node")
