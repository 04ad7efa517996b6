"""AdamW, and the learning rate as a function of the step."""

import math

import torch

from trainer.config import OptimizerConfig, ScheduleConfig
from trainer.model import Decoder


def make_optimizer(model: Decoder, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over two groups: matrices with weight decay, norms without (Loshchilov and Hutter 2019)."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def lr_ratio(step: int, steps: int, config: ScheduleConfig) -> float:
    """Share of the learning rate for a step in [1, steps]: step / warmup_steps, then down to min_ratio at the last."""
    if step <= config.warmup_steps:
        return step / config.warmup_steps
    progress = (step - config.warmup_steps) / (steps - config.warmup_steps)
    remaining = 0.5 * (1.0 + math.cos(math.pi * progress)) if config.decay == "cosine" else 1.0 - progress
    return config.min_ratio + (1.0 - config.min_ratio) * remaining


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use this learning rate for the next update of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
