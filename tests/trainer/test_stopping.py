import json
import math
from dataclasses import asdict

from trainer.config import EarlyStoppingConfig
from trainer.stopping import Stopper


def stops_after(losses: list[float], config: EarlyStoppingConfig) -> int | None:
    """The number of evaluations after which training stops; state goes through JSON between any two."""
    stopper = Stopper()
    for number, loss in enumerate(losses, start=1):
        stopper = Stopper(**json.loads(json.dumps(asdict(stopper.after(number, loss, config)), allow_nan=False)))
        if stopper.should_stop(config):
            return number
    return None


def test_it_stops_after_patience_evaluations_in_a_row_without_improvement() -> None:
    assert stops_after([3.0, 2.0, 2.5, 2.1, 2.0, 1.0], EarlyStoppingConfig(patience=3)) == 5
    assert stops_after([3.0, 2.0, 2.5, 2.1, 1.9, 2.0, 2.0], EarlyStoppingConfig(patience=3)) is None


def test_the_first_evaluation_is_an_improvement() -> None:
    assert stops_after([9.0], EarlyStoppingConfig(patience=1)) is None


def test_a_gain_of_exactly_min_delta_is_none() -> None:
    assert stops_after([4.0, 3.5], EarlyStoppingConfig(patience=1, min_delta=0.5)) == 2
    assert stops_after([4.0, 3.25], EarlyStoppingConfig(patience=1, min_delta=0.5)) is None


def test_small_gains_add_up_against_the_best_loss() -> None:
    assert stops_after([4.0, 3.75, 3.25, 3.0], EarlyStoppingConfig(patience=2, min_delta=0.5)) is None


def test_a_loss_that_is_not_a_number_is_no_improvement() -> None:
    assert stops_after([math.nan, math.nan], EarlyStoppingConfig(patience=2)) == 2
    assert stops_after([2.0, math.nan], EarlyStoppingConfig(patience=1)) == 2


def test_the_step_of_the_lowest_loss_is_remembered() -> None:
    config = EarlyStoppingConfig(patience=5, min_delta=0.1)
    stopper = Stopper()
    for step, loss in ((2, 3.0), (4, 2.0), (6, 1.95), (8, math.nan), (10, 2.5)):
        stopper = stopper.after(step, loss, config)
    assert (stopper.lowest_step, stopper.lowest_loss) == (6, 1.95)
    assert (stopper.best_loss, stopper.num_without_improvement) == (2.0, 3)
