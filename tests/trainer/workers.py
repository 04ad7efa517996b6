"""Runs of the trainer in several processes of this machine."""

import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    assert start(num_workers, corpus, config, out) == [0] * num_workers


def start(num_workers: int, corpus: str, config: TrainConfig, out: Path) -> list[int | None]:
    out.mkdir(exist_ok=True)
    store = out / f"store-{os.urandom(4).hex()}"
    arguments: Sequence[Any] = (num_workers, str(store), [corpus], config, str(out))
    workers = [_FORKS.Process(target=_work, args=(rank, *arguments)) for rank in range(num_workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [worker.exitcode for worker in workers]


def _work(rank: int, num_workers: int, store: str, paths: Sequence[str], config: TrainConfig, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=num_workers)
    train(paths, config, out, Context(rank, num_workers))
    dist.destroy_process_group()
    os._exit(0)  # threads of gloo abort now and then while the interpreter is taken down
