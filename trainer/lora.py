"""Low-rank updates of linear layers through the peft library, which puts them into a model in place.

A checkpoint holds the frozen weights too: it needs nothing else to go on or to be read. Readers merge the updates.
Source: Hu et al. 2021.
"""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from manifests.errors import RecipeError
from trainer.config import LoraConfig
from trainer.hugging_face import Adapter
from trainer.model import Decoder


def add_lora(model: nn.Module, config: LoraConfig, seed: int, *, train_head: bool) -> nn.Module:
    """Freeze the model and give every linear layer below the output a trainable update, zero at first; changes it.

    train_head: the output layer trains too (a new one for labels). Weights of the updates depend on the seed alone.
    """
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    heads = head_names(model)
    targets = [name for name, module in model.named_modules() if _is_linear(module) and not name.startswith(heads)]
    if not targets:
        raise RecipeError(f"lora: {type(model).__name__} has no linear layers below its output. Remove [lora].")
    shape: dict[str, Any] = {"r": config.rank, "lora_alpha": config.alpha, "lora_dropout": config.dropout}
    settings = PeftConfig(**shape, target_modules=targets, bias="none")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # GPT-2's matrices lie the other way round; peft sees it, sets what it needs and warns.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
        torch.default_generator.manual_seed(seed)
        inject_adapter_in_model(settings, model)
    if train_head:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(parameter.requires_grad or name.startswith(heads))
    return model


def head_names(model: nn.Module) -> tuple[str, ...]:
    """How the names of the output layer, and of all that was made for labels, begin."""
    if isinstance(model, Decoder):
        return ("lm_head",)
    assert isinstance(model, Adapter)
    return model.head_names


@contextlib.contextmanager
def without_lora(model: nn.Module) -> Iterator[None]:
    """Inside, the model is what it was before tuning."""
    layers = _layers(model)
    for _, layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for _, layer in layers:
            layer.enable_adapters(True)


@torch.no_grad()
def merge_lora(model: nn.Module) -> nn.Module:
    """Add the updates to the weights and take their layers out; changes the model, which then trains whole."""
    for name, layer in _layers(model):
        layer.merge()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())
    return model.requires_grad_(True)


def _layers(model: nn.Module) -> list[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    return [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def _is_linear(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D  # GPT-2's

    return isinstance(module, nn.Linear | Conv1D)
