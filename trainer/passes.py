"""Forward and backward passes over micro-batches: through a whole model here, through stages in `trainer.pipeline`."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from trainer.draws import draw
from trainer.dropout import dropout_seeds
from trainer.model import Decoder
from trainer.objectives.base import Losses, Objective
from trainer.parallel import Grid
from trainer.stream import Batch


@dataclass(frozen=True)
class Sums:
    """Of some rows. by_segment: float64 (2, total_segments), sum of losses and number of targets of each segment.

    measures: float64 (2,), see Losses.measure_sums.
    """

    by_segment: Tensor
    measures: dict[str, Tensor]


class Passes(Protocol):
    """Passes over the micro-batches of a step, of which every worker has the same number."""

    def run(self, parts: Sequence[Batch], step: int | None) -> Sums:
        """Add the gradients of the summed losses to the model's; for step None only the losses are wanted.

        Sums are zeros on workers that are not the ones to count (Grid.has_losses).
        """


@dataclass(frozen=True)
class WholePasses:
    """Passes of a worker that has every layer, or its part of every layer. autocast: may be entered many times."""

    model: nn.Module
    objective: Objective
    grid: Grid
    device: torch.device
    autocast: contextlib.AbstractContextManager[Any]
    seed: int

    def run(self, parts: Sequence[Batch], step: int | None) -> Sums:
        """See Passes."""
        self.model.train(step is not None)
        found = []
        for number, part in enumerate(parts):
            tensors = self.objective.tensors(part, self.device)
            seed_dropout(self.model, self.seed, step, part, (self.grid.data_rank, self.grid.stage, number))
            with torch.set_grad_enabled(step is not None), self.autocast:
                losses = self.objective.losses(self.model, tensors)
            if step is not None:
                losses.values.sum().backward()  # type: ignore[no-untyped-call]
            found.append(sums_of(losses, part.total_segments))
        return joined(found, self.grid)


def seed_dropout(model: nn.Module, seed: int, step: int | None, part: Batch, place: tuple[int, int, int]) -> None:
    """Make what the next forward pass drops a function of the samples, so that any arrangement of workers repeats it.

    That holds for our decoder. What transformers' models and low-rank updates drop is a function of the step and
    `place` (data_rank, stage, number of the micro-batch): it repeats after a resume on the same arrangement alone.
    """
    if step is None:
        return
    for module in model.modules():
        if isinstance(module, Decoder):
            device = next(module.parameters()).device
            module.dropout_seeds_B = dropout_seeds(seed, part.samples, device) if module.config.dropout else None
    counters = (np.array([counter]) for counter in (step, *place))
    torch.manual_seed(int(draw(f"dropout {seed}", *counters)[0]))


def sums_of(losses: Losses, num_segments: int) -> Sums:
    """Of one micro-batch."""
    return Sums(losses.by_segment(num_segments), losses.measure_sums())


def joined(found: Sequence[Sums], grid: Grid) -> Sums:
    """The sums of a worker's micro-batches, in their order."""
    share = 1.0 if grid.has_losses else 0.0
    by_segment = torch.cat([sums.by_segment for sums in found], dim=1) * share
    names = found[0].measures
    return Sums(
        by_segment, {name: share * torch.stack([sums.measures[name] for sums in found]).sum(dim=0) for name in names}
    )


def padded(batch: Batch, num_rows: int) -> Batch:
    """The batch with rows of padding at its end, at least num_rows in all. They hold no segment, so no target."""
    missing = num_rows - len(batch.tokens)
    if missing <= 0:
        return batch
    unknown = np.full(missing, -1, dtype=np.int64)
    more = np.zeros((missing, batch.tokens.shape[1]), dtype=batch.tokens.dtype)
    mask = batch.loss_mask
    return replace(
        batch,
        tokens=np.concatenate([batch.tokens, more]),
        num_segments=np.concatenate([batch.num_segments, np.zeros(missing, dtype=np.int64)]),
        rows=np.concatenate([batch.rows, unknown]),
        samples=np.concatenate([batch.samples, unknown]),
        loss_mask=None if mask is None else np.concatenate([mask, np.zeros(more.shape, dtype=np.bool_)]),
    )
