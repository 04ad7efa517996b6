"""Training with Ray Train: the trainer's own loop in a group of workers that Ray places and starts again.

Ray's part is to place the workers, to join them into a process group and to notice when one is lost; then a new group
goes on from the last checkpoint below `out`, which must be storage that every node sees. Checkpoints, metrics and
resume are the trainer's. Metrics do not go through ray.train.report: its queue holds one report and is emptied every
two seconds, so it would hold up a loop with quicker steps.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ray.train
import ray.train.torch
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchConfig, TorchTrainer

from cluster.ray_data import connect
from manifests.errors import GristmillError, JobFailed
from trainer.config import TrainConfig
from trainer.context import Context, Reporter, share_cores
from trainer.loop import check_settings, summary, train
from trainer.run_files import absolute, read_metrics

# A loss of workers that comes back after each of these restarts is not an accident.
MAX_RESTARTS = 2
POLL_SECONDS = 0.5
# What Ray Train writes of its own; nothing of ours reads it.
STATE_FOLDER = "ray"

WorkerLoop = Callable[[dict[str, Any]], None]


def train_with_ray(
    manifest_path: str,
    config: TrainConfig,
    out: str,
    num_workers: int,
    address: str | None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Train on `num_workers` Ray workers, or go on from the last checkpoint below `out`.

    address: of a Ray cluster, None for the connected one or a Ray started here. reporter: is called here with the
    metrics of every config.report_every-th step soon after it is done. Returns the metrics of the last step and
    `checkpoint`. Raises what trainer.loop.train raises, JobFailed if workers are lost more than MAX_RESTARTS times.
    """
    manifest_path, out = absolute(manifest_path), absolute(out)
    check_settings(manifest_path, config, out)
    settings = {"manifest": manifest_path, "config": config.model_dump(), "out": out}
    with connect(address, num_workers), _following(out, config.report_every, reporter):
        fit(worker_loop, settings, num_workers)
    return summary(out)


def worker_loop(settings: dict[str, Any]) -> None:
    """What each worker does: the trainer's loop in the process group that Ray has made."""
    config = TrainConfig.model_validate(settings["config"])
    train(settings["manifest"], config, settings["out"], worker_context())


def worker_context() -> Context:
    """The trainer's context of the Ray Train worker that calls this."""
    worker = ray.train.get_context()
    share_cores(worker.get_local_world_size())
    return Context(worker.get_world_rank(), worker.get_world_size(), ray.train.torch.get_device())


def fit(loop: WorkerLoop, settings: dict[str, Any], num_workers: int) -> None:
    """Run a loop on a group of workers, a new group up to MAX_RESTARTS times where workers are lost.

    Raises the GristmillError that a worker ended with at once, JobFailed when the restarts are used up.
    """
    for restarts_left in reversed(range(MAX_RESTARTS + 1)):
        try:
            _trainer(loop, settings, num_workers).fit()
            return
        except TrainingFailedError as error:
            ours = _own_error(error)
            if ours is not None:
                raise ours from error
            if not restarts_left:
                raise _lost(error) from error


def _trainer(loop: WorkerLoop, settings: dict[str, Any], num_workers: int) -> TorchTrainer:
    """Each worker gets a GPU if there are enough of them."""
    use_gpu = ray.cluster_resources().get("GPU", 0) >= num_workers
    return TorchTrainer(
        loop,
        train_loop_config=settings,
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=num_workers, use_gpu=use_gpu),
        run_config=RunConfig(
            name=STATE_FOLDER,
            storage_path=settings["out"],
            # Restarts are ours: Ray would also repeat what fails for a reason, such as a damaged shard.
            failure_config=FailureConfig(max_failures=0),
            logging_config=ray.train.LoggingConfig(log_level="ERROR"),
        ),
    )


def _own_error(error: TrainingFailedError) -> GristmillError | None:
    """The error of ours that a worker ended with; None where the worker itself was lost."""
    failures = [getattr(failure, "_base_exc", failure) for failure in getattr(error, "worker_failures", {}).values()]
    return next((failure for failure in failures if isinstance(failure, GristmillError)), None)


def _lost(error: TrainingFailedError) -> JobFailed:
    last_line = str(error).strip().splitlines()[-1]
    return JobFailed(
        f"training on Ray lost its workers {MAX_RESTARTS + 1} times, at last with: {last_line} "
        "Run the same command again to go on from the last checkpoint; if memory is short, lower micro_batch."
    )


@contextlib.contextmanager
def _following(out: str, report_every: int, reporter: Reporter | None) -> Iterator[None]:
    """Call the reporter with the metrics that appear below `out` during the block."""
    if reporter is None:
        yield
        return
    ended = threading.Event()
    last = max((metrics["step"] for metrics in read_metrics(out)), default=0)
    follower = threading.Thread(target=_follow, args=(out, last, report_every, reporter, ended), name="follower")
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _follow(out: str, last: int, report_every: int, reporter: Reporter, ended: threading.Event) -> None:
    while True:
        is_end = ended.wait(POLL_SECONDS)
        for metrics in read_metrics(out):
            if metrics["step"] > last and metrics["step"] % report_every == 0:
                last = metrics["step"]
                reporter(metrics)
        if is_end:
            return
