"""Direct preference optimisation: make the preferred answer likelier than the other, not far from a reference model.

loss = -log sigmoid(margin), margin = beta * ((log p(chosen) - log r(chosen)) - (log p(rejected) - log r(rejected)))
with p the model that trains and r the frozen one that it started from. Source: Rafailov et al. 2023, equation 7.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.lora import without_lora
from trainer.objectives import causal
from trainer.objectives.base import Losses
from trainer.stream import Batch


@dataclass(frozen=True)
class Tensors:
    """The tokens of some pairs: segment 2n holds the preferred answer of pair n, segment 2n + 1 the other."""

    tokens: causal.Tensors
    num_segments: int


class Preference:
    """One target a pair. reference: the model that the run started from; None: the model without its low-rank updates.

    Reports `accuracy`, the share of pairs with a margin above 0, and `margin`.
    """

    def __init__(self, beta: float, reference: nn.Module | None) -> None:
        self.beta = beta
        self.reference = None if reference is None else reference.eval().requires_grad_(False)

    def tensors(self, batch: Batch, device: torch.device) -> Tensors:
        return Tensors(causal.Causal().tensors(batch, device), batch.total_segments)

    def losses(self, model: nn.Module, tensors: Tensors) -> Losses:
        with torch.no_grad(), self._frozen(model) as reference:
            before = _log_likelihoods(reference, tensors)
        gained = _log_likelihoods(model, tensors) - before
        margin = self.beta * (gained[0::2] - gained[1::2])
        number = torch.arange(0, tensors.num_segments, 2, device=margin.device)
        detached = margin.detach()
        measures = {"accuracy": (detached > 0).float(), "margin": detached}
        return Losses(-F.logsigmoid(margin), torch.ones_like(number, dtype=torch.bool), number, measures)

    @contextmanager
    def _frozen(self, model: nn.Module) -> Iterator[nn.Module]:
        if self.reference is not None:
            yield self.reference.to(next(model.parameters()).device)
            return
        training = model.training
        with without_lora(model.eval()):
            yield model
        model.train(training)


def _log_likelihoods(model: nn.Module, tensors: Tensors) -> Tensor:
    """float32 (num_segments,): log-probability of each segment's answer, nats."""
    losses = causal.Causal().losses(model, tensors.tokens)
    sums = losses.values.new_zeros(tensors.num_segments)
    # A place that is no target may lie in padding and have no segment; its loss is 0 wherever it is added.
    return sums.index_add(0, losses.segment[losses.is_target], -losses.values[losses.is_target])
