"""Next-token prediction inside documents.

The token after each token is a target only if both lie in the same segment and, for examples, the loss mask has it:
the first token of a segment is never predicted, nor is padding.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from trainer.model import Decoder
from trainer.objectives.base import Losses, losses_of, on_device
from trainer.stream import Batch
from trainer.token_losses import IGNORED


@dataclass(frozen=True)
class Tensors:
    """A batch on a device, all int64 (B, T).

    segment: number within the row, -1 for padding; target: IGNORED where there is none; number: of the target's
    segment, counted over the batch.
    """

    inputs: Tensor
    segment: Tensor
    target: Tensor
    number: Tensor


def target_mask(batch: Batch) -> npt.NDArray[np.bool_]:
    """Bool (num_rows, length): the next token is predicted from this one."""
    segment = batch.segment
    mask: npt.NDArray[np.bool_] = (segment[:, 1:] == segment[:, :-1]) & (segment[:, 1:] >= 0)
    return mask if batch.loss_mask is None else mask & batch.loss_mask[:, 1:]


class Causal:
    """The objective of a decoder: logits of the token after each."""

    def tensors(self, batch: Batch, device: torch.device) -> Tensors:
        tokens = batch.tokens.astype(np.int64)
        target = np.where(target_mask(batch), tokens[:, 1:], IGNORED)
        arrays = (tokens[:, :-1], batch.segment[:, :-1], target, batch.segment_number[:, 1:])
        return Tensors(*on_device(arrays, device))

    def losses(self, model: nn.Module, tensors: Tensors) -> Losses:
        if not isinstance(model, Decoder):
            return losses_of(model(tensors.inputs, tensors.segment), tensors.target, tensors.number)
        values_BT = model(tensors.inputs, tensors.segment, tensors.target)
        return Losses(values_BT, tensors.target != IGNORED, tensors.number)
