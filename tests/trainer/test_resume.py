"""Runs that are killed at random and go on with other workers, or workers arranged otherwise."""

import random
import time
from pathlib import Path

import pytest

from tests.trainer.synthetic import counting_corpus, small_config
from tests.trainer.workers import Group, train_together
from trainer.checkpoint import latest_checkpoint, list_checkpoints, read_model
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.loop import train
from trainer.run_files import read_metrics

MODEL = {"layers": 4, "width": 16, "heads": 4, "kv_heads": 2, "hidden": 32}
STEPS = 36
# Workers and how they share the model, one after another.
GROUPS: list[tuple[int, dict[str, object]]] = [
    (2, {}),
    (1, {}),
    (4, {"tensor": 2, "pipeline": 2}),
    (2, {"shard": True}),
    (4, {"tensor": 2, "shard": True}),
    (3, {}),
]


def config(parallel: dict[str, object] | None = None) -> TrainConfig:
    settings = {"steps": STEPS, "checkpoint_every": 3, "eval_every": STEPS, "micro_batch": 1, "ema_decay": 0.9}
    return small_config(model=MODEL, **settings, parallel=parallel or {})


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    counting_corpus(tmp_path / "corpus")
    return str(tmp_path / "corpus")


@pytest.mark.slow
def test_a_run_killed_again_and_again_has_the_losses_of_one_that_was_not(corpus: str, tmp_path: Path) -> None:
    train([corpus], config(), str(tmp_path / "alone"), Context())
    out, dice, num_killed = tmp_path / "killed", random.Random(5), 0
    for number, (num_workers, parallel) in enumerate(GROUPS):
        group = Group(num_workers, corpus, config(parallel), out)
        last = len(GROUPS) - 1 == number
        while group.is_alive() and not last:
            if len(read_metrics(str(out))) >= 5 * number + 4:
                time.sleep(dice.uniform(0.0, 0.05))
                num_killed += group.kill()
                break
            time.sleep(0.01)
        group.join()
    assert num_killed >= 5  # a worker at least of each group but the last
    lines, expected = (read_metrics(str(path)) for path in (out, tmp_path / "alone"))
    assert [line["loss"] for line in lines] == pytest.approx([line["loss"] for line in expected], abs=1e-5)
    assert lines[-1]["validation_loss"] == pytest.approx(expected[-1]["validation_loss"], abs=1e-5)
    assert [Path(folder).name for folder in list_checkpoints(str(out))] == ["step-00000033", "step-00000036"]


@pytest.mark.slow
def test_any_arrangement_of_workers_goes_on_from_any_other(corpus: str, tmp_path: Path) -> None:
    settings = {"steps": 4, "checkpoint_every": 2, "keep_checkpoints": 9}
    whole = config().model_copy(update=settings)
    train([corpus], whole, str(tmp_path / "alone"), Context())
    out = tmp_path / "run"
    for num_workers, parallel in GROUPS:
        for folder in list_checkpoints(str(out))[1:]:
            Path(folder, "state.json").unlink()  # back to step 2
        train_together(num_workers, corpus, config(parallel).model_copy(update=settings), out)
        found, expected = (latest_checkpoint(str(path)) for path in (out, tmp_path / "alone"))
        assert found is not None
        assert expected is not None
        weights, right = (read_model(folder)[0].state_dict() for folder in (found, expected))
        assert len(weights) == 38
        assert max(float((weights[name] - right[name]).abs().max()) for name in right) < 1e-5
