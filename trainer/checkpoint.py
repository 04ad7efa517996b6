"""Checkpoints: `OUT/checkpoints/step-<number>/` with safetensors files of all workers and state.json.

state.json is written last and names the digests of the others: a folder without it is not a checkpoint, so a crash at
any point leaves the one before in force, on a disk as on an object store. Nothing is unpickled. A checkpoint does not
depend on how workers shared the model: any other number and arrangement of them goes on from it.
"""

import contextlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.optim import Optimizer

from manifests import shards
from manifests.errors import GristmillError, InputError, IntegrityError, ManifestMismatch, RecipeError
from trainer.architecture import Architecture, build
from trainer.config import TrainConfig, different_keys
from trainer.context import Context
from trainer.ema import Ema
from trainer.model import Decoder
from trainer.precision import Precision
from trainer.stopping import Stopper
from trainer.storage import Reader, Stored, Writer

FORMAT = "gristmill-checkpoint/3"
FOLDER = "checkpoints"
STATE = "state.json"
KINDS = ("model", "optimizer", "average")  # of files, and the beginnings of tensors' names
_NAME = re.compile(r"step-\d{8}")
# Once for the process: checkpoints are written by a thread, and filters for a block alone are not safe among threads.
warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)


class NamedModel(BaseModel):
    """A model that a config names, as it was at the run's first start. digest: of its weights and config."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str  # of the checkpoint, where the config named a run
    digest: str


class State(BaseModel):
    """Contents of state.json. Updates 1 to `step` are done; samples_consumed counts packed rows.

    tensors: `model/NAME`, `optimizer/NAME/MOMENT` and, with ema_decay, `average/NAME`; num_averaged: updates in those.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = FORMAT
    step: int
    samples_consumed: int
    manifest_digest: str
    schedule: list[dict[str, Any]] = []  # the mixture that the samples were read by
    config: TrainConfig
    precision: Precision  # that "auto" stood for where the run began
    vocab_size: int
    length: int  # longest context the model was trained on, in tokens
    end_of_text_id: int
    named_models: dict[str, NamedModel] = {}  # by key of the config: init, distill.teacher
    architecture: Architecture | None = None  # None: a decoder of the config's shape
    stopper: Stopper = Stopper()
    num_averaged: int = 0
    tensors: dict[str, Stored] = {}
    files: dict[str, str] = {}  # name -> SHA-256

    @property
    def has_averages(self) -> bool:
        """Whether averaged weights were kept beside the last ones."""
        return any(name.startswith("average/") for name in self.tensors)


class Saver:
    """Writes checkpoints while training goes on, one at a time. Every worker has one and calls it at the same steps.

    A block: at its end the last one is written. An error of a write is raised by the call after it, or at the end.
    """

    def __init__(self, out: str, context: Context) -> None:
        self.out, self.context = out, context
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        # Its own group: messages of a write must not meet those of a step.
        self._group = dist.new_group(backend="gloo") if context.world_size > 1 else None
        self._pending: Future[None] | None = None

    def save(self, state: State, tensors: Mapping[str, Tensor]) -> None:
        """Copy the tensors and write them below `out` in the background.

        The oldest beyond keep_checkpoints are removed; early stopping keeps the one with the lowest validation loss.

        Raises StorageError if the one before could not be written.
        """
        self.wait()
        copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        self._pending = self._thread.submit(self._write, state, copies)

    def wait(self) -> None:
        """Until the checkpoint that is being written is whole."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.wait()
        except Exception as failed:
            if error is None:
                raise
            error.add_note(f"the last checkpoint was not written: {failed}")
        finally:
            self._thread.shutdown()

    def _write(self, state: State, tensors: dict[str, Tensor]) -> None:
        folder = folder_of(self.out, state.step)
        writer = Writer(folder, self.context.rank, self.context.world_size)
        alone = self._group is None
        with _plainly():
            save(
                tensors,
                storage_writer=writer,
                planner=DefaultSavePlanner(flatten_state_dict=False, flatten_sharded_tensors=False),
                process_group=self._group,
                no_dist=alone,
            )
        if self.context.rank == 0:
            whole = state.model_copy(update={"files": writer.files, "tensors": writer.tensors})
            strays = set(shards.list_files(folder)) - set(writer.files)
            for name in strays:  # of a write that was cut off, by another number of workers
                if name.startswith(KINDS) and name.endswith(".safetensors"):
                    shards.remove(shards.join(folder, name))
            shards.write_bytes(shards.join(folder, STATE), whole.model_dump_json().encode("utf-8"))
            _remove_old(self.out, state)


def _remove_old(out: str, state: State) -> None:
    """Remove all but the last whole checkpoints and the best, and what crashes have left of others."""
    root = shards.join(out, FOLDER)
    folders = list_checkpoints(out)[-state.config.keep_checkpoints :]
    if state.stopper.lowest_step is not None:
        folders.append(folder_of(out, state.stopper.lowest_step))
    kept = {folder.rsplit("/", 1)[1] for folder in folders}
    names = {path.split("/", 1)[0] for path in shards.list_files(root)}
    for name in sorted(name for name in names - kept if _NAME.fullmatch(name)):  # anything else is the user's
        shards.remove(shards.join(root, name, STATE))  # first: without it the rest is no checkpoint
        shards.remove(shards.join(root, name))


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """Raise our own errors as they are."""
    try:
        yield
    except CheckpointException as error:
        own = next((cause for cause, _ in error.failures.values() if isinstance(cause, GristmillError)), None)
        raise own or RuntimeError(str(error)) from error


def folder_of(out: str, step: int) -> str:
    """Where the checkpoint of a step lies."""
    return shards.join(out, FOLDER, f"step-{step:08d}")


def list_checkpoints(out: str) -> list[str]:
    """Folders of the whole checkpoints of a run, oldest first."""
    root = shards.join(out, FOLDER)
    names = [path.removesuffix(f"/{STATE}") for path in shards.list_files(root) if path.endswith(f"/{STATE}")]
    return [shards.join(root, name) for name in sorted(names) if _NAME.fullmatch(name)]


def latest_checkpoint(out: str) -> str | None:
    """Folder of the last whole checkpoint of a run, or None."""
    return next(reversed(list_checkpoints(out)), None)


def run_folder(folder: str) -> str:
    """The run that a checkpoint's folder lies in."""
    return folder.rstrip("/").rsplit(f"/{FOLDER}/", 1)[0]


def read_state(folder: str) -> State:
    """state.json of a checkpoint.

    Raises InputError if there is none, IntegrityError if it is damaged, ManifestMismatch if another version wrote it.
    """
    uri = shards.join(folder, STATE)
    try:
        content = shards.read_bytes(uri)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{uri}: there is no checkpoint. Name a folder {FOLDER}/step-<number> of a training run."
        ) from None
    found = _format(content)
    if found is not None and found != FORMAT:
        raise ManifestMismatch(
            f"{uri}: has format {found!r}, this version reads {FORMAT!r}. Train again, or use the version that "
            "wrote it."
        )
    try:
        return State.model_validate_json(content)
    except ValidationError as error:
        raise IntegrityError(f"{uri}: is not a whole checkpoint: {error.errors()[0]['msg']}.") from error


def _format(content: bytes) -> object:
    """What a state.json says of itself, of whatever version; None where it says nothing."""
    try:
        return json.loads(content).get("format")
    except (ValueError, AttributeError):
        return None


def read_model(folder: str, *, averaged: bool = True) -> tuple[nn.Module, State]:
    """The model of a checkpoint, on the CPU, low-rank updates merged into its weights, and its state.

    averaged: of a run with ema_decay the averaged weights, which its validation has measured; else the last ones.
    """
    state = read_state(folder)
    model = new_model(state)
    _load_weights(folder, state, model, averaged)
    if state.config.lora is None:
        return model, state
    from trainer.lora import merge_lora

    return merge_lora(model), state


def new_model(state: State) -> nn.Module:
    """A model with the names and shapes of a checkpoint's, on the CPU, with weights that mean nothing yet."""
    config = state.config
    model: nn.Module
    if state.architecture is None:
        model = Decoder(config.model, state.vocab_size, config.seed)
    else:
        model = build(state.architecture, config.seed)
    if config.lora is not None:
        from trainer.lora import add_lora

        add_lora(model, config.lora, config.seed, train_head=config.objective == "classification")
    return model


def _load_weights(folder: str, state: State, model: nn.Module, averaged: bool) -> None:
    def stored(name: str) -> str:
        average = f"average/{name}"  # of weights that are trained alone
        return average if averaged and average in state.tensors else f"model/{name}"

    _load(folder, state, {stored(name): tensor for name, tensor in model.state_dict().items()})


def model_tensors(model: nn.Module, optimizers: list[Optimizer], ema: Ema | None) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name: live ones, or this worker's parts of them."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for optimizer in optimizers:
        for parameter, moments in optimizer.state.items():
            name = names[id(parameter)]
            tensors |= {f"optimizer/{name}/{key}": value for key, value in moments.items() if isinstance(value, Tensor)}
    if ema is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in ema.shadow.items()}
    return tensors


def restore(folder: str, state: State, model: nn.Module, optimizers: list[Optimizer], ema: Ema | None) -> None:
    """Put a checkpoint into a model, optimisers and averages that have just been made, whole or parts of them."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    if ema is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in ema.shadow.items()}
        ema.num_updates.fill_(state.num_averaged)
    moments = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            moments[id(parameter)] = _empty_moments(state, f"optimizer/{name}/", parameter)
    tensors |= {f"{prefix}{key}": value for prefix, found in moments.values() for key, value in found.items()}
    _load(folder, state, tensors)
    for optimizer in optimizers:
        groups = optimizer.state_dict()["param_groups"]
        numbered = {
            number: moments[id(parameter)][1]
            for saved, group in zip(groups, optimizer.param_groups, strict=True)
            for number, parameter in zip(saved["params"], group["params"], strict=True)
        }
        optimizer.load_state_dict({"state": numbered, "param_groups": groups})


def _empty_moments(state: State, prefix: str, parameter: Tensor) -> tuple[str, dict[str, Tensor]]:
    """Room for what an optimiser has kept of a parameter: parts like the parameter's, or single numbers."""
    room = {}
    for name, stored in state.tensors.items():
        if name.startswith(prefix):
            is_like = stored.shape == tuple(parameter.shape)
            dtype = getattr(torch, stored.dtype)
            like = torch.zeros_like(parameter, dtype=dtype, requires_grad=False)
            room[name.removeprefix(prefix)] = like if is_like else torch.zeros(stored.shape, dtype=dtype)
    return prefix, room


def _load(folder: str, state: State, tensors: dict[str, Tensor]) -> None:
    """Fill the tensors, each worker for itself. Raises IntegrityError where a file or tensor is missing or changed."""
    missing = sorted(set(tensors) - set(state.tensors))
    if missing:
        raise IntegrityError(f"{folder}: has no tensor {missing[0]!r}; it was made for another model.")
    reader = Reader(folder, state.tensors, state.files)
    planner = DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
    with _plainly(), torch.no_grad():
        load(tensors, storage_reader=reader, planner=planner, no_dist=True)


def check_same_run(folder: str, state: State, manifest_digest: str, config: TrainConfig) -> None:
    """Raise ManifestMismatch for another corpus, RecipeError for another config, than the checkpoint was made with."""
    if state.manifest_digest != manifest_digest:
        raise ManifestMismatch(
            f"{folder}: was trained on the corpus with digest {state.manifest_digest}, this manifest has "
            f"{manifest_digest}. Give the same corpus, or another --out for a new run."
        )
    keys = different_keys(state.config.model_copy(update={"precision": config.precision}), config)
    if keys:
        old, new = ({key: values[key] for key in keys} for values in (state.config.model_dump(), config.model_dump()))
        raise RecipeError(
            f"{folder}: was trained with {old}, the config says {new}. "
            "Give the same config to go on, or another --out for a new run."
        )
    if config.precision not in ("auto", state.precision):
        raise RecipeError(
            f"{folder}: was trained with precision = {state.precision!r}, the config says {config.precision!r}. "
            f"Set {state.precision!r} or 'auto' to go on, or give another --out for a new run."
        )
