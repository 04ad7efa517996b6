"""A trained model as a folder that transformers loads: weights, configs, tokenizer, and a card of what it read."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from manifests import shards
from manifests.errors import InputError, RecipeError
from manifests.manifest import corpus_root, read_manifest
from trainer import checkpoint
from trainer.bert import MaskedBert, PairBert, write_special_tokens
from trainer.checkpoint import State
from trainer.config import CORPUS_OBJECTIVES
from trainer.llama_layout import write_model
from trainer.model import Decoder
from trainer.model_card import card
from trainer.origin import find_init
from trainer.run_files import read_run
from trainer.tokenizer import FILE
from trainer.tokenizer_layout import write_tokenizer

CARD = "README.md"


@dataclass(frozen=True)
class Exported:
    """weight_bytes: of the tensors, without the files' headers."""

    out: str
    checkpoint: str
    step: int
    num_parameters: int
    weight_bytes: int


@dataclass(frozen=True)
class Trained:
    """A checkpoint with all that an export needs beside the weights.

    paths: of the data, as run.json has them. tokenizer: the files of it by name, as transformers reads them.
    """

    model: nn.Module
    state: State
    folder: str
    paths: tuple[str, ...]
    tokenizer: Mapping[str, bytes]

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def decoder(self) -> Decoder:
        """The model; raises RecipeError unless it is a decoder of ours."""
        if type(self.model) is Decoder:
            return self.model
        raise RecipeError(
            f"{self.folder}: its model is a {type(self.model).__name__}; this is for the project's own decoder, which "
            "continues text."
        )


def export(path: str, out: str, use_ema: bool = False) -> Exported:
    """Write the model of a checkpoint, or of a run's last one, to `out` in the Hugging Face layout, in fp32.

    use_ema: the averaged weights instead of the last. Raises InputError for a path that is neither, RecipeError for a
    model that has no such layout or an average that was not kept, ModelError for a tokenizer that cannot be written.
    """
    trained = read_trained(path, use_ema)
    num_bytes = _write_weights(trained, out)
    write_rest(trained, out, ["the averaged weights (`ema_decay`)"] if use_ema else [])
    return Exported(out, trained.folder, trained.state.step, trained.num_parameters, num_bytes)


def read_trained(path: str, use_ema: bool = False) -> Trained:
    """Read a model and what belongs to it; see export for the errors."""
    kind, folder = find_init(path)
    if kind != "checkpoint":
        raise InputError(f"{path}: is in the Hugging Face layout already. Name a checkpoint or a run.")
    model, state = checkpoint.read_model(folder, averaged=use_ema)
    if use_ema and not state.has_averages:
        raise RecipeError(f"{folder}: holds no averaged weights. Train with ema_decay, or leave out --ema.")
    paths = _data_paths(folder)
    return Trained(model, state, folder, paths, _tokenizer_files(_tokenizer(folder, state, paths), model, state))


def write_rest(trained: Trained, out: str, notes: Sequence[str]) -> None:
    """Write the tokenizer and the card, with these notes on the weights."""
    for name, content in trained.tokenizer.items():
        shards.write_bytes(shards.join(out, name), content)
    name = out.rstrip("/").rsplit("/", 1)[-1]
    text = card(name, trained.state, trained.paths, trained.num_parameters, notes)
    shards.write_bytes(shards.join(out, CARD), text.encode("utf-8"))


def _write_weights(trained: Trained, out: str) -> int:
    """Weights and config.json; models of the transformers library are written by it. Returns the bytes of weights."""
    inner: Any = getattr(trained.model, "inner", None)
    if inner is None:
        return write_model(trained.decoder, trained.state.length, trained.state.end_of_text_id, out)
    if not shards.is_local(out):
        raise RecipeError(f"{out}: models of the transformers library are written to local folders only.")
    inner.save_pretrained(out)
    return sum(tensor.nbytes for tensor in inner.state_dict().values())


def _data_paths(folder: str) -> tuple[str, ...]:
    """() where the checkpoint was taken out of its run."""
    try:
        return read_run(checkpoint.run_folder(folder)).paths
    except InputError:
        return ()


def _tokenizer_files(uri: str, model: nn.Module, state: State) -> dict[str, bytes]:
    """Made whole before anything is written where the user wants it: it is what may turn out to be unusable."""
    as_in_corpus = state.config.objective in CORPUS_OBJECTIVES
    with tempfile.TemporaryDirectory(prefix="gristmill-") as folder:
        write_tokenizer(uri, state.end_of_text_id, state.length, as_in_corpus, folder)
        if isinstance(model, MaskedBert | PairBert):
            write_special_tokens(model, folder, state.vocab_size, state.end_of_text_id)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _tokenizer(folder: str, state: State, paths: Sequence[str]) -> str:
    own = shards.join(checkpoint.run_folder(folder), FILE)
    if shards.exists(own):
        return own
    if state.config.examples.tokenizer is not None and state.config.objective not in CORPUS_OBJECTIVES:
        return state.config.examples.tokenizer
    if not paths:
        raise InputError(f"{own}: there is no such file, and no run.json says where the data is. Put it there.")
    manifest = read_manifest(paths[0])
    return shards.join(corpus_root(paths[0]), manifest.tokenizer.path)
