import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

from cluster.ray_train import fit, train_with_ray, worker_context
from manifests.errors import IntegrityError, JobFailed, RecipeError
from tests.trainer.synthetic import counting_corpus, small_config
from trainer.checkpoint import read_state
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.loop import train
from trainer.run_files import read_metrics

# Ray warns about its own settings while it is started.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")]


@pytest.fixture(scope="module")
def two_cpus() -> Iterator[None]:
    # Ray looks after its workers every two seconds unless told otherwise: that is most of the time of small runs.
    os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.2"
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
    del os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("ray_train")
    counting_corpus(folder / "corpus")
    return str(folder / "corpus")


@pytest.fixture(scope="module")
def alone(corpus: str) -> list[float]:
    """Losses of the same run in this process."""
    train([corpus], small_config(), f"{corpus}-alone", Context())
    return losses(f"{corpus}-alone")


def losses(out: Path | str) -> list[float]:
    return [metrics["loss"] for metrics in read_metrics(str(out))]


@pytest.mark.usefixtures("two_cpus")
def test_a_ray_worker_sees_the_losses_of_this_process(corpus: str, alone: list[float], tmp_path: Path) -> None:
    reported: list[int] = []
    config = small_config(report_every=5)
    result = train_with_ray(
        [corpus], config, str(tmp_path), (1, 1), None, lambda metrics: reported.append(metrics["step"])
    )
    assert losses(tmp_path) == pytest.approx(alone, abs=1e-5)
    assert result == {**read_metrics(str(tmp_path))[-1], "checkpoint": f"{tmp_path}/checkpoints/step-00000020"}
    assert reported == [5, 10, 15, 20]


@pytest.mark.usefixtures("two_cpus")
def test_a_lost_worker_costs_the_steps_since_the_last_checkpoint(
    corpus: str, alone: list[float], tmp_path: Path
) -> None:
    started = tmp_path / "started"

    def lose_one_worker(settings: dict[str, Any]) -> None:
        given = worker_context()

        def report(metrics: dict[str, Any]) -> None:
            if metrics["step"] == 12 and given.rank == 1 and "12" not in started.read_text():
                started.write_text(started.read_text() + "12")
                os.kill(os.getpid(), signal.SIGKILL)

        context = Context(given.rank, given.world_size, given.device, report)
        if given.rank == 1:
            text = started.read_text() if started.exists() else ""
            started.write_text(text + "start ")
        train(settings["paths"], TrainConfig.model_validate(settings["config"]), settings["out"], context)

    out = str(tmp_path / "run")
    fit(lose_one_worker, {"paths": [corpus], "config": small_config().model_dump(), "out": out}, (2, 2))
    assert started.read_text() == "start 12start "
    assert losses(out) == pytest.approx(alone, abs=1e-5)
    assert read_state(f"{out}/checkpoints/step-00000020").samples_consumed == 80


class FailingTrainer:
    """In the place of TorchTrainer: every group of workers ends with the same error."""

    num_groups = 0
    error: Exception

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def fit(self) -> None:
        FailingTrainer.num_groups += 1
        failure = UserExceptionWithTraceback(FailingTrainer.error, "traceback")
        raise WorkerGroupError("rank 0 failed", {0: failure})


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize(
    ("error", "num_groups", "message"),
    [
        (IntegrityError("part-00003.parquet: damaged"), 1, "part-00003"),
        (ConnectionError("peer is gone"), 3, "lost its workers 3 times, at last with: rank 0 failed"),
    ],
)
def test_only_lost_workers_are_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, num_groups: int, message: str
) -> None:
    monkeypatch.setattr("cluster.ray_train.TorchTrainer", FailingTrainer)
    monkeypatch.setattr(FailingTrainer, "num_groups", 0)
    monkeypatch.setattr(FailingTrainer, "error", error, raising=False)
    with pytest.raises(IntegrityError if num_groups == 1 else JobFailed, match=message):
        fit(print, {"out": str(tmp_path)}, (1, 1))
    assert FailingTrainer.num_groups == num_groups


def test_settings_are_checked_before_ray_is_asked(corpus: str, tmp_path: Path) -> None:
    config = small_config(parallel={"tensor": 2})
    with pytest.raises(RecipeError, match="need a multiple of 2 workers"):
        train_with_ray([corpus], config, str(tmp_path), (1, 4), None)
