"""Causal attention inside documents, and the rotary positions that go with it.

Documents cannot see each other by construction: attention and positions are both derived from the segment numbers that
come with the tokens. Three paths compute the same:

documents: one causal call for each document; work grows with the square of the document, not of the row. Shapes differ
    from batch to batch, which neither a compiler nor an accelerator's queue can have.
mask: one call over whole rows with a block-diagonal mask (B, 1, T, T); shapes are fixed.
flex: one fused kernel over whole rows that skips blocks of 128 by 128 tokens without a pair to see; shapes are fixed,
    and the list of blocks is made on the device, so the host never waits to learn where documents end. It is a part of
    a compiled layer: not compiled, it holds all scores (B, H, T, T), and on a CPU it has no gradients.

Flash attention over a list of documents (torch's varlen_attn) would skip more, but has no fp32, and the length of its
list is known to the host alone or must be as long as the rows have tokens: a program for each place of that list is
started in every head.
Letters in shapes: B rows, T tokens of a row, H heads, K key-value heads, D width of a head.
Sources: Su et al. 2021 (rotary positions), Ainslie et al. 2023 (grouped queries), Dong et al. 2024 (flex attention).
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from trainer.config import ModelConfig

Path = Literal["documents", "mask", "flex"]
_flex: Any = flex_attention  # its type says that it may return a tuple; without auxiliary outputs it does not
# Below this flex_attention has no kernel.
MIN_FLEX_HEAD_WIDTH = 16


def attention_path(device_type: str, compiled: bool, head_width: int) -> Path:
    """The path that suits a device; compiled: the layers go through torch.compile."""
    if device_type == "cuda" and compiled and head_width >= MIN_FLEX_HEAD_WIDTH:
        return "flex"
    return "documents" if device_type == "cpu" and not compiled else "mask"


def positions_in_segment(segment_BT: Tensor) -> Tensor:
    """int64 (B, T): place of each token in its run of equal segment numbers, from 0."""
    index = torch.arange(segment_BT.shape[1], device=segment_BT.device).expand_as(segment_BT)
    starts = torch.ones_like(segment_BT, dtype=torch.bool)
    starts[:, 1:] = segment_BT[:, 1:] != segment_BT[:, :-1]
    return index - torch.where(starts, index, 0).cummax(dim=1).values


class Layout:
    """What attention and rotary positions need to know of a batch; made once, used by every layer.

    segment_BT: int64, equal numbers side by side are one document. dropout_seeds_B: of the rows, see
    trainer/dropout.py; they travel with the batch, so that layers computed again in the backward pass drop the same.
    """

    def __init__(
        self, segment_BT: Tensor, config: ModelConfig, path: Path, dropout_seeds_B: Tensor | None = None
    ) -> None:
        self.dropout_seeds_B = dropout_seeds_B
        position_BT = positions_in_segment(segment_BT)
        half = config.head_width // 2
        frequency = config.rope_theta ** (-torch.arange(half, device=segment_BT.device, dtype=torch.float32) / half)
        angle_BT1F = position_BT[:, :, None, None] * frequency
        self.cos, self.sin = angle_BT1F.cos(), angle_BT1F.sin()
        self.lengths = _lengths(position_BT) if path == "documents" else []
        self.mask_B1TT = _mask(segment_BT) if path == "mask" else None
        self.blocks = _blocks(segment_BT) if path == "flex" else None


def _lengths(position_BT: Tensor) -> list[int]:
    """Tokens of each document of all rows, in order."""
    starts = torch.nonzero(position_BT.flatten() == 0).flatten()
    ends = torch.cat([starts[1:], starts.new_tensor([position_BT.numel()])])
    return (ends - starts).tolist()


def _mask(segment_BT: Tensor) -> Tensor:
    """Bool (B, 1, T, T): whether a token sees another."""
    tokens = segment_BT.shape[1]
    same = segment_BT[:, :, None] == segment_BT[:, None, :]
    causal = torch.ones(tokens, tokens, dtype=torch.bool, device=segment_BT.device).tril()
    return (same & causal)[:, None]


def _blocks(segment_BT: Tensor) -> BlockMask:
    """The same, as a list of the blocks that are not empty."""

    def sees(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (segment_BT[row, query] == segment_BT[row, key]) & (query >= key)

    rows, tokens = segment_BT.shape
    return create_block_mask(sees, rows, None, tokens, tokens, device=segment_BT.device)


def rotate(x_BTHD: Tensor, layout: Layout) -> Tensor:
    """Rotary positions on the two halves of each head, as Llama checkpoints have them."""
    first, second = x_BTHD.chunk(2, dim=-1)
    cos, sin = layout.cos.to(x_BTHD.dtype), layout.sin.to(x_BTHD.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def attend(q_BTHD: Tensor, k_BTKD: Tensor, v_BTKD: Tensor, layout: Layout) -> Tensor:
    """Causal attention within documents; returns (B, T, H, D)."""
    if layout.lengths:
        # split, not slices: its backward is one concatenation instead of a zero-filled copy per document.
        pieces = (torch.split(x.flatten(0, 1), layout.lengths) for x in (q_BTHD, k_BTKD, v_BTKD))
        return torch.cat([_attend_one(*piece) for piece in zip(*pieces, strict=True)]).view_as(q_BTHD)
    q, k, v = (x.transpose(1, 2) for x in (q_BTHD, k_BTKD, v_BTKD))
    if layout.blocks is None:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=layout.mask_B1TT, enable_gqa=True)
    else:
        out = _flex(q, k, v, block_mask=layout.blocks, enable_gqa=True)
    return out.transpose(1, 2)


def _attend_one(q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor) -> Tensor:
    """Causal attention within one document; returns (T, H, D)."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q_THD, k_TKD, v_TKD))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)[0].transpose(0, 1)
