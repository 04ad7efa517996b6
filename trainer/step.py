"""One step: forward and backward passes over this worker's rows, gradients of all workers added up, one update.

The loss of a step is the sum over all targets of all workers and micro-batches divided by their number, so neither
the number of workers nor the size of micro-batches changes what is minimised.
"""

import math
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from manifests.errors import JobFailed
from trainer.architecture import Architecture
from trainer.checkpoint import NamedModel
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.data import Data
from trainer.ema import Ema
from trainer.evaluation.slices import SliceSums, target_bytes
from trainer.flops import Cost
from trainer.objectives.base import Objective
from trainer.objectives.causal import Causal
from trainer.optim import lr_ratio, set_lr, shrink_l1
from trainer.parallel import Grid, num_micro_steps, scale_and_clip, sum_gradients
from trainer.passes import Passes, Sums, padded
from trainer.precision import Precision
from trainer.stream import Batch


@dataclass(frozen=True)
class Run:
    """Everything a step needs."""

    config: TrainConfig
    data: Data
    context: Context
    grid: Grid
    precision: Precision
    model: nn.Module
    architecture: Architecture | None  # of the whole model
    named_models: Mapping[str, NamedModel]
    objective: Objective
    passes: Passes
    optimizers: list[Optimizer]
    ema: Ema | None
    cost: Cost | None

    def sums(self, batch: Batch, step: int | None) -> Sums:
        """Run this worker's share of a global batch through the model."""
        size, num_parts = self.config.micro_batch, num_micro_steps(self.config, self.grid)
        num_rows = len(batch.tokens)
        parts = [batch.cut(start, min(start + size, num_rows)) for start in range(0, num_rows, size)]
        parts += [batch.cut(0, 0)] * (num_parts - len(parts))
        # A compiled layer, and the next stage of a pipeline, want one shape; elsewhere one empty row keeps step.
        fewest = size if self.config.compile or self.grid.num_stages > 1 else 1
        return self.passes.run([padded(part, fewest) for part in parts], step)


@dataclass(frozen=True)
class StepResult:
    """What a step gave. batch: the rows of this worker; the figures are of all workers.

    by_segment: float64 (3, total_segments) of `batch`: sum of losses in nats, number of targets and bytes that these
    stand for of each segment, before the update; zeros where another worker with the same rows counts them.
    sums: of all workers, by slice. loss: nats per target. flops: model FLOPs, 0 where no formula holds.
    seconds: of passes and update on this worker, without the wait for rows, recording, evaluations and checkpoints; an
    accelerator may still be at the update, for which then the next step waits.
    loader_wait_seconds, memory_bytes (high-water mark since the start, before this update): of the worker with most.
    """

    batch: Batch
    by_segment: npt.NDArray[np.float64]
    sums: SliceSums
    loss: float
    num_targets: int
    grad_norm: float
    lr: float
    flops: float
    seconds: float
    loader_wait_seconds: float
    memory_bytes: int


def update(run: Run, step: int, batch: Batch, waited: float) -> StepResult:
    """Forward, backward and one update; raises JobFailed, naming the rows, if loss or gradient is not finite.

    waited: seconds that this worker waited for the batch.
    """
    started = time.perf_counter()
    for optimizer in run.optimizers:
        optimizer.zero_grad(set_to_none=True)
    found = run.sums(batch, step)
    by_segment = torch.cat([found.by_segment, _target_bytes(run, batch)[None]])
    sums = SliceSums(run.data, run.context.device)
    sums.add(batch, by_segment, found.measures)
    flops, per_worker = _add_over_workers(run, sums, batch, waited)
    overall = sums.all()
    num_targets, loss = overall.get("num_targets", 0.0), overall.get("loss", 0.0)
    sum_gradients(run.model, run.grid)
    grad_norm = scale_and_clip(run.model, run.grid, run.context, 1.0 / max(1.0, num_targets), run.config.clip)
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise JobFailed(
            f"step {step}: the loss is {loss}, the gradient norm {grad_norm}. Lower optimizer.lr or raise "
            f"schedule.warmup_steps and start again in another --out; its rows are {run.data.train.rows(step)}."
        )
    # Before the update is asked for: an accelerator then makes it while the host goes on to the next step.
    host_by_segment = by_segment.cpu().numpy()
    lr = _apply(run, step)
    return StepResult(
        batch=batch,
        by_segment=host_by_segment,
        sums=sums,
        loss=loss,
        num_targets=int(num_targets),
        grad_norm=grad_norm,
        lr=lr,
        flops=flops,
        seconds=time.perf_counter() - started,
        loader_wait_seconds=float(per_worker[0].max()),
        memory_bytes=int(per_worker[1].max()),
    )


def _target_bytes(run: Run, batch: Batch) -> Tensor:
    """float64 (total_segments,); 0 where losses are not those of texts alone (a teacher) or count elsewhere."""
    counts = type(run.objective) is Causal and run.grid.has_losses
    num_bytes = (
        target_bytes(run.objective, batch, run.data.end_of_text_id) if counts else np.zeros(batch.total_segments)
    )
    return torch.from_numpy(num_bytes).to(run.context.device)


def _add_over_workers(run: Run, sums: SliceSums, batch: Batch, waited: float) -> tuple[float, npt.NDArray[np.float64]]:
    """Add the sums of all workers up, in one message; returns the FLOPs of all, and of each what it waited and held.

    The second is float64 (2, world_size): seconds and bytes.
    """
    device, rank = run.context.device, run.context.rank
    flops = run.cost.flops(batch) if run.cost is not None and run.grid.has_losses else 0.0
    numbers = torch.zeros(1 + 2 * run.context.world_size, dtype=torch.float64)
    numbers[0] = flops
    numbers[1:].view(2, -1)[:, rank] = torch.tensor([waited, peak_memory_bytes(device)])
    numbers = numbers.to(device)
    sums.add_over_workers(run.context, numbers)
    values = numbers.cpu().numpy()
    return float(values[0]), values[1:].reshape(2, -1)


def peak_memory_bytes(device: torch.device) -> int:
    """High-water mark of this process: of the accelerator's memory in use by tensors, else of the host's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _apply(run: Run, step: int) -> float:
    """Update weights and their average; returns the learning rate."""
    config = run.config
    lr = config.optimizer.lr * lr_ratio(step, config.steps, config.schedule)
    set_lr(run.optimizers, lr)
    for optimizer in run.optimizers:
        optimizer.step()
    if config.optimizer.l1:
        shrink_l1(run.model.parameters(), lr * config.optimizer.l1)
    if run.ema is not None:
        run.ema.update(run.model)
    return lr
