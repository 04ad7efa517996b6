"""Passes through the stages of a pipeline, with torch's schedules.

Every stage reads the micro-batches itself, so only hidden states go forward and their gradients back. The last stage
ends in the summed loss of a micro-batch, not in logits: those would be kept for every micro-batch.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from trainer.config import TrainConfig
from trainer.model import Decoder
from trainer.objectives.causal import Causal, Tensors
from trainer.parallel import Grid, num_micro_steps
from trainer.passes import Sums, joined, seed_dropout, sums_of
from trainer.stream import Batch

SCHEDULES = {"1f1b": Schedule1F1B, "gpipe": ScheduleGPipe}


class Stage(nn.Module):
    """What torch's schedules call: a micro-batch goes by its number, and hidden states by fp32."""

    def __init__(self, passes: "PipelinePasses") -> None:
        super().__init__()
        self.passes = [passes]  # in a list: it is no part of this module

    def forward(self, x: Tensor, number: Tensor | None = None) -> Tensor:
        """x: the number (1,) in the first stage, hidden states (B, T, W) with `number` in others."""
        return self.passes[0].forward(int(x if number is None else number), None if number is None else x)


class PipelinePasses:
    """Passes of a worker that has one stage of the layers. autocast: may be entered many times."""

    def __init__(
        self,
        model: Decoder,
        objective: Causal,
        config: TrainConfig,
        grid: Grid,
        settings: tuple[torch.device, contextlib.AbstractContextManager[Any], int],
    ) -> None:
        self.model, self.objective, self.grid, self.seed = model, objective, grid, config.seed
        self.device, self.autocast, length = settings
        self.parts: Sequence[Batch] = []
        self.tensors: list[Tensors] = []
        self.num_segments: list[int] = []
        self.found: list[Sums] = []
        self.step: int | None = None
        self.num_parts = num_micro_steps(config, grid)
        is_first, is_last = grid.stage == 0, grid.stage == grid.num_stages - 1
        hidden = torch.zeros(config.micro_batch, length, model.config.width, device=self.device, requires_grad=True)
        stage = PipelineStage(
            Stage(self),
            grid.stage,
            grid.num_stages,
            self.device,
            input_args=torch.zeros(1, dtype=torch.int64, device=self.device) if is_first else hidden,
            output_args=torch.zeros((), device=self.device, requires_grad=True) if is_last else hidden,
            group=grid.group("pipeline"),
        )
        schedule = SCHEDULES[config.parallel.schedule]
        self.schedule = schedule(stage, self.num_parts, loss_fn=lambda loss, _: loss, scale_grads=False)

    def run(self, parts: Sequence[Batch], step: int | None) -> Sums:
        """See Passes."""
        self.model.train(step is not None)
        self.parts = parts
        self.tensors = [self.objective.tensors(part, self.device) for part in parts]
        self.num_segments = [part.total_segments for part in parts]
        self.found, self.step = [], step
        numbers = torch.arange(self.num_parts, device=self.device)
        run = self.schedule.step if step is not None else self.schedule.eval
        with torch.set_grad_enabled(step is not None):
            if self.grid.stage == 0:
                run(numbers, target=numbers, return_outputs=False)
            else:
                run(number=numbers, target=numbers, return_outputs=False)
        nothing = [
            Sums(torch.zeros(2, size, dtype=torch.float64, device=self.device), {}) for size in self.num_segments
        ]
        return joined(self.found or nothing, self.grid)

    def forward(self, number: int, hidden_BTW: Tensor | None) -> Tensor:
        """A micro-batch through this stage: hidden states for the next stage, or the summed loss."""
        tensors = self.tensors[number]
        x = tensors.inputs if hidden_BTW is None else hidden_BTW
        place = self.grid.data_rank, self.grid.stage, number
        seed_dropout(self.model, self.seed, self.step, self.parts[number], place)
        with self.autocast:
            if self.grid.stage < self.grid.num_stages - 1:
                out: Tensor = self.model(x, tensors.segment)
                return out.float()
            # The tokens went in at the first stage.
            losses = self.objective.losses(self.model, replace(tensors, inputs=x))
        self.found.append(sums_of(losses, self.num_segments[number]))
        return losses.values.sum()
