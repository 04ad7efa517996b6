"""The reference runner: every task in this process, one after another."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

Item = dict[str, Any]


class Runner(Protocol):
    """Maps a picklable task over small JSON-like items, in any process; results come in any order.

    `input_bytes` of an item, where given, tells how much work it is.
    """

    name: str

    def map(self, task: Callable[[Item], Item], items: list[Item]) -> Iterator[Item]: ...


class LocalRunner:
    """Runs tasks here, in order."""

    name = "local"

    def map(self, task: Callable[[Item], Item], items: list[Item]) -> Iterator[Item]:
        """Yield task(item) for each item."""
        return map(task, items)
