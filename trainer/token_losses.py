"""Cross entropy of next tokens without all logits at once.

Logits of a micro-batch in fp32, with their gradient, are the largest tensors of a small model: 16,384 tokens times a
vocabulary of 50,304 are 3.3 GB. Above a size, tokens are taken in chunks whose logits are dropped after the forward
pass and computed again in the backward pass, which costs a third more for the output layer alone.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

IGNORED = -100  # torch's and transformers' label of what is no target
# 512 MiB in fp32: chunks stay long enough (2,668 tokens of 50,304 words) for matrix products at full speed.
MAX_LOGITS = 1 << 27

CrossEntropy = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits_NV: Tensor, target_N: Tensor) -> Tensor:
    """float32 (N,): nats of each target, 0 where it is IGNORED. Logits of any float type; computed in fp32."""
    return F.cross_entropy(logits_NV.float(), target_N, ignore_index=IGNORED, reduction="none")


def num_chunks(num_tokens: int, vocab_size: int, max_logits: int = MAX_LOGITS) -> int:
    """A power of two, so that chunks of usual lengths are equal: a compiler then sees one shape."""
    return 1 << (max(0, num_tokens * vocab_size - 1) // max_logits).bit_length()


def chunked_losses(
    to_logits: Callable[[Tensor], Tensor], hidden_NW: Tensor, target_N: Tensor, num: int, nats: CrossEntropy
) -> Tensor:
    """float32 (N,): `nats` of to_logits(hidden) in `num` chunks of tokens; one keeps its logits for the backward pass.

    to_logits: hidden states (n, W) -> logits (n, V).
    """
    if num == 1:
        return nats(to_logits(hidden_NW), target_N)
    device_type = hidden_NW.device.type

    def chunk(hidden: Tensor, target: Tensor) -> Tensor:
        # Without its cache each chunk casts the output matrix anew, so that their gradients are added up in fp32.
        enabled = torch.is_autocast_enabled(device_type)
        with torch.autocast(device_type, enabled=enabled, cache_enabled=False):
            return nats(to_logits(hidden), target)

    size = -(-len(target_N) // num)
    parts = zip(torch.split(hidden_NW, size), torch.split(target_N, size), strict=True)
    found = [checkpoint(chunk, *part, use_reentrant=False, preserve_rng_state=False) for part in parts]
    return torch.cat(found)
