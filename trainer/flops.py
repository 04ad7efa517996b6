"""Model FLOPs utilisation: the operations that a step needs, as a share of those that its devices can do meanwhile.

A matrix of P weights takes 2 P operations for each token in the forward pass (multiplications and additions), 2 P for
the gradient of what went in and, where it is trained, 2 P for its own: 6 P. Attention takes 4 W in each layer for each
pair of tokens of which one sees the other (W: width of all heads; scores, then values), and twice that backwards:

    FLOPs of a step = tokens * (6 * trained weights + 4 * frozen weights) + pairs * 12 * layers * W

Weights are those of linear layers with the output layer, tied or not; looking up an embedding multiplies nothing.
Tokens are those of documents, and a document of L tokens has L (L + 1) / 2 pairs, L * L where a token sees those after
it. So padding, masked scores, what is computed twice to save memory, a teacher and a reference model count nothing.
The time is StepResult.seconds: what lies between steps (waiting for rows, recording, evaluations, copies of
checkpoints) is not in it, so the figure is of training and not of the whole run.
Sources: Chowdhery et al. 2022 (PaLM), appendix B, 6 N + 12 L H Q T for each token; its T, the context, stands for the
keys of each token, of which causal attention needs half and documents in rows fewer: our figure is the lower one.
Kaplan et al. 2020, section 2.1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainer.hugging_face import Adapter
from trainer.model import Decoder
from trainer.stream import Batch

# Dense bf16 operations in a second, by what the device's name holds; the first that fits. Source: NVIDIA's data sheets
# (theirs are with sparsity, twice as much).
PEAKS = {
    "H200 NVL": 835.5e12, "H200": 989.5e12, "H100 PCIe": 756.5e12, "H100 NVL": 835.5e12, "H100": 989.5e12,
    "A100": 312e12,
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Operations of forward and backward pass for each token, and for each pair of tokens that see each other.

    causal: a token sees itself and those before it in its document; else all of it.
    """

    per_token: int
    per_pair: int
    causal: bool = True

    def flops(self, batch: Batch) -> float:
        """What a step on these rows takes."""
        lengths = batch.segment_length.astype(np.float64)
        pairs = lengths * (lengths + 1) / 2 if self.causal else lengths**2
        return float(lengths.sum() * self.per_token + pairs.sum() * self.per_pair)


def cost_of(model: nn.Module) -> Cost | None:
    """The cost of a model that is whole on this worker; None where the formula does not hold for it.

    It holds for the project's decoder, and of transformers' models for those of attention layers that see each token
    once: not for encoder-decoders.
    """
    named = ((module, dict(module.named_parameters(recurse=False)).get("weight")) for module in model.modules())
    weights: list[Tensor] = [
        weight
        for module, weight in named
        if weight is not None and weight.ndim == 2 and not isinstance(module, nn.Embedding)
    ]
    if isinstance(model, Decoder) and model.lm_head is None and model.model.embed_tokens is not None:
        weights.append(model.model.embed_tokens.weight)
    per_token = sum((6 if weight.requires_grad else 4) * weight.numel() for weight in weights)
    if isinstance(model, Decoder):
        return Cost(per_token, 12 * model.config.layers * model.config.width)
    if not isinstance(model, Adapter) or model.kind == "seq2seq":
        return None
    config: Any = model.inner.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    if heads is None:
        return None
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    return Cost(per_token, 12 * config.num_hidden_layers * width, causal=model.kind == "causal")


def peak_flops(device: torch.device) -> float | None:
    """Operations in a second that the device is sold for, in bf16; None for a CPU and for what PEAKS does not have.

    A CPU's would have to be measured, and on a machine that others use too it would tell more of them than of us.
    """
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)
