"""Runs of the trainer in several processes of this machine."""

import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist

from trainer.config import TrainConfig
from trainer.context import Context
from trainer.loop import train

# Processes are forked from one that has imported all this, which takes seconds.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.trainer.workers"])


def train_together(num_workers: int, corpus: str, config: TrainConfig, out: Path) -> None:
    """Train in this many processes; raises AssertionError if one of them fails."""
    assert Group(num_workers, corpus, config, out).join() == [0] * num_workers


class Group:
    """Workers of one run, which have been started."""

    def __init__(self, num_workers: int, corpus: str, config: TrainConfig, out: Path) -> None:
        out.mkdir(exist_ok=True)
        arguments = (num_workers, f"{out}/store-{os.urandom(4).hex()}", [corpus], config, str(out))
        self._workers = [_FORKS.Process(target=_work, args=(rank, *arguments)) for rank in range(num_workers)]
        for worker in self._workers:
            worker.start()

    def is_alive(self) -> bool:
        """Whether any of them is."""
        return any(worker.is_alive() for worker in self._workers)

    def kill(self) -> int:
        """Kill -9 those that are alive; how many."""
        alive = [worker for worker in self._workers if worker.is_alive()]
        for worker in alive:
            worker.kill()
        return len(alive)

    def join(self) -> list[int | None]:
        """The exit codes of all."""
        for worker in self._workers:
            worker.join()
        return [worker.exitcode for worker in self._workers]


def _work(rank: int, num_workers: int, store: str, paths: Sequence[str], config: TrainConfig, out: str) -> None:
    torch.set_num_threads(1)
    if num_workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=num_workers)
    train(paths, config, out, Context(rank, num_workers))
    if num_workers > 1:
        dist.destroy_process_group()
    os._exit(0)  # threads of gloo abort now and then while the interpreter is taken down
