"""Where a worker runs: alone, under torchrun, or under a launcher that has made the process group already."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

Reporter = Callable[[dict[str, Any]], None]


def _ignore(metrics: dict[str, Any]) -> None:
    """The reporter of a worker that has nothing to say."""


@dataclass(frozen=True)
class Context:
    """One worker of a run. With more than one worker a process group of torch.distributed must exist.

    rank in [0, world_size). `report` is called on every worker at the same steps, with the metrics of the step.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - a torch.device is immutable
    report: Reporter = _ignore

    def add_over_workers(self, *tensors: Tensor) -> None:
        """Replace each tensor by its sum over all workers, in place, with one message. All are of one type."""
        if self.world_size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, total in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def barrier(self) -> None:
        """Wait until every worker is here."""
        if self.world_size > 1:
            dist.barrier()


def share_cores(local_world_size: int) -> None:
    """Give each worker of this machine the same number of threads: more threads than cores slow all of them down."""
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // local_world_size))


def backend(uses_gpu: bool) -> str:
    """The process group's backend: gloo is needed beside nccl for what lies in the memory of the host."""
    return "cpu:gloo,cuda:nccl" if uses_gpu else "gloo"


@contextlib.contextmanager
def torchrun_context(reporter: Reporter) -> Iterator[Context]:
    """The context that torchrun's variables describe; one worker where they are absent. Only rank 0 reports.

    Uses a GPU per worker where there are any, else the CPU.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if has_gpu else torch.device("cpu")
    share_cores(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if has_gpu:
        torch.cuda.set_device(device)
    if world_size > 1:
        dist.init_process_group(backend(has_gpu))
    try:
        yield Context(rank, world_size, device, reporter if rank == 0 else _ignore)
    finally:
        if world_size > 1:
            dist.destroy_process_group()
