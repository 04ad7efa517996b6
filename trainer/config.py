"""What to train, read strictly from TOML: model shape, optimiser, schedule, lengths and seeds.

The context length, the vocabulary and the rows come from the corpus's manifest, so they are not set here.
"""

import tomllib
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manifests import shards
from manifests.errors import InputError, RecipeError
from manifests.strict import explain_validation

# May change between a stop and a resume: they decide when something is written and how much fits into memory,
# never which rows are seen or which loss is minimised.
OPERATIONAL = frozenset({"micro_batch", "eval_every", "checkpoint_every", "keep_checkpoints", "report_every"})


class Strict(BaseModel):
    """Frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ModelConfig(Strict):
    """A Llama-shaped decoder. Defaults: 0.8 M parameters beside the embeddings."""

    layers: int = Field(default=4, ge=1)
    width: int = Field(default=128, ge=2)
    heads: int = Field(default=4, ge=1)
    kv_heads: int = Field(default=2, ge=1)  # fewer than heads: grouped-query attention
    hidden: int = Field(default=384, ge=1)  # width of the SwiGLU layer
    rope_theta: float = Field(default=10_000.0, gt=0.0)
    tied: bool = True  # the output layer is the embedding matrix

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not a multiple of 2 * heads = {2 * self.heads}")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        return self


class OptimizerConfig(Strict):
    """AdamW with decoupled weight decay on matrices; norms are not decayed."""

    lr: float = Field(default=3e-3, gt=0.0)
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.95, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=0.1, ge=0.0)


class ScheduleConfig(Strict):
    """Linear warm-up from 0, then decay to min_ratio * lr at the last step."""

    warmup_steps: int = Field(default=10, ge=0)
    decay: Literal["cosine", "linear"] = "cosine"
    min_ratio: float = Field(default=0.1, ge=0.0, le=1.0)


class TrainConfig(Strict):
    """Everything that, with a manifest, decides a run. Batches are counted in packed rows."""

    seed: int = Field(default=0, ge=0, lt=1 << 63)
    steps: int = Field(default=100, ge=1)
    global_batch: int = Field(default=4, ge=1)
    micro_batch: int = Field(default=2, ge=1)  # rows in one forward pass of one worker
    clip: float = Field(default=1.0, gt=0.0)  # largest gradient norm
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    eval_every: int = Field(default=50, ge=1)
    checkpoint_every: int = Field(default=50, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)
    report_every: int = Field(default=10, ge=1)
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.global_batch % self.micro_batch:
            raise ValueError(f"global_batch {self.global_batch} is not a multiple of micro_batch {self.micro_batch}")
        if self.schedule.warmup_steps > self.steps:
            raise ValueError(f"schedule.warmup_steps {self.schedule.warmup_steps} is more than steps {self.steps}")
        return self


def read_config(path: str) -> TrainConfig:
    """Read a TOML file. Raises InputError if it is not there, RecipeError if a key or value is wrong."""
    try:
        text = shards.read_bytes(path).decode("utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: there is no such training config. Give --config the path of a TOML file.") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: is not UTF-8 at byte {error.start}.") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: is not TOML: {error}.") from error
    return parse_config(data, path)


def parse_config(data: dict[str, Any], where: str) -> TrainConfig:
    """Check the keys and values of a config. `where` names it in the RecipeError."""
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{where}: {explain_validation(error, TrainConfig)}") from error


def check_world(config: TrainConfig, world_size: int) -> None:
    """Raise RecipeError unless the global batch divides into whole micro-batches of all workers."""
    share = world_size * config.micro_batch
    if config.global_batch % share:
        raise RecipeError(
            f"global_batch {config.global_batch} is not a multiple of workers * micro_batch = "
            f"{world_size} * {config.micro_batch} = {share}. Change one of the three."
        )


def different_keys(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Top-level keys that differ and would make a resumed run another run, sorted."""
    before, after = old.model_dump(), new.model_dump()
    return sorted(key for key in before if key not in OPERATIONAL and before[key] != after[key])
