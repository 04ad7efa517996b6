"""Weights as int8 with one scale for each output channel: a quarter of the bytes of fp32, and a small change of loss.

Format "gristmill-int8/1", a safetensors file: of each matrix NAME, int8 of its shape (rows, columns), and
NAME + ".scale", fp32 (rows,); the weight is int8 * scale of its row. Everything else (norms) stays fp32. A row's scale
is its largest absolute weight / 127, so 0 stays 0 and the range is symmetric. Activations are not quantized.
Source: Dettmers et al. 2022 (LLM.int8()), section 2.1, absmax quantization by row.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

WEIGHTS = "model.int8.safetensors"
FORMAT = "gristmill-int8/1"
SCALE = ".scale"
LARGEST = 127


def quantize(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the int8 file. weights: fp32; those of two dimensions become int8."""
    found: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.ndim != 2:
            found[name] = weight
            continue
        scale = weight.abs().amax(dim=1) / LARGEST
        # A row of zeros has scale 0 and stays zeros.
        found[name] = torch.round(weight / scale.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).to(torch.int8)
        found[name + SCALE] = scale
    return found


def dequantize(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The fp32 weights that an int8 file stands for; each is at most half a scale away from what it was."""
    return {
        name: tensor.float() * tensors[name + SCALE][:, None] if tensor.dtype == torch.int8 else tensor
        for name, tensor in tensors.items()
        if not name.endswith(SCALE)
    }
