"""A Llama-shaped decoder: RMSNorm, rotary positions, grouped-query attention, SwiGLU, no biases.

Parameter names are those of Llama checkpoints. trainer/attention.py keeps documents apart.
Letters in shapes: B rows, T tokens of a row, N tokens, W width, V vocabulary.
Source: Touvron et al. 2023 (Llama).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate

from trainer.attention import Layout, Path, attend, attention_path, rotate
from trainer.config import ModelConfig
from trainer.dropout import Dropout
from trainer.token_losses import CrossEntropy, chunked_losses, cross_entropy, num_chunks

INIT_STD = 0.02


class Attention(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_width = config.head_width
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
    places: Tensor

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.mlp = Mlp(config)
        self.dropout = Dropout(config.dropout)
        # A tensor, for a number would have every layer compiled on its own.
        self.register_buffer("places", torch.tensor([2 * layer, 2 * layer + 1]), persistent=False)

    def forward(self, x_BTW: Tensor, layout: Layout) -> Tensor:
        attended_BTW = self.self_attn(self.input_layernorm(x_BTW), layout)
        x_BTW = x_BTW + self.dropout(attended_BTW, layout.dropout_seeds_B, self.places[0])
        fed_BTW = self.mlp(self.post_attention_layernorm(x_BTW))
        out: Tensor = x_BTW + self.dropout(fed_BTW, layout.dropout_seeds_B, self.places[1])
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
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
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
        self.attention: Path | None = None  # None: what suits the device of a batch, without a compiler
        self.nats: CrossEntropy = cross_entropy
        # Of the rows of the next forward pass, see trainer/dropout.py; without them nothing is dropped.
        self.dropout_seeds_B: Tensor | None = None
        self.model = Body(config, vocab_size)
        self.lm_head = None if config.tied else nn.Linear(config.width, vocab_size, bias=False)
        self._initialise(seed)

    def forward(self, x: Tensor, segment_BT: Tensor, target_BT: Tensor | None = None) -> Tensor:
        """Logits (B, T, V) of the token after each; from a stage that is not the last, hidden states (B, T, W).

        x: int64 tokens (B, T) in [0, V), for a later stage hidden states; segment_BT: int64, as Layout says.
        With target_BT (int64, IGNORED where there is none) the cross entropy of each instead, float32 (B, T) in nats;
        for many tokens and words this needs much less memory than logits.
        """
        path = self.attention or attention_path(segment_BT.device.type, False, self.config.head_width)
        x_BTW: Tensor = self.model(x, Layout(segment_BT, self.config, path, self.dropout_seeds_B))
        if self.model.norm is None:
            return x_BTW
        if target_BT is None:
            return self._logits(x_BTW)
        num = num_chunks(target_BT.numel(), self._output().shape[0])
        losses = chunked_losses(self._logits, x_BTW.flatten(0, 1), target_BT.flatten(), num, self.nats)
        return losses.view_as(target_BT)

    def compile_parts(self, device_type: str) -> None:
        """Compile the layers, which are alike, once, and the cross entropy; every batch must have one shape."""
        self.attention = attention_path(device_type, True, self.config.head_width)
        self.nats = torch.compile(cross_entropy)
        for layer in self.model.layers:
            if not isinstance(layer, Elsewhere):
                layer.compile()

    def _output(self) -> Tensor:
        """The output matrix (V, W)."""
        matrix = self.model.embed_tokens if self.lm_head is None else self.lm_head
        assert matrix is not None
        return matrix.weight

    def _logits(self, x: Tensor) -> Tensor:
        """Hidden states (..., W) times the output matrix; where workers share that, their parts are put together."""
        weight_VW = self._output()
        if not isinstance(weight_VW, DTensor):
            return F.linear(x, weight_VW)
        logits = F.linear(DTensor.from_local(x, weight_VW.device_mesh, [Replicate()]), weight_VW)
        assert isinstance(logits, DTensor)
        return logits.redistribute(placements=[Replicate()]).to_local()

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
