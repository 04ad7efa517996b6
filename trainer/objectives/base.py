"""What an objective is: how packed rows become tensors, and tensors and a model become losses.

The loop knows nothing else of it. Losses come with the segment that each belongs to, so that one sum over segments
yields the loss by document, source, language and quality for every objective.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from trainer.stream import Batch
from trainer.token_losses import IGNORED, cross_entropy


@dataclass(frozen=True)
class Losses:
    """Losses of some rows, three tensors of one shape; losses are in nats and 0 where there is no target.

    values: float32, carries the gradient; is_target: bool; segment: int64, the segment's number in the batch that the
    tensors were made from, counted over all its rows (any number where there is no target).
    A target is what the loss is a mean over: a token, an example, a pair.
    measures: other figures by name (the share of right answers), float32 of the same shape, detached; they are
    averaged over the targets that have them and reported beside the loss. NaN: the target has none; an objective
    whose own figure could become NaN has to see to it that its loss does too, which ends the run.
    """

    values: Tensor
    is_target: Tensor
    segment: Tensor
    measures: Mapping[str, Tensor] = field(default_factory=dict)

    def by_segment(self, num_segments: int) -> Tensor:
        """float64 (2, num_segments), detached: sum of losses, and number of targets, of each segment."""
        # No selection by mask: the host would have to wait for the device to learn how many there are.
        nowhere = torch.full_like(self.segment, num_segments)
        segment = torch.where(self.is_target, self.segment, nowhere).flatten()
        values = self.values.detach().flatten()
        sums = torch.zeros(2, num_segments + 1, dtype=torch.float64, device=values.device)
        sums[0].scatter_add_(0, segment, values.double())
        sums[1].scatter_add_(0, segment, torch.ones_like(sums[0, :1]).expand_as(segment))
        return sums[:, :num_segments]

    def measure_sums(self) -> dict[str, Tensor]:
        """float64 (2,): of each measure the sum over the targets that have it, and how many these are."""
        sums = {}
        for name, value in self.measures.items():
            has_value = self.is_target & ~value.isnan()
            sums[name] = torch.stack([torch.where(has_value, value, 0.0).double().sum(), has_value.double().sum()])
        return sums


def losses_of(logits_BTV: Tensor, target_BT: Tensor, number_BT: Tensor) -> Losses:
    """The cross entropy of each target, int64, IGNORED where there is none. number: of the targets' segments."""
    values = cross_entropy(logits_BTV.flatten(0, 1), target_BT.flatten()).view_as(target_BT)
    return Losses(values, target_BT != IGNORED, number_BT)


class Objective(Protocol):
    """What is learnt from a batch. Pure: equal batches give equal tensors, on any number of workers."""

    def tensors(self, batch: Batch, device: torch.device) -> Any:
        """The batch, cut to the rows of one forward pass, as tensors on a device."""

    def losses(self, model: nn.Module, tensors: Any) -> Losses:
        """One forward pass."""


def on_device(arrays: Sequence[npt.NDArray[Any]], device: torch.device) -> list[Tensor]:
    """The arrays as tensors. To an accelerator they are copied while it computes: the host does not wait."""
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    if device.type == "cpu":
        return tensors
    return [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]
