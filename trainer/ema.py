"""A moving average of the weights, for evaluation and export."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule


class Ema:
    """fp32 mean of the weights after each update; the one `age` updates ago counts decay**age.

    The weights 1, decay, decay**2, ... are divided by their sum, so the average never holds the weights that training
    began with (as the moments of Kingma and Ba 2015, section 3, do not hold zeros). Only parameters that require a
    gradient are averaged. Averages of DTensors are DTensors of the same layout.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.num_updates = torch.zeros((), dtype=torch.int64)
        self.shadow: dict[str, Tensor] = {
            name: parameter.detach().float().clone()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Count in the weights as they are now; call after each step of the optimisers."""
        self.num_updates += 1
        weight = (1.0 - self.decay) / (1.0 - self.decay ** int(self.num_updates))
        for name, parameter in model.named_parameters():
            if name in self.shadow:
                self.shadow[name].lerp_(parameter.detach().float(), weight)

    @contextlib.contextmanager
    def swapped(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside the block and its own again after it, whatever happens."""
        own = {name: parameter.detach().clone() for name, parameter in model.named_parameters() if name in self.shadow}
        try:
            _put(model, self.shadow)
            yield
        finally:
            _put(model, own)


@torch.no_grad()
def _put(model: nn.Module, weights: dict[str, Tensor]) -> None:
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()  # a forward pass alone leaves the outermost module's weights gathered
    for name, parameter in model.named_parameters():
        if name in weights:
            parameter.copy_(weights[name])
