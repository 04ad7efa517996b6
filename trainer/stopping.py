"""When to stop early: a pure function of the validation losses so far."""

import math
from dataclasses import dataclass

from trainer.config import EarlyStoppingConfig


@dataclass(frozen=True)
class Stopper:
    """All that early stopping remembers; goes into checkpoints as JSON, so a resumed run stops at the same step."""

    best_loss: float | None = None
    best_step: int | None = None
    num_without_improvement: int = 0

    def after(self, step: int, validation_loss: float, config: EarlyStoppingConfig) -> "Stopper":
        """The state after the evaluation of a step. A loss that is not a number is no improvement."""
        best_loss = math.inf if self.best_loss is None else self.best_loss
        if validation_loss < best_loss - config.min_delta:
            return Stopper(validation_loss, step, 0)
        return Stopper(self.best_loss, self.best_step, self.num_without_improvement + 1)

    def should_stop(self, config: EarlyStoppingConfig) -> bool:
        """Whether the last `patience` evaluations brought nothing."""
        return self.num_without_improvement >= config.patience
