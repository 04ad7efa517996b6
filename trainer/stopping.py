"""When to stop early: a pure function of the validation losses so far."""

import math
from dataclasses import dataclass, replace

from trainer.config import EarlyStoppingConfig


@dataclass(frozen=True)
class Stopper:
    """All that early stopping remembers; goes into checkpoints as JSON, so a resumed run stops at the same step.

    best_loss: the last that was lower than the one before it by more than min_delta; lowest_loss, lowest_step: of all.
    """

    best_loss: float | None = None
    num_without_improvement: int = 0
    lowest_loss: float | None = None
    lowest_step: int | None = None

    def after(self, step: int, validation_loss: float, config: EarlyStoppingConfig) -> "Stopper":
        """The state after the evaluation of a step. A loss that is not a number is no improvement."""
        best, lowest = (math.inf if loss is None else loss for loss in (self.best_loss, self.lowest_loss))
        found = replace(self, num_without_improvement=self.num_without_improvement + 1)
        if validation_loss < best - config.min_delta:
            found = replace(found, best_loss=validation_loss, num_without_improvement=0)
        if validation_loss < lowest:
            found = replace(found, lowest_loss=validation_loss, lowest_step=step)
        return found

    def should_stop(self, config: EarlyStoppingConfig) -> bool:
        """Whether the last `patience` evaluations brought nothing."""
        return self.num_without_improvement >= config.patience
