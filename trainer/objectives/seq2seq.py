"""Answers from an encoder that reads the prompt and a decoder that says the answer, token by token."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from trainer.objectives.base import Losses, losses_of, on_device
from trainer.stream import Batch
from trainer.token_losses import IGNORED


@dataclass(frozen=True)
class Tensors:
    """A batch on a device, (B, T): tokens, segment and number (of the segment in the batch) int64; is_answer bool."""

    tokens: Tensor
    segment: Tensor
    number: Tensor
    is_answer: Tensor


class Seq2seq:
    """The objective of a model (tokens_BT, segment_BT, is_answer_BT) -> logits_BTV of each answer's token itself."""

    def tensors(self, batch: Batch, device: torch.device) -> Tensors:
        assert batch.loss_mask is not None
        is_answer = batch.loss_mask & (batch.segment >= 0)
        arrays = (batch.tokens.astype(np.int64), batch.segment, batch.segment_number, is_answer)
        return Tensors(*on_device(arrays, device))

    def losses(self, model: nn.Module, tensors: Tensors) -> Losses:
        logits_BTV = model(tensors.tokens, tensors.segment, tensors.is_answer)
        target = tensors.tokens.masked_fill(~tensors.is_answer, IGNORED)
        return losses_of(logits_BTV, target, tensors.number)
