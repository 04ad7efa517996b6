"""The reference runner: every task in this process, one after another."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from filters.kernels.jit import compile_seconds

Item = dict[str, Any]


class Runner(Protocol):
    """Maps a picklable task over small JSON-like items, in any process; results come in any order.

    `input_bytes` of an item, where given, tells how much work it is. `compile_seconds`: the longest that any process
    that ran a task has spent compiling kernels so far; 0.0 if all found them compiled. `num_waiting`: how many results
    came together with the one that `map` has yielded last and follow it at once.
    """

    name: str

    @property
    def compile_seconds(self) -> float: ...

    @property
    def num_waiting(self) -> int: ...

    def map(self, task: Callable[[Item], Item], items: list[Item]) -> Iterator[Item]: ...


class LocalRunner:
    """Runs tasks here, in order."""

    name = "local"
    num_waiting = 0

    @property
    def compile_seconds(self) -> float:
        """Of this process, from its start."""
        return compile_seconds()

    def map(self, task: Callable[[Item], Item], items: list[Item]) -> Iterator[Item]:
        """Yield task(item) for each item."""
        return map(task, items)
