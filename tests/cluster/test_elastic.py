"""Training on a range of workers, on a Ray cluster of two nodes of which one is killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from cluster.ray_train import fit, worker_context
from tests.trainer.synthetic import counting_corpus, small_config
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.loop import train
from trainer.run_files import read_metrics

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")]

# Dead nodes and workers are noticed within a second instead of half a minute.
SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "300",
    "RAY_health_check_failure_threshold": "3",
}


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.usefixtures("two_nodes")
def test_a_range_of_workers_goes_on_with_those_that_a_lost_node_leaves(tmp_path: Path) -> None:
    counting_corpus(tmp_path / "corpus")
    train([str(tmp_path / "corpus")], small_config(), str(tmp_path / "alone"), Context())
    head = ray.get_runtime_context().get_node_id()
    sizes = tmp_path / "sizes"
    sizes.mkdir()

    def loop(settings: dict[str, Any]) -> None:
        given = worker_context()
        torch.set_num_threads(1)
        (sizes / str(given.world_size)).touch()

        def report(metrics: dict[str, Any]) -> None:
            if metrics["step"] == 12 and ray.get_runtime_context().get_node_id() != head:
                os.kill(os.getppid(), signal.SIGKILL)  # what makes a node of Ray
                os.kill(os.getpid(), signal.SIGKILL)

        context = Context(given.rank, given.world_size, given.device, report)
        train(settings["paths"], TrainConfig.model_validate(settings["config"]), settings["out"], context)

    out = tmp_path / "run"
    paths = [str(tmp_path / "corpus")]
    fit(loop, {"paths": paths, "config": small_config().model_dump(), "out": str(out)}, (1, 2))
    assert sorted(path.name for path in sizes.iterdir()) == ["1", "2"]
    found, expected = ([line["loss"] for line in read_metrics(str(tmp_path / name))] for name in ("run", "alone"))
    assert found == pytest.approx(expected, abs=1e-5)
