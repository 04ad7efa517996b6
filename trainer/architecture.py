"""What a model is beside its weights: enough to make it again, without the folder it came from.

Kinds: "decoder" is ours, with labels a decoder whose output layer has a row for each label instead of each token. The
others are models of the transformers library in the adapters of trainer/hugging_face.py, or for masked objectives of
trainer/bert.py, made from their config alone: nothing is downloaded and no code that comes with a model is run.
"""

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from trainer.config import ModelConfig
from trainer.model import INIT_STD, Decoder

Kind = Literal["decoder", "causal", "seq2seq", "classification", "masked", "next_sentence"]


class Architecture(BaseModel):
    """config: of a ModelConfig, or of a transformers model as its to_dict gives it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    vocab_size: int
    config: dict[str, Any]
    labels: tuple[str, ...] = ()


class Classifier(Decoder):
    """A decoder whose output layer has a row for each label; what it says of a segment's last token counts."""

    def __init__(self, config: ModelConfig, vocab_size: int, labels: tuple[str, ...], seed: int) -> None:
        super().__init__(config.model_copy(update={"tied": False}), vocab_size, seed)
        self.labels = labels
        self.lm_head = nn.Linear(config.width, len(labels), bias=False)
        with torch.no_grad():
            self.lm_head.weight.normal_(0.0, INIT_STD, generator=torch.Generator().manual_seed(seed))


def describe(model: nn.Module) -> Architecture | None:
    """The architecture of a model that `build` can make; None of others."""
    if isinstance(model, Decoder):
        labels = model.labels if isinstance(model, Classifier) else ()
        assert model.model.embed_tokens is not None
        size = model.model.embed_tokens.num_embeddings
        return Architecture(kind="decoder", vocab_size=size, config=model.config.model_dump(), labels=labels)
    found: Architecture | None = getattr(model, "architecture", None)
    return found


def build(architecture: Architecture, seed: int) -> nn.Module:
    """A model of this architecture on the CPU; its weights depend on architecture and seed alone."""
    if architecture.kind == "decoder":
        config = ModelConfig.model_validate(architecture.config)
        if architecture.labels:
            return Classifier(config, architecture.vocab_size, architecture.labels, seed)
        return Decoder(config, architecture.vocab_size, seed)
    if architecture.kind in ("masked", "next_sentence"):
        from trainer import bert

        return bert.from_architecture(architecture, seed)
    from trainer.hugging_face import from_architecture

    return from_architecture(architecture, seed)
