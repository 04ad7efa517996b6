"""What the tasks of a stage share: a plan beside their intermediate files, and commit records so that they go on.

Tasks get a few bytes each and read the plan from there, so that ten thousand units do not travel with each partition.
Each task leaves a commit record beside its files: a build that was killed goes on with the tasks that have none.
"""

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self, TypeVar, cast

from corpus.commits import entries, find_committed, read_commit, write_commit
from manifests.shards import FileEntry, join, read_bytes, remove, write_bytes

Item = dict[str, Any]
Task = Callable[[Item], Item]
# Applies a function of some module to items, in any processes; yields what it returns, in any order.
RunMap = Callable[[Task, list[Item]], Iterator[Item]]


@dataclass(frozen=True)
class Plan:
    """What every task of a stage knows. digest: of all that decides the files of its tasks."""

    RESULT: ClassVar[str]  # the folder below out that the stage fills

    out: str
    digest: str

    @classmethod
    def path(cls, name: str) -> str:
        """Path of an intermediate file below out."""
        return f"{cls.RESULT}/work/{name}"

    def file(self, name: str) -> str:
        """Where an intermediate file lies."""
        return join(self.out, self.path(name))

    def save(self) -> None:
        """Write the plan for the tasks; what another plan left, results too, is removed first."""
        text = json.dumps({key: value for key, value in asdict(self).items() if key != "out"}).encode()
        try:
            if read_bytes(self.file("plan.json")) == text:
                return
        except FileNotFoundError:
            pass
        remove(join(self.out, self.RESULT))
        write_bytes(self.file("plan.json"), text)

    @classmethod
    def load(cls, values: dict[str, Any]) -> Self:
        """A plan from what `save` wrote, and out."""
        return cls(**values)

    @classmethod
    def clean(cls, out: str) -> None:
        """Remove the intermediate files, once the result is committed."""
        remove(join(out, cls.RESULT, "work"))

    def items(self, count: int) -> list[Item]:
        """The items of a numbered task."""
        return [{"out": self.out, "digest": self.digest, "number": number} for number in range(count)]

    def record(self, task: Task, number: int) -> str:
        """Where the commit record of a numbered task lies."""
        return self.file(f"{task.__name__}-{number:05}.json")

    def made(self, task: Task, count: int) -> list[FileEntry]:
        """The files of all items of a numbered task, by path."""
        records = [read_commit(self.record(task, number)) for number in range(count)]
        return sorted(
            (entry for record in records if record for entry in entries(record)), key=lambda entry: entry.path
        )

    def once(self, uri: str, make: Callable[[], list[FileEntry]]) -> Item:
        """Make files and commit them at uri, unless they are there as wanted: then {"reused": True}."""
        record, damaged = find_committed(self.out, uri, self.digest)
        if record is not None:
            return {"reused": True}
        write_commit(uri, self.digest, make())
        return {"damaged": damaged} if damaged else {}


AnyPlan = TypeVar("AnyPlan", bound=Plan)


def numbered_task(kind: type[AnyPlan]) -> Callable[[Callable[[AnyPlan, int], list[FileEntry]]], Task]:
    """A function of a plan and a number as a task of the plan's items, done once."""

    def decorate(make: Callable[[AnyPlan, int], list[FileEntry]]) -> Task:
        @functools.wraps(make)
        def run(item: Item) -> Item:
            plan = cast(AnyPlan, _open(cast(Any, kind), item["out"], item["digest"]))
            number = item["number"]
            return plan.once(plan.record(run, number), functools.partial(make, plan, number))

        return run

    return decorate


@functools.lru_cache(maxsize=1)
def _open(kind: Any, out: str, digest: str) -> Any:
    plan = kind.load({"out": out, **json.loads(read_bytes(join(out, kind.path("plan.json"))))})
    assert plan.digest == digest
    return plan
