"""Dropout as a function of what is dropped: the same on any arrangement of workers and after a resume.

Whether a number of a layer's output stays is decided by the sample its row is, the layer and the place in the row, by
the draws of trainer/draws.py in torch's int64. That costs about ten passes over an output, which a compiler joins.
"""

import torch
from torch import Tensor, nn

from trainer.draws import draw
from trainer.order import Rows

_GOLDEN_RATIO = 0x9E3779B97F4A7C15 - (1 << 64)
_FACTORS = 0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64)
_BITS = 24


def dropout_seeds(seed: int, samples: Rows, device: torch.device) -> Tensor:
    """int64 (num_rows,): what decides all that is dropped of each row. samples: places in training, -1 for padding."""
    return torch.from_numpy(draw(f"dropout {seed}", samples.clip(0)).view("int64")).to(device)


class Dropout(nn.Module):
    """Sets numbers to 0 with the chance `ratio` and scales the others by 1 / (1 - ratio), in training alone.

    Source: Srivastava et al. 2014.
    """

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, x_BTW: Tensor, seeds_B: Tensor | None, place: Tensor) -> Tensor:
        """seeds_B: of dropout_seeds; None where nothing is to be dropped. place: int64 (), of the output."""
        if not self.training or not self.ratio or seeds_B is None:
            return x_BTW
        return x_BTW * kept(seeds_B, place, x_BTW.shape[1:], self.ratio).to(x_BTW.dtype) / (1.0 - self.ratio)


def kept(seeds_B: Tensor, place: Tensor, shape: torch.Size, ratio: float) -> Tensor:
    """Bool (B, *shape): whether a number stays, to 2**-24 in chance."""
    counters = torch.arange(shape.numel(), device=seeds_B.device)
    seeds_B1 = _mix(seeds_B + (place + 1) * _GOLDEN_RATIO)[:, None]
    draws = _mix(seeds_B1 + (counters + 1) * _GOLDEN_RATIO)
    upper = _shifted(draws, 64 - _BITS)
    return (upper >= round(ratio * (1 << _BITS))).view(-1, *shape)


def _mix(values: Tensor) -> Tensor:
    """trainer.order.mix for int64, which wraps mod 2**64 as uint64 does."""
    values = (values ^ _shifted(values, 30)) * _FACTORS[0]
    values = (values ^ _shifted(values, 27)) * _FACTORS[1]
    return values ^ _shifted(values, 31)


def _shifted(values: Tensor, bits: int) -> Tensor:
    """The bits moved down, zeros above, as those of a uint64."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)
