"""Next-token prediction inside documents, with the loss by source.

The token after each token is a target only if both lie in the same segment: the first token of a segment is never
predicted, nor is padding. Losses are in nats.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.model import Decoder
from trainer.stream import Batch

IGNORED = -100


@dataclass(frozen=True)
class Tensors:
    """A batch on a device, all int64 (B, T). target: IGNORED where there is none; source: that of the target."""

    inputs: Tensor
    segment: Tensor
    target: Tensor
    source: Tensor


def target_mask(batch: Batch) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Bool (num_rows, length): the next token is predicted from this one."""
    mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = (batch.segment[:, 1:] == batch.segment[:, :-1]) & (
        batch.segment[:, 1:] >= 0
    )
    return mask


def to_tensors(batch: Batch, rows: slice, device: torch.device) -> Tensors:
    """Some rows of a batch as tensors, targets shifted by one."""
    tokens = batch.tokens[rows].astype(np.int64)
    target = np.where(target_mask(batch)[rows], tokens[:, 1:], IGNORED)
    arrays = (tokens[:, :-1], batch.segment[rows, :-1], target, batch.source[rows, 1:])
    return Tensors(*(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays))


def token_losses(model: Decoder, tensors: Tensors) -> Tensor:
    """float32 (B, T): -ln p(target); 0 where there is no target."""
    logits_BTV = model(tensors.inputs, tensors.segment)
    losses = F.cross_entropy(
        logits_BTV.flatten(0, 1).float(), tensors.target.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return losses.view_as(tensors.target)


def by_source(losses_BT: Tensor, tensors: Tensors, num_sources: int) -> Tensor:
    """float64 (2, num_sources): sum of losses, and number of targets, of each source."""
    is_target = tensors.target != IGNORED
    source = tensors.source[is_target]
    result = torch.zeros(2, num_sources, dtype=torch.float64, device=losses_BT.device)
    losses = losses_BT.detach()[is_target].double()
    result[0].scatter_add_(0, source, losses)
    result[1].scatter_add_(0, source, torch.ones_like(losses))
    return result
