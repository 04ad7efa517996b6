"""What can be learnt, by its name in a training config."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from trainer.config import TrainConfig
from trainer.objectives.base import Objective
from trainer.objectives.causal import Causal
from trainer.objectives.masked import Masked, Masking
from trainer.objectives.next_sentence import NextSentence

if TYPE_CHECKING:
    from trainer.data import Data

OBJECTIVES: dict[str, Callable[[TrainConfig, "Data"], Objective]] = {
    "causal": lambda config, data: Causal(),
    "masked": lambda config, data: Masked(Masking.of(config, data)),
    "next_sentence": lambda config, data: NextSentence(Masking.of(config, data)),
}


def make_objective(config: TrainConfig, data: "Data") -> Objective:
    """The objective that a config names."""
    return OBJECTIVES[config.objective](config, data)
