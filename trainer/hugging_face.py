"""Models of the transformers library behind the signatures of this project.

Packed rows are taken apart first: each segment becomes a row of its own, padded at its end, and the results are put
back in their places. So examples cannot see each other whatever the model does (learnt positions, ALiBi, recurrence),
and no model needs a mask of its own for packed rows.
Letters in shapes: B rows, T tokens of a row, S segments, L tokens of the longest, V vocabulary, C labels.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from manifests.errors import ModelError
from trainer.architecture import Architecture, Kind

AUTO_CLASSES: Mapping[Kind, str] = {
    "causal": "AutoModelForCausalLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
    "classification": "AutoModelForSequenceClassification",
}
# Nothing is downloaded, and no code that comes with a model is run: without the second the library asks on stdin.
LOCAL: Mapping[str, bool] = {"local_files_only": True, "trust_remote_code": False}


@dataclass(frozen=True)
class Unpacked:
    """Some tokens of packed rows, a segment in a row: ids (S, L); mask int64 (S, L), 1 for tokens, 0 for padding.

    place: bool (B, T), which tokens they are; number, position: int64 (num_tokens,), of these row and column in ids.
    """

    ids_SL: Tensor
    mask_SL: Tensor
    place_BT: Tensor
    number: Tensor
    position: Tensor

    def back(self, values_SLV: Tensor) -> Tensor:
        """(S, L, ...) -> (B, T, ...), zeros where no token was taken."""
        result = values_SLV.new_zeros(*self.place_BT.shape, *values_SLV.shape[2:])
        result[self.place_BT] = values_SLV[self.number, self.position]
        return result


def real_tokens(segment_BT: Tensor) -> Tensor:
    """Bool (B, T): not padding; of rows that are nothing else the first token, since every worker runs the model."""
    real_BT = segment_BT >= 0
    if not bool(real_BT.any()):
        real_BT[0, 0] = True
    return real_BT


def unpack(tokens_BT: Tensor, segment_BT: Tensor, place_BT: Tensor, padding_id: int) -> Unpacked:
    """The tokens at `place`, a segment in a row. segment_BT: equal numbers side by side are one segment."""
    starts_BT = torch.ones_like(place_BT)
    starts_BT[:, 1:] = segment_BT[:, 1:] != segment_BT[:, :-1]
    run = starts_BT.flatten().cumsum(0)[place_BT.flatten()]
    number = torch.unique_consecutive(run, return_inverse=True)[1]
    lengths_S = torch.bincount(number)
    position = torch.arange(len(number), device=number.device) - (lengths_S.cumsum(0) - lengths_S)[number]
    shape = (len(lengths_S), int(lengths_S.max()))
    ids_SL = torch.full(shape, padding_id, dtype=tokens_BT.dtype, device=tokens_BT.device)
    mask_SL = torch.zeros_like(ids_SL)
    ids_SL[number, position] = tokens_BT[place_BT]
    mask_SL[number, position] = 1
    return Unpacked(ids_SL, mask_SL, place_BT, number, position)


class Adapter(nn.Module):
    """Holds a transformers model as `inner`; padding_id: what fills short rows, never attended to."""

    kind: Kind

    def __init__(self, inner: Any, labels: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.inner = inner
        self.labels = labels
        padding_id = inner.config.get_text_config().pad_token_id
        self.padding_id = padding_id if padding_id is not None else 0
        self.register_state_dict_post_hook(_without_ties)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_ties)  # type: ignore[no-untyped-call]

    @property
    def architecture(self) -> Architecture:
        config = self.inner.config
        return Architecture(
            kind=self.kind,
            vocab_size=config.get_text_config().vocab_size,
            config=json.loads(config.to_json_string(use_diff=False)),
            labels=self.labels,
        )

    @property
    def head_names(self) -> tuple[str, ...]:
        """How the names of the output layer, and of all that was made for labels, begin."""
        if self.kind != "classification":
            head = self.inner.get_output_embeddings()
            return tuple(name for name, module in self.named_modules() if module is head)
        body = f"inner.{self.inner.base_model_prefix}"
        names = {name.split(".")[1] for name, _ in self.inner.named_parameters(prefix="inner")}
        return (*(f"inner.{name}" for name in sorted(names) if f"inner.{name}" != body), f"{body}.pooler")


def _ties(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of parameters that are the same as one before, and the name of that."""
    first: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if first.setdefault(id(parameter), name) != name:
            yield name, first[id(parameter)]


def _without_ties(model: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    """A tied matrix is written once: safetensors refuses two names for one."""
    for name, _first in _ties(model):
        state.pop(prefix + name, None)


def _with_ties(model: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name, first in _ties(model):
        if prefix + first in state:
            state.setdefault(prefix + name, state[prefix + first])


class CausalAdapter(Adapter):
    """Logits of the token after each, as those of the project's decoder."""

    kind = "causal"

    def forward(self, tokens_BT: Tensor, segment_BT: Tensor) -> Tensor:
        """(B, T, V); zeros for padding."""
        rows = unpack(tokens_BT, segment_BT, real_tokens(segment_BT), self.padding_id)
        return rows.back(self.inner(input_ids=rows.ids_SL, attention_mask=rows.mask_SL, use_cache=False).logits)


class ClassificationAdapter(Adapter):
    """Logits of labels, at the last token of each segment, as those of the project's classifier."""

    kind = "classification"

    def forward(self, tokens_BT: Tensor, segment_BT: Tensor) -> Tensor:
        """(B, T, C); zeros but for the last token of each segment."""
        rows = unpack(tokens_BT, segment_BT, real_tokens(segment_BT), self.padding_id)
        logits_SC = self.inner(input_ids=rows.ids_SL, attention_mask=rows.mask_SL).logits
        last_S = rows.mask_SL.sum(dim=1) - 1
        logits_SLC = logits_SC.new_zeros(*rows.ids_SL.shape, logits_SC.shape[-1])
        logits_SLC[torch.arange(len(last_S), device=last_S.device), last_S] = logits_SC
        return rows.back(logits_SLC)


class Seq2seqAdapter(Adapter):
    """An encoder reads the prompt, a decoder says the answer."""

    kind = "seq2seq"

    def forward(self, tokens_BT: Tensor, segment_BT: Tensor, is_answer_BT: Tensor) -> Tensor:
        """(B, T, V): of each token of an answer the logits of itself, from the prompt and the answer before it.

        is_answer_BT: bool; every segment has a prompt and an answer.
        """
        real_BT = segment_BT >= 0
        if not bool(real_BT.any()):  # every worker runs the model: one token of prompt and one of answer
            real_BT[0, :2] = True
            is_answer_BT = is_answer_BT.clone()
            is_answer_BT[0, 1] = True
        source = unpack(tokens_BT, segment_BT, real_BT & ~is_answer_BT, self.padding_id)
        target = unpack(tokens_BT, segment_BT, real_BT & is_answer_BT, self.padding_id)
        start = torch.full_like(target.ids_SL[:, :1], self.inner.config.decoder_start_token_id)
        return target.back(
            self.inner(
                input_ids=source.ids_SL,
                attention_mask=source.mask_SL,
                decoder_input_ids=torch.cat([start, target.ids_SL[:, :-1]], dim=1),
                decoder_attention_mask=torch.cat([torch.ones_like(start), target.mask_SL[:, :-1]], dim=1),
                use_cache=False,
            ).logits
        )


ADAPTERS: Mapping[Kind, type[Adapter]] = {
    "causal": CausalAdapter,
    "seq2seq": Seq2seqAdapter,
    "classification": ClassificationAdapter,
}


def from_architecture(architecture: Architecture, seed: int) -> Adapter:
    """A model with new weights, which depend on architecture and seed alone."""
    import transformers

    config = transformers.AutoConfig.for_model(**architecture.config)
    with seeded(seed):
        inner = getattr(transformers, AUTO_CLASSES[architecture.kind]).from_config(config, trust_remote_code=False)
    return ADAPTERS[architecture.kind](inner.float(), architecture.labels)


def from_folder(folder: str, kind: Kind, labels: tuple[str, ...], end_of_text_id: int, seed: int) -> Adapter:
    """The model of a local folder in the Hugging Face layout, in fp32; for labels other than its own with a new head.

    Raises ModelError if there are no safetensors, or weights are missing, left over or of another shape.
    """
    inner, loading = _load(folder, kind, labels, seed)
    check_loading(folder, inner, loading, new_head=kind == "classification")
    model = ADAPTERS[kind](inner, labels)
    if isinstance(model, CausalAdapter):
        _check_causal(folder, model)
    return _with_padding(model, end_of_text_id) if kind == "classification" else model


def as_classifier(model: CausalAdapter, labels: tuple[str, ...], end_of_text_id: int, seed: int) -> Adapter:
    """A decoder's layers under a new head for labels."""
    facts = model.architecture
    config = facts.config | _label_settings(labels)
    architecture = Architecture(kind="classification", vocab_size=facts.vocab_size, config=config, labels=labels)
    classifier = _with_padding(from_architecture(architecture, seed), end_of_text_id)
    classifier.inner.base_model.load_state_dict(model.inner.base_model.state_dict())
    return classifier


def _load(folder: str, kind: Kind, labels: tuple[str, ...], seed: int) -> tuple[Any, Mapping[str, Any]]:
    import transformers

    auto_class = getattr(transformers, AUTO_CLASSES[kind])
    with seeded(seed), quiet():
        with refusing(folder, AUTO_CLASSES[kind]):
            config = transformers.AutoConfig.from_pretrained(folder, **LOCAL)
            own_labels = tuple((config.id2label or {}).values())
            if kind == "classification":
                config.update(_label_settings(labels))
            inner, loading = auto_class.from_pretrained(
                folder,
                config=config,
                **LOCAL,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=kind == "classification",
                dtype=torch.float32,
            )
        if kind == "classification" and own_labels != labels:
            _renew_head(inner, auto_class.from_config(config, trust_remote_code=False))
    return inner, loading


def _label_settings(labels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
    }


@torch.no_grad()
def _renew_head(inner: Any, fresh: Any) -> None:
    """Take what is not of the body from a new model: a head for other labels means nothing, even where it fits."""
    new = dict(fresh.named_parameters())
    for name, parameter in inner.named_parameters():
        if not name.startswith(f"{inner.base_model_prefix}."):
            parameter.copy_(new[name])


def _with_padding(model: Adapter, end_of_text_id: int) -> Adapter:
    """A decoder's head looks for the last token that is not padding, which texts must therefore not contain."""
    config = model.inner.config.get_text_config()
    if config.pad_token_id is None:
        config.pad_token_id = model.padding_id = end_of_text_id
    return model


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Transformers draws weights from the state that all share."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, and no warning of new weights: those are checked."""
    import transformers

    logging: Any = transformers.utils.logging
    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()


def check_loading(folder: str, inner: Any, loading: Mapping[str, Any], *, new_head: bool) -> None:
    """Raise ModelError unless every weight was found and used; with new_head only those of the model's body count.

    loading: what from_pretrained gives with output_loading_info.
    """
    prefix = f"{inner.base_model_prefix}."

    def matters(name: str) -> bool:
        return not new_head or (name.startswith(prefix) and ".pooler." not in name)

    for what in ("missing", "unexpected", "mismatched"):
        names = sorted(str(name[0] if isinstance(name, tuple) else name) for name in loading.get(f"{what}_keys", ()))
        wrong = [name for name in names if matters(name)]
        if wrong:
            raise ModelError(
                f"{folder}: {len(wrong)} weights are {what}, the first is {wrong[0]}: the file is not of the "
                "model that config.json describes."
            )


def _check_causal(folder: str, model: CausalAdapter) -> None:
    """Raise ModelError for a model whose tokens see later ones: an encoder would copy its targets."""
    size = model.architecture.vocab_size
    tokens_BT = torch.arange(16).view(2, 8) % size
    tokens_BT[1, :7] = tokens_BT[0, :7]
    training = model.training
    with torch.no_grad():
        logits_BTV = model.eval()(tokens_BT, torch.zeros_like(tokens_BT))
    model.train(training)
    if not torch.allclose(logits_BTV[0, :7], logits_BTV[1, :7], atol=1e-4):
        raise ModelError(
            f"{folder}: each token of this model sees the ones after it: an encoder, which cannot continue a text. "
            "Use it for classification, or start from a decoder."
        )


@contextlib.contextmanager
def refusing(folder: str, class_name: str) -> Iterator[None]:
    """Raise ModelError for whatever transformers raises when this class of it cannot load the folder."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        cause = " ".join(str(error).split())[:300].rstrip(".")
        raise ModelError(
            f"{folder}: transformers' {class_name} cannot load it: {cause}. Models are loaded from a local folder with "
            "config.json and model.safetensors, and no code that comes with them is run; other weights are converted "
            "by loading them elsewhere and save_pretrained(folder)."
        ) from error
