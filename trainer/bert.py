"""BERT for masked objectives: transformers' model in the shape that a training config asks for, never downloaded.

It has three tokens after the corpus's vocabulary, [MASK], [CLS] and [SEP], unless the tokenizer has them itself.
Source: Devlin et al. 2019.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from manifests import shards
from manifests.errors import ModelError, RecipeError
from trainer import checkpoint
from trainer.architecture import Architecture
from trainer.attention import positions_in_segment
from trainer.config import ModelConfig, TrainConfig
from trainer.hugging_face import LOCAL, Adapter, check_loading, quiet, refusing, seeded
from trainer.origin import find_init
from trainer.special_tokens import NAMES, SpecialIds, read_special
from trainer.tokenizer import FILE

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import BertConfig

    from trainer.data import Data

INIT_STD = 0.02
# The eager one adds a mask of truth values to the scores: documents would see each other.
ATTENTION = "sdpa"


class PoolEveryToken(nn.Module):
    """BERT's pooler on all tokens instead of the first: a packed row holds many pairs, each with its own [CLS]."""

    def __init__(self, dense: nn.Module) -> None:
        super().__init__()
        self.dense = dense

    def forward(self, x_BTW: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        return torch.tanh(self.dense(x_BTW))


class MaskedBert(Adapter):
    """A BertForMaskedLM that is shown packed rows: no document sees another."""

    kind = "masked"

    def forward(self, tokens_BT: Tensor, segment_BT: Tensor) -> Tensor:
        """Logits (B, T, V) of each token itself. Both inputs int64; equal segments side by side are one document."""
        logits: Tensor = self.inner(input_ids=tokens_BT, **_layout(segment_BT)).logits
        return logits


class PairBert(Adapter):
    """A BertForPreTraining that is shown packed rows of pairs."""

    kind = "next_sentence"

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        inner.bert.pooler = PoolEveryToken(inner.bert.pooler.dense)

    def forward(self, tokens_BT: Tensor, segment_BT: Tensor, part_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V) of each token itself, and (B, T, 2) of the pair's label, which count at its [CLS].

        All int64. segment: number of the pair in its row, -1 for padding; part: 0 for A, 1 for B.
        """
        found = self.inner(input_ids=tokens_BT, token_type_ids=part_BT, **_layout(segment_BT))
        return found.prediction_logits, found.seq_relationship_logits


Bert = MaskedBert | PairBert


def _layout(segment_BT: Tensor) -> dict[str, Tensor]:
    """The mask is bool (B, 1, T, T), who may see whom."""
    # Padding may be longer than any sequence that the model has positions for.
    position_BT = positions_in_segment(segment_BT).where(segment_BT >= 0, 0)
    return {
        "attention_mask": (segment_BT[:, :, None] == segment_BT[:, None, :])[:, None],
        "position_ids": position_BT,
    }


def start_bert(config: TrainConfig, data: "Data") -> Bert:
    """The model of a run before its first step: new, from one of our checkpoints, or from a Hugging Face folder.

    Raises RecipeError for settings that a BERT does not have and for a model that cannot read the data, InputError and
    ModelError for what config.init names.
    """
    pairs = config.objective == "next_sentence"
    if config.init is None:
        return make_bert(config, data.vocab_size, data.length, data.end_of_text_id, next_sentence=pairs)
    kind, folder = find_init(config.init)
    if kind == "hugging_face":
        return _load(folder, config.seed, data, next_sentence=pairs)
    model, _ = checkpoint.read_model(folder)
    if not isinstance(model, MaskedBert | PairBert):
        raise RecipeError(f"init {folder}: is a {type(model).__name__}, masked objectives train a BERT.")
    _check_fits(folder, model.inner.config, data)
    if isinstance(model, PairBert) == pairs:
        return model
    architecture = model.architecture.model_copy(update={"kind": config.objective})
    other = from_architecture(architecture, config.seed)
    other.load_state_dict(model.state_dict(), strict=False)  # the heads for pairs are new, or left behind
    return other


def make_bert(config: TrainConfig, vocab_size: int, length: int, end_of_text_id: int, *, next_sentence: bool) -> Bert:
    """A new model; its weights depend on config and seed alone.

    vocab_size: of the corpus; length: of its rows, which have one token more. Raises RecipeError for a setting that a
    BERT does not have.
    """
    return _new(_bert_config(config.model, vocab_size, length, end_of_text_id), config.seed, pairs=next_sentence)


def from_architecture(architecture: Architecture, seed: int) -> Bert:
    """A model with new weights, which depend on architecture and seed alone."""
    from transformers import AutoConfig

    shape: Any = AutoConfig.for_model(**architecture.config, attn_implementation=ATTENTION)
    return _new(shape, seed, pairs=architecture.kind == "next_sentence")


def _new(shape: "BertConfig", seed: int, *, pairs: bool) -> Bert:
    from transformers import BertForMaskedLM, BertForPreTraining

    with seeded(seed):  # what transformers draws is drawn again below
        inner = BertForPreTraining(shape) if pairs else BertForMaskedLM(shape)
    _initialise(inner, seed)
    return PairBert(inner) if pairs else MaskedBert(inner)


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
        "layer_norm_eps": model.norm_epsilon,
        "tie_word_embeddings": model.tied,
        # None: what it names would get no gradient, and rows are padded with end of text, which is learnt.
        "pad_token_id": None,
        "eos_token_id": end_of_text_id,
        "attn_implementation": ATTENTION,
    }
    return BertConfig(**settings)


def num_positions(length: int) -> int:
    """Longest sequence: a row of length + 1 tokens that is one pair, [CLS] A [SEP] B [SEP]."""
    return length + 1 + len(NAMES)


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
    needed = vocab_size + len(NAMES)
    if model.vocab_size is not None and model.vocab_size < needed:
        raise RecipeError(
            f"model.vocab_size is {model.vocab_size}, the tokenizer has {vocab_size} tokens and a BERT {len(NAMES)} "
            f"more: leave it out or set {needed} or more."
        )
    return model.vocab_size or needed


def _load(folder: str, seed: int, data: "Data", *, next_sentence: bool) -> Bert:
    """The model of a local folder; heads and special tokens that it lacks are drawn by the seed."""
    import transformers

    kind: Any = transformers.BertForPreTraining if next_sentence else transformers.BertForMaskedLM
    with seeded(seed), quiet():
        with refusing(folder, kind.__name__):
            found = transformers.AutoConfig.from_pretrained(folder, **LOCAL)
        _check_fits(folder, found, data)
        with refusing(folder, kind.__name__):
            settings = {"attn_implementation": ATTENTION, "use_safetensors": True, "output_loading_info": True}
            inner, loading = kind.from_pretrained(folder, **LOCAL, **settings, dtype=torch.float32)
        check_loading(folder, inner, loading, new_head=True)
        num_tokens = SpecialIds.of(read_special(data.tokenizer), data.vocab_size).num_tokens(data.vocab_size)
        if inner.config.vocab_size < num_tokens:
            inner.resize_token_embeddings(num_tokens)
    return PairBert(inner) if next_sentence else MaskedBert(inner)


def _check_fits(folder: str, found: Any, data: "Data") -> None:
    if found.model_type != "bert":
        raise RecipeError(f"{folder}: is a {found.model_type!r} model; masked objectives train a 'bert'.")
    if found.vocab_size < data.vocab_size:
        raise RecipeError(
            f"{folder}: has {found.vocab_size} tokens, the corpus {data.vocab_size}. "
            "Build the corpus with the tokenizer of the model."
        )
    if found.max_position_embeddings < num_positions(data.length):
        raise RecipeError(
            f"{folder}: has {found.max_position_embeddings} positions, rows of length {data.length} need "
            f"{num_positions(data.length)}. Build the corpus with [pack] length = "
            f"{found.max_position_embeddings - num_positions(0)} or less."
        )


def write_special_tokens(model: Bert, out: str, vocab_size: int, end_of_text_id: int) -> None:
    """Add the three tokens to tokenizer.json in a local folder, and their numbers to the model's own config.

    For pairs the tokenizer then puts the tokens around texts as training did. Raises ModelError if the tokens would not
    get the numbers that the model was trained with.
    """
    tokenizer = shards.join(out, FILE)
    special = SpecialIds.of(read_special(tokenizer), vocab_size)
    numbers = dict(zip(NAMES, (special.mask, special.classify, special.separate), strict=True))
    config = model.inner.config
    config.update({f"{name[1:-1].lower()}_token_id": number for name, number in numbers.items()})
    library = _with_special(tokenizer, numbers, pairs=isinstance(model, PairBert))
    end = library.id_to_token(end_of_text_id)
    names = {"mask_token": NAMES[0], "cls_token": NAMES[1], "sep_token": NAMES[2], "pad_token": end, "eos_token": end}
    _write_tokenizer(library, out, names | {"model_max_length": config.max_position_embeddings})


def _with_special(tokenizer: str, numbers: dict[str, int], *, pairs: bool) -> "Tokenizer":
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    library = Tokenizer.from_buffer(shards.read_bytes(tokenizer))
    library.add_special_tokens(list(NAMES))
    found = {name: library.token_to_id(name) for name in NAMES}
    if found != numbers:
        raise ModelError(
            f"{tokenizer}: gives {found}, the model was trained with {numbers}: not the tokenizer of its corpus."
        )
    if pairs:
        library.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(name, found[name]) for name in NAMES[1:]],
        )
    return library


def _write_tokenizer(library: "Tokenizer", out: str, settings: dict[str, Any]) -> None:
    from transformers import PreTrainedTokenizerFast

    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=library, clean_up_tokenization_spaces=False, **settings).save_pretrained(out)


@torch.no_grad()
def _initialise(model: nn.Module, seed: int) -> None:
    """Normal(0, 0.02) for matrices, 0 for biases, 1 for norms."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            parameter.normal_(0.0, INIT_STD, generator=generator)
        else:
            parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
