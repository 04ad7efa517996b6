"""Masked language modelling on packed rows: some text tokens are hidden, and the model says what they were.

What is hidden is a pure function of seed, row, its place in training and the token's position, so it is the same on
any number of workers and after a resume, and new each time that a row is read again. Documents do not see each other:
attention is masked by segment, and positions start again with each. Special tokens, of which end of text is one, are
never hidden and never drawn.
Source: Devlin et al. 2019, section 3.1; a token is chosen on its own, not a fixed number in each row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from trainer.config import MaskingConfig, TrainConfig
from trainer.draws import below, draw, fraction
from trainer.objectives.base import Losses, losses_of, on_device
from trainer.order import Rows
from trainer.special_tokens import SpecialIds, read_special
from trainer.stream import Batch
from trainer.token_losses import IGNORED

if TYPE_CHECKING:
    from trainer.data import Data


@dataclass(frozen=True)
class Masking:
    """How tokens are hidden. vocab_size: of the corpus; special: numbers of its tokenizer's special tokens by text."""

    config: MaskingConfig
    seed: int
    vocab_size: int
    end_of_text_id: int
    special: Mapping[str, int]

    @classmethod
    def of(cls, config: TrainConfig, data: "Data") -> "Masking":
        """What a run's config and data say."""
        special = read_special(data.tokenizer)
        return cls(config.masking, config.seed, data.vocab_size, data.end_of_text_id, special)

    @cached_property
    def ids(self) -> SpecialIds:
        """Of the tokens that only the model knows."""
        return SpecialIds.of(self.special, self.vocab_size)

    @cached_property
    def ordinary(self) -> Rows:
        """int64, rising: the tokens of the vocabulary that are not special."""
        return np.setdiff1d(np.arange(self.vocab_size), [self.end_of_text_id, *self.special.values()])

    def is_text(self, batch: Batch) -> npt.NDArray[np.bool_]:
        """Bool (num_rows, length + 1): neither padding nor end of text."""
        is_text: npt.NDArray[np.bool_] = (batch.segment >= 0) & (batch.tokens != self.end_of_text_id)
        return is_text

    def draw(self, what: str, batch: Batch, counter: Rows) -> npt.NDArray[np.uint64]:
        """uint64 (num_rows, n): draws for each row of a batch and each value of a counter (n,)."""
        return draw(f"{what}\0{self.seed}", batch.rows[:, None], batch.samples[:, None], counter)

    def hide(self, batch: Batch) -> tuple[Rows, Rows]:
        """int64 (num_rows, length + 1) twice: the tokens that the model sees; those to predict, IGNORED elsewhere."""
        position = np.arange(batch.tokens.shape[1])
        tokens = batch.tokens.astype(np.int64)
        chosen = fraction(self.draw("masked", batch, position)) < self.config.ratio
        is_target = chosen & (batch.segment >= 0) & np.isin(tokens, self.ordinary)
        # Any of them, the hidden one too.
        other = self.ordinary[below(self.draw("other token", batch, position), len(self.ordinary))]
        action = fraction(self.draw("action", batch, position))
        seen = np.where(action < self.config.mask_ratio + self.config.random_ratio, other, tokens)
        seen = np.where(action < self.config.mask_ratio, self.ids.mask, seen)
        return np.where(is_target, seen, tokens), np.where(is_target, tokens, IGNORED)


@dataclass(frozen=True)
class Tensors:
    """A batch on a device, all int64 (B, T): what is seen; segment within the row, -1 for padding; target, IGNORED
    where there is none; number of the segment, counted over the batch.
    """

    inputs: Tensor
    segment: Tensor
    target: Tensor
    number: Tensor


@dataclass(frozen=True)
class Masked:
    """The objective of a MaskedBert: all length + 1 tokens of a row are seen."""

    masking: Masking

    def tensors(self, batch: Batch, device: torch.device) -> Tensors:
        seen, target = self.masking.hide(batch)
        return Tensors(*on_device((seen, batch.segment, target, batch.segment_number), device))

    def losses(self, model: nn.Module, tensors: Tensors) -> Losses:
        logits_BTV = model(tensors.inputs, tensors.segment)
        return losses_of(logits_BTV, tensors.target, tensors.number)
