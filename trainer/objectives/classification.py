"""Which label a text has: one target a segment, from the logits at its last token."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.objectives.base import Losses, on_device
from trainer.stream import Batch


@dataclass(frozen=True)
class Tensors:
    """A batch on a device: tokens and segment int64 (B, T); is_last bool (B, T); labels int64 (num_segments,)."""

    tokens: Tensor
    segment: Tensor
    is_last: Tensor
    labels: Tensor


class Classification:
    """The objective of a model (tokens_BT, segment_BT) -> logits_BTC; reports `accuracy`, the share of right labels."""

    def tensors(self, batch: Batch, device: torch.device) -> Tensors:
        assert batch.labels is not None
        segment = batch.segment
        following = np.pad(segment[:, 1:], ((0, 0), (0, 1)), constant_values=-1)
        arrays = (batch.tokens.astype(np.int64), segment, (segment >= 0) & (segment != following), batch.labels)
        return Tensors(*on_device(arrays, device))

    def losses(self, model: nn.Module, tensors: Tensors) -> Losses:
        logits_SC = model(tensors.tokens, tensors.segment)[tensors.is_last].float()
        values = F.cross_entropy(logits_SC, tensors.labels, reduction="none")
        right = (logits_SC.detach().argmax(dim=-1) == tensors.labels).float()
        number = torch.arange(len(values), device=values.device)
        return Losses(values, torch.ones_like(number, dtype=torch.bool), number, {"accuracy": right})
