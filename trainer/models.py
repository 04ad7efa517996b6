"""The model of a run before its first step, on the CPU: from scratch, from a checkpoint, or from a local folder."""

from typing import TYPE_CHECKING, Any

from torch import nn

from manifests import shards
from manifests.errors import ModelError, RecipeError
from trainer import checkpoint
from trainer.architecture import Classifier, Kind, describe
from trainer.config import CORPUS_OBJECTIVES, TrainConfig
from trainer.hugging_face import CausalAdapter, as_classifier, from_folder
from trainer.llama_layout import import_model, why_not_ours
from trainer.lora import add_lora
from trainer.model import Decoder
from trainer.origin import find_init, is_seq2seq, longest, read_hugging_face_config
from trainer.tokenizer import FILE, rules_digest

if TYPE_CHECKING:
    from trainer.data import Data


def make_model(config: TrainConfig, data: "Data") -> nn.Module:
    """The model that a config asks for; its weights depend on the config, and on `init`, alone.

    Raises RecipeError for settings that do not go together, InputError and ModelError for what `init` names.
    """
    if config.lora is not None and config.parallel.tensor * config.parallel.pipeline > 1:
        raise RecipeError("lora: its updates cannot be cut up. Set parallel.tensor and parallel.pipeline to 1.")
    if config.objective in ("masked", "next_sentence"):
        model = _bert(config, data)
    elif config.init is None:
        model = _from_scratch(config, data)
    else:
        model = _from_init(config.init, config, data)
    if config.lora is not None:
        add_lora(model, config.lora, config.seed, train_head=config.objective == "classification")
    return model


def _bert(config: TrainConfig, data: "Data") -> nn.Module:
    from trainer.bert import start_bert

    if config.init is not None:
        kind, folder = find_init(config.init)
        if kind == "checkpoint":
            _check_tokenizer(folder, data)
    return start_bert(config, data)


def _from_scratch(config: TrainConfig, data: "Data") -> nn.Module:
    size = config.model.vocab_size or data.vocab_size
    if size < data.vocab_size:
        raise RecipeError(
            f"model.vocab_size is {size}, the tokenizer has {data.vocab_size} ids: leave it out or raise it."
        )
    if config.model.context not in (None, data.length):
        raise RecipeError(
            f"model.context is {config.model.context}, the rows have {data.length} tokens: leave it out or equal."
        )
    if data.labels:
        return Classifier(config.model, size, data.labels, config.seed)
    return Decoder(config.model, size, config.seed)


def _from_init(init: str, config: TrainConfig, data: "Data") -> nn.Module:
    kind, folder = find_init(init)
    if config.objective in CORPUS_OBJECTIVES:
        _check_tokenizer(folder, data)
    wanted: Kind = "classification" if data.labels else "seq2seq" if is_seq2seq(config) else "causal"
    if kind == "checkpoint":
        model, state = checkpoint.read_model(folder)
        length: int | None = state.length
        model = _fitted(model, folder, wanted, config, data)
    else:
        facts = read_hugging_face_config(folder)
        length = longest(facts)
        model = _from_hugging_face(folder, facts, wanted, config, data)
    architecture = describe(model)
    assert architecture is not None
    if architecture.vocab_size < data.vocab_size:
        raise RecipeError(
            f"init {folder}: has {architecture.vocab_size} tokens, the data {data.vocab_size}: another tokenizer."
        )
    if length is not None and data.length > length:
        raise RecipeError(f"init {folder}: sees {length} tokens, the rows have {data.length}. Make them shorter.")
    return model


def _from_hugging_face(
    folder: str, facts: dict[str, Any], wanted: Kind, config: TrainConfig, data: "Data"
) -> nn.Module:
    if wanted != "seq2seq" and why_not_ours(facts) is None:
        return _fitted(import_model(folder)[0], folder, wanted, config, data)
    return from_folder(folder, wanted, data.labels, data.end_of_text_id, config.seed)


def _fitted(model: nn.Module, folder: str, wanted: Kind, config: TrainConfig, data: "Data") -> nn.Module:
    """The model with the head that is wanted: its own where that serves, or a new one for labels."""
    architecture = describe(model)
    kind = "none" if architecture is None else architecture.kind
    labels = () if architecture is None else architecture.labels
    if labels == data.labels and kind in (wanted, "decoder"):
        return model
    if wanted == "classification" and isinstance(model, Decoder):
        assert model.model.embed_tokens is not None
        size = model.model.embed_tokens.num_embeddings
        classifier = Classifier(model.config, size, data.labels, config.seed)
        classifier.model.load_state_dict(model.model.state_dict())
        return classifier
    if wanted == "classification" and isinstance(model, CausalAdapter):
        return as_classifier(model, data.labels, data.end_of_text_id, config.seed)
    told = f"a model for the labels {', '.join(labels)}" if labels else f"a model of kind {kind!r}"
    raise RecipeError(f"init {folder}: is {told}, which objective {config.objective!r} cannot start from.")


def _check_tokenizer(folder: str, data: "Data") -> None:
    """Raise ModelError if a model that goes on learning from a corpus was trained with other tokens than it has."""
    own = shards.join(checkpoint.run_folder(folder), FILE)
    if not (data.tokenizer.endswith(".json") and shards.exists(own)):
        return
    if shards.read_bytes(own) == shards.read_bytes(data.tokenizer):
        return
    digests = [rules_digest(uri) for uri in (own, data.tokenizer)]
    if digests[0] != digests[1]:
        raise ModelError(
            f"{own}: does not give the tokens of the corpus's {data.tokenizer} (rules {digests[0][:16]}… and "
            f"{digests[1][:16]}…). Build the corpus with [tokenize] tokenizer = {own!r}."
        )
