"""Checkpoints: `OUT/checkpoints/step-<number>/` with model.safetensors, optimizer.pt and state.json.

state.json is written last and names the digests of the others: a folder without it is not a checkpoint, so a crash at
any point leaves the one before in force, on a disk as on an object store. Nothing is unpickled (`weights_only`).
"""

import io
from typing import Any

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from manifests import shards
from manifests.digest import digest_bytes
from manifests.errors import InputError, IntegrityError, ManifestMismatch, RecipeError
from trainer.architecture import Architecture, build
from trainer.config import TrainConfig, different_keys
from trainer.model import Decoder

FORMAT = "gristmill-checkpoint/1"
FOLDER = "checkpoints"
MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.pt", "state.json"


class State(BaseModel):
    """Contents of state.json. Updates 1 to `step` are done; samples_consumed counts packed rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = FORMAT
    step: int
    samples_consumed: int
    manifest_digest: str
    config: TrainConfig
    vocab_size: int
    length: int  # longest context the model was trained on, in tokens
    end_of_text_id: int
    architecture: Architecture | None = None  # None: a decoder of the config's shape
    files: dict[str, str] = {}  # name -> SHA-256


def save(out: str, state: State, model: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    """Write a checkpoint below `out`, remove the oldest beyond config.keep_checkpoints; returns its folder.

    Raises StorageError if it cannot be written.
    """
    folder = shards.join(out, FOLDER, f"step-{state.step:08d}")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    contents = {MODEL: safetensors.torch.save(weights), OPTIMIZER: buffer.getvalue()}
    files = {name: shards.write_bytes(shards.join(folder, name), data).sha256 for name, data in contents.items()}
    whole = state.model_copy(update={"files": files})
    shards.write_bytes(shards.join(folder, STATE), whole.model_dump_json(indent=1).encode("utf-8"))
    for old in list_checkpoints(out)[: -state.config.keep_checkpoints]:
        shards.remove(shards.join(old, STATE))  # first: without it the rest is no checkpoint
        shards.remove(old)
    return folder


def list_checkpoints(out: str) -> list[str]:
    """Folders of the whole checkpoints of a run, oldest first."""
    root = shards.join(out, FOLDER)
    names = [path.removesuffix(f"/{STATE}") for path in shards.list_files(root) if path.endswith(f"/{STATE}")]
    return [shards.join(root, name) for name in sorted(names)]


def latest_checkpoint(out: str) -> str | None:
    """Folder of the last whole checkpoint of a run, or None."""
    return next(reversed(list_checkpoints(out)), None)


def read_state(folder: str) -> State:
    """state.json of a checkpoint. Raises InputError if there is none, IntegrityError if it is damaged."""
    uri = shards.join(folder, STATE)
    try:
        state = State.model_validate_json(shards.read_bytes(uri))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{uri}: there is no checkpoint. Name a folder {FOLDER}/step-<number> of a training run."
        ) from None
    except ValidationError as error:
        raise IntegrityError(f"{uri}: is not a whole checkpoint: {error.errors()[0]['msg']}.") from error
    if state.format != FORMAT:
        raise ManifestMismatch(f"{uri}: has format {state.format!r}, this version reads {FORMAT!r}.")
    return state


def read_model(folder: str) -> tuple[nn.Module, State]:
    """The model of a checkpoint, on the CPU, low-rank updates merged into its weights, and its state."""
    state = read_state(folder)
    model: nn.Module
    if state.architecture is None:
        model = Decoder(state.config.model, state.vocab_size, state.config.seed)
    else:
        model = build(state.architecture, state.config.seed)
    if state.config.lora is None:
        load_weights(folder, state, model)
        return model, state
    from trainer.lora import add_lora, merge_lora

    add_lora(model, state.config.lora, state.config.seed, train_head=False)
    load_weights(folder, state, model)
    return merge_lora(model), state


def load_weights(folder: str, state: State, model: nn.Module) -> None:
    """Put the weights of a checkpoint into a model of the same shape."""
    model.load_state_dict(safetensors.torch.load(_read_checked(folder, state, MODEL)))


def load_optimizer(folder: str, state: State, optimizer: torch.optim.Optimizer) -> None:
    """Put the moments of a checkpoint into an optimiser over the same parameters."""
    data: dict[str, Any] = torch.load(
        io.BytesIO(_read_checked(folder, state, OPTIMIZER)), map_location="cpu", weights_only=True
    )
    optimizer.load_state_dict(data)


def check_same_run(folder: str, state: State, manifest_digest: str, config: TrainConfig) -> None:
    """Raise ManifestMismatch for another corpus, RecipeError for another config, than the checkpoint was made with."""
    if state.manifest_digest != manifest_digest:
        raise ManifestMismatch(
            f"{folder}: was trained on the corpus with digest {state.manifest_digest}, this manifest has "
            f"{manifest_digest}. Give the same corpus, or another --out for a new run."
        )
    keys = different_keys(state.config, config)
    if keys:
        old, new = ({key: values[key] for key in keys} for values in (state.config.model_dump(), config.model_dump()))
        raise RecipeError(
            f"{folder}: was trained with {old}, the config says {new}. "
            "Give the same config to go on, or another --out for a new run."
        )


def _read_checked(folder: str, state: State, name: str) -> bytes:
    uri = shards.join(folder, name)
    data = shards.read_bytes(uri) if shards.exists(uri) else b""
    if digest_bytes(data) != state.files.get(name):
        raise IntegrityError(
            f"{uri}: its SHA-256 is {digest_bytes(data)[:16]}…, {STATE} says {state.files.get(name, 'none')[:16]}…. "
            "Remove this checkpoint's folder to go on from the one before."
        )
    return data
