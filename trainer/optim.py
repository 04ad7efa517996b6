"""Optimisers, the learning rate as a function of the step, and L1 as a step of its own.

Parameters may be DTensors (sharded or split over workers): every rule here is elementwise or torch's own.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from trainer.config import OptimizerConfig, ScheduleConfig
from trainer.muon import Muon


class DecoupledSGD(torch.optim.SGD):
    """SGD with momentum whose weight decay is not a part of the gradient, so that momentum does not repeat it.

    A group's `decay` is its weight decay: weights are scaled by 1 - lr * decay before the update.
    Source: Loshchilov and Hutter 2019, algorithm 1 (SGDW).
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1.0 - group["lr"] * group["decay"])
        return super().step(closure)


def make_optimizers(model: nn.Module, config: OptimizerConfig) -> list[Optimizer]:
    """The optimisers that together update each parameter that requires a gradient once; step all of them.

    "adamw" and "sgd" are one. "muon" is Muon for the matrices of hidden layers and AdamW for all else (embeddings,
    output layers, norms, biases), both at one learning rate and weight decay (trainer/muon.py says why that fits).
    Weight decay acts on matrices only (Loshchilov and Hutter 2019).
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if config.name == "sgd":
        return [DecoupledSGD(_groups(parameters, "decay", config), lr=config.lr, momentum=config.momentum)]
    hidden = hidden_matrices(model) if config.name == "muon" else []
    taken = set(map(id, hidden))
    others = [parameter for parameter in parameters if id(parameter) not in taken]
    made: list[Optimizer] = []
    if hidden:
        made.append(Muon(hidden, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay))
    if others:
        betas = (config.beta1, config.beta2)
        made.append(torch.optim.AdamW(_groups(others, "weight_decay", config), lr=config.lr, betas=betas, fused=True))
    return made


def hidden_matrices(model: nn.Module) -> list[Tensor]:
    """The weights of `hidden_linears` that require a gradient."""
    return [module.weight for module in hidden_linears(model) if module.weight.requires_grad]


def hidden_linears(model: nn.Module) -> list[nn.Linear]:
    """The linear layers that lie in a list of layers: those of its blocks, not embeddings or output."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList | nn.ModuleDict)]
    linear = {id(module): module for blocks in lists for module in blocks.modules() if isinstance(module, nn.Linear)}
    return list(linear.values())


def _groups(parameters: Sequence[Tensor], decay_key: str, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Matrices with weight decay, the rest without; one fused call cannot mix DTensors of several meshes."""
    groups: dict[tuple[bool, object], list[Tensor]] = {}
    for parameter in parameters:
        groups.setdefault((parameter.ndim >= 2, getattr(parameter, "device_mesh", None)), []).append(parameter)
    return [
        {"params": members, decay_key: config.weight_decay if is_matrix else 0.0}
        for (is_matrix, _), members in groups.items()
    ]


def lr_ratio(step: int, steps: int, config: ScheduleConfig) -> float:
    """Share of the learning rate for a step in [1, steps]: step / warmup_steps, then down to min_ratio at the last."""
    if step <= config.warmup_steps:
        return step / config.warmup_steps
    after_warmup = steps - config.warmup_steps
    falling = after_warmup
    if config.decay == "wsd":
        falling = min(after_warmup, max(1, round(config.decay_ratio * steps)))
    progress = max(0.0, (step - steps + falling) / falling)
    remaining = 0.5 * (1.0 + math.cos(math.pi * progress)) if config.decay == "cosine" else 1.0 - progress
    return config.min_ratio + (1.0 - config.min_ratio) * remaining


def set_lr(optimizers: Iterable[Optimizer], lr: float) -> None:
    """Use this learning rate for the next update of every group."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr


@torch.no_grad()
def shrink_l1(parameters: Iterable[Tensor], amount: float) -> None:
    """Move each weight of the matrices that require a gradient by `amount` towards zero; it stops there.

    Called after the optimisers' step with amount = lr * l1, lr being the scheduled rate alone: neither AdamW's division
    by the second moment nor Muon's factor scales it, as they do not scale decoupled weight decay.
    This is the proximal operator of amount * |w| (Parikh and Boyd 2014, section 6.5.2).
    """
    for parameter in parameters:
        if parameter.requires_grad and parameter.ndim >= 2:
            local = parameter.to_local() if isinstance(parameter, DTensor) else parameter.detach()
            local.copy_(F.softshrink(local, amount))
