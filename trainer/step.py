"""One step: forward and backward passes over this worker's rows, gradients of all workers added up, one update.

The loss of a step is the sum over all targets of all workers and micro-batches divided by their number, so neither
the number of workers nor the size of micro-batches changes what is minimised.
"""

import math
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim import Optimizer

from manifests.errors import JobFailed
from trainer.architecture import Architecture
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.data import Data
from trainer.ema import Ema
from trainer.objectives.base import Objective
from trainer.optim import lr_ratio, set_lr, shrink_l1
from trainer.parallel import Grid, num_micro_steps, scale_and_clip, sum_gradients
from trainer.passes import Passes, Sums, padded
from trainer.stream import Batch


@dataclass(frozen=True)
class Run:
    """Everything a step needs."""

    config: TrainConfig
    data: Data
    context: Context
    grid: Grid
    model: nn.Module
    architecture: Architecture | None  # of the whole model
    objective: Objective
    passes: Passes
    optimizers: list[Optimizer]
    ema: Ema | None

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

    by_segment: float64 (2, total_segments) of `batch`: sum of losses in nats and number of targets of each segment
    before the update; zeros where another worker with the same rows counts them.
    loss_by_source: nats per target. measures: means over targets of what the objective reports beside the loss.
    """

    batch: Batch
    by_segment: npt.NDArray[np.float64]
    loss: float
    num_targets: int
    grad_norm: float
    lr: float
    seconds: float
    loss_by_source: dict[str, float]
    measures: dict[str, float]


def update(run: Run, step: int, batch: Batch) -> StepResult:
    """Forward, backward and one update; raises JobFailed, naming the rows, if loss or gradient is not finite."""
    started = time.perf_counter()
    for optimizer in run.optimizers:
        optimizer.zero_grad(set_to_none=True)
    sums = run.sums(batch, step)
    loss_sums, num_targets, measures = _over_workers(run, batch, sums)
    total = max(1.0, float(num_targets.sum()))
    loss = float(loss_sums.sum()) / total
    sum_gradients(run.model, run.grid)
    grad_norm = scale_and_clip(run.model, run.grid, run.context, 1.0 / total, run.config.clip)
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise JobFailed(
            f"step {step}: the loss is {loss}, the gradient norm {grad_norm}. Lower optimizer.lr or raise "
            f"schedule.warmup_steps and start again in another --out; its rows are {run.data.train.rows(step)}."
        )
    lr = _apply(run, step)
    names = zip(run.data.sources, loss_sums, num_targets, strict=True)
    return StepResult(
        batch=batch,
        by_segment=sums.by_segment.cpu().numpy(),
        loss=loss,
        num_targets=int(num_targets.sum()),
        grad_norm=grad_norm,
        lr=lr,
        seconds=time.perf_counter() - started,
        loss_by_source={name: float(nats / count) for name, nats, count in names if count},
        measures={name: value / total for name, value in measures.items()},
    )


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


def _over_workers(
    run: Run, batch: Batch, sums: Sums
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], dict[str, float]]:
    """Losses and targets of each source, float64 (num_sources,), and sums of measures, of all workers."""
    by_source = torch.zeros(2, len(run.data.sources), dtype=torch.float64, device=run.context.device)
    by_source.index_add_(1, torch.from_numpy(batch.segment_source).to(run.context.device), sums.by_segment)
    names = sorted(sums.measures)
    flat = torch.cat([by_source.flatten(), *(sums.measures[name][None] for name in names)])
    run.context.add_over_workers(flat)
    values = flat.cpu().numpy()
    loss_sums, num_targets = values[: by_source.numel()].reshape(2, -1)
    return loss_sums, num_targets, dict(zip(names, values[by_source.numel() :].tolist(), strict=True))
