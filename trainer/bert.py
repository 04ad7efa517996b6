"""BERT for masked objectives: transformers' model in the shape that a training config asks for, never downloaded.

Three tokens stand after the corpus's vocabulary, whose tokenizer has none of them: [MASK], [CLS] and [SEP]. Their
numbers are in the model's config (mask_token_id, cls_token_id, sep_token_id).
Source: Devlin et al. 2019.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from manifests import shards
from manifests.errors import InputError, RecipeError
from trainer.config import ModelConfig, TrainConfig

if TYPE_CHECKING:
    from transformers import BertConfig

INIT_STD = 0.02


@dataclass(frozen=True)
class SpecialIds:
    """Numbers of [MASK], [CLS] and [SEP]."""

    mask: int
    classify: int
    separate: int

    @classmethod
    def after(cls, vocab_size: int) -> "SpecialIds":
        """Those of a model that is trained on tokens in [0, vocab_size)."""
        return cls(vocab_size, vocab_size + 1, vocab_size + 2)


NUM_SPECIAL = 3


class PoolEveryToken(nn.Module):
    """BERT's pooler on all tokens instead of the first: a packed row holds many pairs, each with its own [CLS]."""

    def __init__(self, dense: nn.Module) -> None:
        super().__init__()
        self.dense = dense

    def forward(self, x_BTW: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        return torch.tanh(self.dense(x_BTW))


def make_bert(
    config: TrainConfig, vocab_size: int, length: int, end_of_text_id: int, *, next_sentence: bool
) -> nn.Module:
    """A new BertForMaskedLM, or BertForPreTraining for next_sentence; weights depend on config and seed alone.

    vocab_size: of the corpus; length: of its rows, which have one token more. A pair has three tokens beside its text.
    Raises RecipeError for a setting that a BERT does not have.
    """
    from transformers import BertForMaskedLM, BertForPreTraining

    shape = _bert_config(config.model, vocab_size, length, end_of_text_id)
    with torch.random.fork_rng(devices=[]):  # transformers draws weights too, from the state that all share
        model: nn.Module = BertForPreTraining(shape) if next_sentence else BertForMaskedLM(shape)
    _initialise(model, config.seed)
    return _packed(model)


def _bert_config(model: ModelConfig, vocab_size: int, length: int, end_of_text_id: int) -> "BertConfig":
    from transformers import BertConfig

    settings: dict[str, Any] = {
        "vocab_size": _check(model, vocab_size, length),
        "hidden_size": model.width,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "intermediate_size": model.hidden,
        "max_position_embeddings": num_positions(length),
        "hidden_dropout_prob": model.dropout,
        "attention_probs_dropout_prob": model.dropout,
        "tie_word_embeddings": model.tied,
        # None: what it names would get no gradient, and rows are padded with end of text, which is learnt.
        "pad_token_id": None,
        "eos_token_id": end_of_text_id,
        # The eager implementation adds a mask of truth values to the scores: documents would see each other.
        "attn_implementation": "sdpa",
    }
    return BertConfig(**settings, **_special_ids(vocab_size))


def _special_ids(vocab_size: int) -> dict[str, Any]:
    special = SpecialIds.after(vocab_size)
    return {"mask_token_id": special.mask, "cls_token_id": special.classify, "sep_token_id": special.separate}


def num_positions(length: int) -> int:
    """Longest sequence: a row of length + 1 tokens that is one pair, [CLS] A [SEP] B [SEP]."""
    return length + 1 + NUM_SPECIAL


def _check(model: ModelConfig, vocab_size: int, length: int) -> int:
    """Rows of the embedding matrix. Raises RecipeError for what a BERT cannot be."""
    if model.kv_heads != model.heads:
        raise RecipeError(
            f"model.kv_heads is {model.kv_heads}, a BERT has as many as heads: set model.kv_heads = {model.heads}."
        )
    if model.rope_theta != ModelConfig().rope_theta:
        raise RecipeError("model.rope_theta: a BERT learns its positions. Leave it out.")
    if model.context not in (None, length):
        raise RecipeError(f"model.context is {model.context}, the rows have {length} tokens: leave it out or equal.")
    needed = vocab_size + NUM_SPECIAL
    if model.vocab_size is not None and model.vocab_size < needed:
        raise RecipeError(
            f"model.vocab_size is {model.vocab_size}, the tokenizer has {vocab_size} tokens and a BERT {NUM_SPECIAL} "
            f"more: leave it out or set {needed} or more."
        )
    return model.vocab_size or needed


def load_bert(folder: str, config: TrainConfig, vocab_size: int, length: int, *, next_sentence: bool) -> nn.Module:
    """A BERT from a local folder in the Hugging Face layout, to be trained on; what is missing is drawn by the seed.

    Raises InputError if there is no such folder, RecipeError if the model cannot read the corpus.
    """
    from transformers import AutoConfig, BertForMaskedLM, BertForPreTraining

    if not shards.exists(shards.join(folder, "config.json")):
        raise InputError(f"{folder}: there is no config.json. Give init a folder in the Hugging Face layout.")
    found = AutoConfig.from_pretrained(folder, local_files_only=True)
    _check_fits(folder, found, vocab_size, length)
    kind = BertForPreTraining if next_sentence else BertForMaskedLM
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        model = kind.from_pretrained(folder, local_files_only=True, attn_implementation="sdpa", dtype=torch.float32)
        if found.vocab_size < vocab_size + NUM_SPECIAL:
            model.resize_token_embeddings(vocab_size + NUM_SPECIAL)
    model.config.update(_special_ids(vocab_size))
    return _packed(model)


def _check_fits(folder: str, found: Any, vocab_size: int, length: int) -> None:
    if found.model_type != "bert":
        raise RecipeError(f"{folder}: is a {found.model_type!r} model; masked objectives train a 'bert'.")
    if found.vocab_size < vocab_size:
        raise RecipeError(
            f"{folder}: has {found.vocab_size} tokens, the corpus {vocab_size}. "
            "Build the corpus with the tokenizer of the model."
        )
    if found.max_position_embeddings < num_positions(length):
        raise RecipeError(
            f"{folder}: has {found.max_position_embeddings} positions, rows of length {length} need "
            f"{num_positions(length)}. Build the corpus with [pack] length = "
            f"{found.max_position_embeddings - num_positions(0)} or less."
        )


def _packed(model: Any) -> nn.Module:
    if model.bert.pooler is not None:
        model.bert.pooler = PoolEveryToken(model.bert.pooler.dense)
    return model  # type: ignore[no-any-return]


@torch.no_grad()
def _initialise(model: nn.Module, seed: int) -> None:
    """Normal(0, 0.02) for matrices, 0 for biases, 1 for norms."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            parameter.normal_(0.0, INIT_STD, generator=generator)
        else:
            parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
