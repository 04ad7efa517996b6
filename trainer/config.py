"""What to train, read strictly from TOML: objective, model shape, optimiser, schedule, parallelism, lengths and seeds.

The rows, and unless the config says so the vocabulary and the context, come from the data's manifest.
"""

import os
import tomllib
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manifests import shards
from manifests.errors import InputError, RecipeError
from manifests.strict import explain_validation

# May change between a stop and a resume: they decide when something is written, how much fits into memory and how the
# work is spread, never which rows are seen or which loss is minimised.
OPERATIONAL = frozenset(
    {
        "micro_batch", "eval_every", "checkpoint_every", "keep_checkpoints", "report_every",
        "activation_checkpointing", "compile", "parallel", "evaluation", "losses",
        "mixture", "max_repeats",  # what was read so far must not change: TrainStream.check_state
    }
)  # fmt: skip

Objective = Literal[
    "causal", "masked", "next_sentence", "classification", "question_answering", "summarization", "translation",
    "instruction", "preference",
]  # fmt: skip
# These read packed rows of a corpus; all others read examples from JSONL files.
CORPUS_OBJECTIVES = frozenset({"causal", "masked", "next_sentence"})


class Strict(BaseModel):
    """Frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ModelConfig(Strict):
    """A Llama-shaped decoder, or for masked objectives a BERT. Defaults: 0.8 M parameters beside the embeddings.

    None of it counts where `init` names a model to start from.
    """

    layers: int = Field(default=4, ge=1)
    width: int = Field(default=128, ge=2)
    heads: int = Field(default=4, ge=1)
    kv_heads: int = Field(default=2, ge=1)  # fewer than heads: grouped-query attention; a BERT has none
    hidden: int = Field(default=384, ge=1)  # width of the feed-forward layer (SwiGLU)
    rope_theta: float = Field(default=10_000.0, gt=0.0)
    norm_epsilon: float = Field(default=1e-5, gt=0.0)  # what RMSNorm adds to the mean square
    tied: bool = True  # the output layer is the embedding matrix
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)  # of what each attention and feed-forward layer adds
    vocab_size: int | None = Field(default=None, ge=2)  # None: the tokenizer's; more pads the embedding matrix
    context: int | None = Field(default=None, ge=1)  # None: the packed rows' length, which it must equal otherwise

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not a multiple of 2 * heads = {2 * self.heads}")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        return self

    @property
    def head_width(self) -> int:
        """Width of a head."""
        return self.width // self.heads


class OptimizerConfig(Strict):
    """weight_decay (L2) is decoupled and, like l1, acts on matrices only; neither touches norms and biases."""

    name: Literal["adamw", "sgd", "muon"] = "adamw"
    lr: float = Field(default=3e-3, gt=0.0)
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)  # AdamW, and the matrices that Muon leaves to it
    beta2: float = Field(default=0.95, ge=0.0, lt=1.0)
    momentum: float = Field(default=0.95, ge=0.0, lt=1.0)  # SGD and Muon
    weight_decay: float = Field(default=0.1, ge=0.0)
    l1: float = Field(default=0.0, ge=0.0)  # proximal step: each weight moves lr * l1 towards zero and stops there


class ScheduleConfig(Strict):
    """Linear warm-up from 0, then decay to min_ratio * lr at the last step.

    wsd (warm-up, stable, decay) stays at lr and decays linearly over the last decay_ratio of all steps.
    """

    warmup_steps: int = Field(default=10, ge=0)
    decay: Literal["cosine", "linear", "wsd"] = "cosine"
    min_ratio: float = Field(default=0.1, ge=0.0, le=1.0)
    decay_ratio: float = Field(default=0.2, gt=0.0, le=1.0)  # wsd alone


class MixtureConfig(Strict):
    """Shares of the sources in the samples from `from_sample` (packed rows, counted from 0) to the next entry."""

    from_sample: int = Field(default=0, ge=0)
    weights: dict[str, float]

    @model_validator(mode="after")
    def _positive(self) -> Self:
        negative = [name for name, weight in self.weights.items() if weight < 0]
        if negative:
            raise ValueError(f"the weight of source {negative[0]!r} is negative")
        if not sum(self.weights.values()):
            raise ValueError("no weight is above 0")
        return self


class ParallelConfig(Strict):
    """How workers share a model. Workers that tensor * pipeline leaves over share the rows (data parallelism)."""

    tensor: int = Field(default=1, ge=1)  # workers that share each matrix
    pipeline: int = Field(default=1, ge=1)  # groups of workers that each hold some layers
    schedule: Literal["1f1b", "gpipe"] = "1f1b"  # of a pipeline; 1f1b keeps fewer micro-batches in memory
    shard: bool = False  # data-parallel workers hold a part of weights and optimizer state each (FSDP2)


class LoraConfig(Strict):
    """Train low-rank updates of the linear layers and nothing else. Source: Hu et al. 2021."""

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0.0)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class DistillConfig(Strict):
    """Learn the distribution of a teacher too. Source: Hinton et al. 2015.

    loss = (1 - weight) * cross entropy + weight * temperature**2 * KL(teacher || student), both at `temperature`.
    """

    teacher: str  # checkpoint, run, or folder in the Hugging Face layout; the vocabulary must be the student's
    weight: float = Field(default=0.5, gt=0.0, le=1.0)
    temperature: float = Field(default=1.0, gt=0.0)


class EarlyStoppingConfig(Strict):
    """Stop after `patience` evaluations in a row that do not lower the validation loss by more than min_delta."""

    patience: int = Field(default=3, ge=1)
    min_delta: float = Field(default=0.0, ge=0.0)


class MaskingConfig(Strict):
    """Masked language modelling: which tokens are predicted, and what stands in their place.

    Defaults of Devlin et al. 2019: 15 %, of those 80 % masked, 10 % another token, 10 % left as they are.
    """

    ratio: float = Field(default=0.15, gt=0.0, lt=1.0)
    mask_ratio: float = Field(default=0.8, ge=0.0, le=1.0)
    random_ratio: float = Field(default=0.1, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.mask_ratio + self.random_ratio > 1.0:
            raise ValueError(f"mask_ratio {self.mask_ratio} + random_ratio {self.random_ratio} is more than 1")
        return self


class ExamplesConfig(Strict):
    """How examples from JSONL become rows; for the objectives that do not read a corpus."""

    length: int = Field(default=512, ge=2)  # tokens in a row at most; longer examples are an error, not cut
    template: str | None = None  # of the prompt, with the example's keys in braces; None: the objective's own
    tokenizer: str | None = None  # tokenizer.json, or a corpus whose tokenizer is taken; None: that of `init`
    validation_ratio: float = Field(default=0.05, ge=0.0, lt=1.0)  # reserved by hash of the example
    beta: float = Field(default=0.1, gt=0.0)  # preference: DPO's weight of the distance to the reference model


class EvaluationConfig(Strict):
    """A file of items that the model is asked, one JSON object a line; docs/evaluation.md has the keys of each kind."""

    kind: Literal["texts", "choices", "generate", "bias"]
    path: str
    max_tokens: int = Field(default=32, ge=1)  # generate alone
    stop_at_newline: bool = True  # generate alone


class TrainConfig(Strict):
    """Everything that, with the data, decides a run. Batches are counted in packed rows."""

    objective: Objective = "causal"
    init: str | None = None  # checkpoint, run, or folder in the Hugging Face layout to start from; None: from scratch
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    steps: int = Field(default=100, ge=1)
    global_batch: int = Field(default=4, ge=1)
    micro_batch: int = Field(default=2, ge=1)  # rows in one forward pass of one worker
    clip: float = Field(default=1.0, gt=0.0)  # largest gradient norm
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    activation_checkpointing: bool = False  # layers are computed again in the backward pass: less memory, more time
    compile: bool = False
    eval_every: int = Field(default=50, ge=1)
    checkpoint_every: int = Field(default=50, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)
    report_every: int = Field(default=10, ge=1)
    losses: bool = True  # keep the loss of every document that a step saw, in losses/
    ema_decay: float | None = Field(default=None, gt=0.0, lt=1.0)  # also keep a moving average of the weights
    max_repeats: float | None = Field(default=None, gt=0.0)  # how often a run may read the rows of any source
    mixture: tuple[MixtureConfig, ...] = Field(
        default=(), strict=False
    )  # empty: every row of every source once an epoch
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    parallel: ParallelConfig = ParallelConfig()
    masking: MaskingConfig = MaskingConfig()
    examples: ExamplesConfig = ExamplesConfig()
    lora: LoraConfig | None = None
    distill: DistillConfig | None = None
    early_stopping: EarlyStoppingConfig | None = None
    evaluation: tuple[EvaluationConfig, ...] = Field(default=(), strict=False)  # asked at each evaluation

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.schedule.warmup_steps > self.steps:
            raise ValueError(f"schedule.warmup_steps {self.schedule.warmup_steps} is more than steps {self.steps}")
        starts = [entry.from_sample for entry in self.mixture]
        if starts and (starts[0] != 0 or starts != sorted(set(starts))):
            raise ValueError(f"mixture: from_sample must start with 0 and rise, found {starts}")
        if self.lora is not None and self.init is None:
            raise ValueError("lora needs a model to start from: set init")
        return self


def read_config(path: str) -> TrainConfig:
    """Read a TOML file; relative paths in it count from its folder.

    Raises InputError if it is not there, RecipeError if a key or value is wrong.
    """
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
    return _from_folder(parse_config(data, path), path)


def parse_config(data: dict[str, Any], where: str) -> TrainConfig:
    """Check the keys and values of a config. `where` names it in the RecipeError."""
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{where}: {explain_validation(error, TrainConfig)}") from error


def _from_folder(config: TrainConfig, path: str) -> TrainConfig:
    """The config with its paths made absolute; URIs are as they were."""

    def whole(found: str | None) -> str | None:
        if found is None or "://" in found:
            return found
        if "://" in path:
            return found if found.startswith("/") else shards.join(path.rpartition("/")[0], found)
        return os.path.abspath(os.path.join(os.path.dirname(path), found))

    distill = config.distill and config.distill.model_copy(update={"teacher": whole(config.distill.teacher)})
    changes = {
        "init": whole(config.init),
        "distill": distill,
        "examples": config.examples.model_copy(update={"tokenizer": whole(config.examples.tokenizer)}),
        "evaluation": tuple(each.model_copy(update={"path": whole(each.path)}) for each in config.evaluation),
    }
    return config.model_copy(update=changes)


def different_keys(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Top-level keys that differ and would make a resumed run another run, sorted."""
    before, after = old.model_dump(), new.model_dump()
    return sorted(key for key in before if key not in OPERATIONAL and before[key] != after[key])
