"""What can be learnt, by its name in a training config."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from manifests.errors import RecipeError
from trainer.config import TrainConfig
from trainer.models import make_model
from trainer.objectives.base import Objective
from trainer.objectives.causal import Causal
from trainer.objectives.classification import Classification
from trainer.objectives.distill import Distill
from trainer.objectives.masked import Masked, Masking
from trainer.objectives.next_sentence import NextSentence
from trainer.objectives.preference import Preference
from trainer.objectives.seq2seq import Seq2seq
from trainer.origin import is_seq2seq

if TYPE_CHECKING:
    from trainer.data import Data

OBJECTIVES: dict[str, Callable[[TrainConfig, "Data"], Objective]] = {
    "causal": lambda config, data: Causal(),
    "masked": lambda config, data: Masked(Masking.of(config, data)),
    "next_sentence": lambda config, data: NextSentence(Masking.of(config, data)),
    "classification": lambda config, data: Classification(),
    "question_answering": lambda config, data: _answers(config),
    "summarization": lambda config, data: _answers(config),
    "translation": lambda config, data: _answers(config),
    "instruction": lambda config, data: _answers(config),
    "preference": lambda config, data: _preference(config, data),
}


def make_objective(config: TrainConfig, data: "Data") -> Objective:
    """The objective that a config names, with a teacher where there is [distill]. Raises what make_model raises."""
    objective = OBJECTIVES[config.objective](config, data)
    if config.distill is None:
        return objective
    if type(objective) is not Causal:
        raise RecipeError(f"distill: objective {config.objective!r} does not predict next tokens. Remove [distill].")
    teacher = make_model(config.model_copy(update={"init": config.distill.teacher, "lora": None}), data)
    return Distill(teacher, config.distill)


def _answers(config: TrainConfig) -> Objective:
    return Seq2seq() if is_seq2seq(config) else Causal()


def _preference(config: TrainConfig, data: "Data") -> Objective:
    """With low-rank updates the model without them is the reference; else it is made a second time."""
    reference = make_model(config, data) if config.lora is None else None
    return Preference(config.examples.beta, reference)
