"""A Llama-shaped decoder: RMSNorm, rotary positions, grouped-query attention, SwiGLU, no biases.

Parameter names are those of Llama checkpoints. Documents cannot see each other by construction: attention and
positions are both derived from the segment numbers that come with the tokens.
Letters in shapes: B rows, T tokens of a row, H heads, K key-value heads, D width of a head, W width, V vocabulary.
Sources: Touvron et al. 2023 (Llama), Su et al. 2021 (rotary positions), Ainslie et al. 2023 (grouped queries).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate

from trainer.config import ModelConfig

INIT_STD = 0.02


def positions_in_segment(segment_BT: Tensor) -> Tensor:
    """int64 (B, T): place of each token in its run of equal segment numbers, from 0."""
    index = torch.arange(segment_BT.shape[1], device=segment_BT.device).expand_as(segment_BT)
    starts = torch.ones_like(segment_BT, dtype=torch.bool)
    starts[:, 1:] = segment_BT[:, 1:] != segment_BT[:, :-1]
    return index - torch.where(starts, index, 0).cummax(dim=1).values


class Layout:
    """What attention and rotary positions need to know of a batch; made once, used by every layer.

    segment_BT: int64, equal numbers side by side are one document. `masked` chooses how documents are kept apart: one
    block-diagonal causal mask over whole rows (accelerators), or one causal call per document (CPU: work grows
    with the square of the document, not of the row).
    """

    def __init__(self, segment_BT: Tensor, config: ModelConfig, masked: bool) -> None:
        rows, tokens = segment_BT.shape
        position_BT = positions_in_segment(segment_BT)
        half = config.width // config.heads // 2
        frequency = config.rope_theta ** (-torch.arange(half, device=segment_BT.device, dtype=torch.float32) / half)
        angle_BT1F = position_BT[:, :, None, None] * frequency
        self.cos, self.sin = angle_BT1F.cos(), angle_BT1F.sin()
        self.mask_B1TT: Tensor | None = None
        self.lengths: list[int] = []
        if masked:
            same = segment_BT[:, :, None] == segment_BT[:, None, :]
            causal = torch.ones(tokens, tokens, dtype=torch.bool, device=segment_BT.device).tril()
            self.mask_B1TT = (same & causal)[:, None]
        else:
            starts = torch.nonzero(position_BT.flatten() == 0).flatten()
            ends = torch.cat([starts[1:], starts.new_tensor([rows * tokens])])
            self.lengths = (ends - starts).tolist()


def rotate(x_BTHD: Tensor, layout: Layout) -> Tensor:
    """Rotary positions on the two halves of each head, as Llama checkpoints have them."""
    first, second = x_BTHD.chunk(2, dim=-1)
    cos, sin = layout.cos.to(x_BTHD.dtype), layout.sin.to(x_BTHD.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def attend(q_BTHD: Tensor, k_BTKD: Tensor, v_BTKD: Tensor, layout: Layout) -> Tensor:
    """Causal attention within documents; returns (B, T, H, D)."""
    if layout.mask_B1TT is not None:
        q, k, v = (x.transpose(1, 2) for x in (q_BTHD, k_BTKD, v_BTKD))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=layout.mask_B1TT, enable_gqa=True)
        return out.transpose(1, 2)
    # split, not slices: its backward is one concatenation instead of a zero-filled copy per document.
    pieces = (torch.split(x.flatten(0, 1), layout.lengths) for x in (q_BTHD, k_BTKD, v_BTKD))
    return torch.cat([_attend_one(*piece) for piece in zip(*pieces, strict=True)]).view_as(q_BTHD)


def _attend_one(q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor) -> Tensor:
    """Causal attention within one document; returns (T, H, D)."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q_THD, k_TKD, v_TKD))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)[0].transpose(0, 1)


class Attention(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_width = config.width // config.heads
        kv_width = self.head_width * config.kv_heads
        self.q_proj = nn.Linear(config.width, config.width, bias=False)
        self.k_proj = nn.Linear(config.width, kv_width, bias=False)
        self.v_proj = nn.Linear(config.width, kv_width, bias=False)
        self.o_proj = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x_BTW: Tensor, layout: Layout) -> Tensor:
        q, k, v = (
            projection(x_BTW).unflatten(-1, (-1, self.head_width))
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        out: Tensor = self.o_proj(attend(rotate(q, layout), rotate(k, layout), v, layout).flatten(-2))
        return out


class Mlp(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.hidden, bias=False)
        self.up_proj = nn.Linear(config.width, config.hidden, bias=False)
        self.down_proj = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x_BTW: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x_BTW)) * self.up_proj(x_BTW))
        return out


class Block(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.mlp = Mlp(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTW: Tensor, layout: Layout) -> Tensor:
        x_BTW = x_BTW + self.dropout(self.self_attn(self.input_layernorm(x_BTW), layout))
        out: Tensor = x_BTW + self.dropout(self.mlp(self.post_attention_layernorm(x_BTW)))
        return out


class Elsewhere(nn.Module):
    """In the place of a layer that another stage of a pipeline holds: names of layers are the same in every stage."""

    def forward(self, x_BTW: Tensor, layout: Layout) -> Tensor:
        return x_BTW


class Body(nn.Module):
    """Everything before the output layer; a module of its own so that names start with `model.` as in Llama."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.embed_tokens: nn.Embedding | None = nn.Embedding(vocab_size, config.width)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm: nn.RMSNorm | None = nn.RMSNorm(config.width, eps=config.norm_epsilon)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """x: tokens (B, T), or hidden states (B, T, W) that another stage has made of them."""
        x_BTW: Tensor = self.embed_tokens(x) if self.embed_tokens is not None and x.ndim == 2 else x
        for layer in self.layers:
            x_BTW = layer(x_BTW, layout)
        return x_BTW if self.norm is None else self.norm(x_BTW)


class Decoder(nn.Module):
    """The language model. Weights depend on (config, vocab_size, seed) alone, not on device or global random state."""

    def __init__(self, config: ModelConfig, vocab_size: int, seed: int) -> None:
        super().__init__()
        self.config = config
        # One mask over whole rows: calls per document have other shapes in every batch, which a compiler cannot have.
        self.masked = False
        self.model = Body(config, vocab_size)
        self.lm_head = None if config.tied else nn.Linear(config.width, vocab_size, bias=False)
        self._initialise(seed)

    def forward(self, x: Tensor, segment_BT: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each; from a stage that is not the last, hidden states (B, T, W).

        x: int64 tokens (B, T) in [0, V), for a later stage hidden states; segment_BT: int64, as Layout says.
        """
        layout = Layout(segment_BT, self.config, self.masked or segment_BT.device.type != "cpu")
        x_BTW: Tensor = self.model(x, layout)
        if self.model.norm is None:
            return x_BTW
        matrix = self.model.embed_tokens if self.lm_head is None else self.lm_head
        assert matrix is not None
        return _logits(x_BTW, matrix.weight)

    def keep_stage(self, stage: int, num_stages: int) -> None:
        """Forget all but one of the stages of a pipeline, which have about the same number of layers.

        A tied embedding matrix stays in the first stage and in the last.
        """
        ends = [self.config.layers * number // num_stages for number in range(num_stages + 1)]
        for number in range(self.config.layers):
            if not ends[stage] <= number < ends[stage + 1]:
                self.model.layers[number] = Elsewhere()
        is_last = stage == num_stages - 1
        if stage and not (is_last and self.lm_head is None):
            self.model.embed_tokens = None
        if not is_last:
            self.model.norm = self.lm_head = None

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        """Normal(0, 0.02); what adds to the residual stream is scaled by 1 / sqrt(2 * layers) (Radford et al. 2019)."""
        generator = torch.Generator().manual_seed(seed)
        residual_std = INIT_STD / (2 * self.config.layers) ** 0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0)
                continue
            std = residual_std if name.endswith(("o_proj.weight", "down_proj.weight")) else INIT_STD
            parameter.normal_(0.0, std, generator=generator)


def _logits(x_BTW: Tensor, weight_VW: Tensor) -> Tensor:
    """Hidden states times the output matrix; where workers share that, the parts of all of them are put together."""
    if not isinstance(weight_VW, DTensor):
        return F.linear(x_BTW, weight_VW)
    whole = DTensor.from_local(x_BTW, weight_VW.device_mesh, [Replicate()])
    logits = F.linear(whole, weight_VW)
    assert isinstance(logits, DTensor)
    return logits.redistribute(placements=[Replicate()]).to_local()
