"""Training with Ray Train: the trainer's own loop in a group of workers that Ray places and starts again.

Ray's part is to place the workers, to join them into a process group and to notice when one is lost; then a new group
goes on from the last checkpoint below `out`, which must be storage that every node sees. Checkpoints, metrics and
resume are the trainer's. Metrics do not go through ray.train.report: its queue holds one report and is emptied every
two seconds, so it would hold up a loop with quicker steps.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray.train
import ray.train.torch
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchConfig, TorchTrainer

from cluster.ray_data import connect
from manifests.errors import GristmillError, JobFailed, RecipeError
from trainer.checkpoint import latest_checkpoint
from trainer.config import TrainConfig
from trainer.context import Context, Reporter, backend, share_cores
from trainer.loop import check_settings, summary, train
from trainer.run_files import absolute, is_reported, only_writer, read_metrics

# A loss of workers that comes back after each of these restarts, before any checkpoint, is not an accident.
MAX_RESTARTS = 2
POLL_SECONDS = 0.5
# What Ray Train writes of its own; nothing of ours reads it.
STATE_FOLDER = "ray"

WorkerLoop = Callable[[dict[str, Any]], None]


def train_with_ray(
    paths: Sequence[str],
    config: TrainConfig,
    out: str,
    workers: tuple[int, int],
    address: str | None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Train on Ray workers, or go on from the last checkpoint below `out`.

    workers: fewest and most. Where they differ, Ray starts as many as the cluster has room for and, when that changes
    or workers are lost, starts again with another number.
    address: of a Ray cluster, None for the connected one or a Ray started here. reporter: is called here with the
    metrics of every config.report_every-th step, and of loss spikes, soon after the step is done. Returns what
    trainer.loop.summary says. Raises what trainer.loop.train raises, JobFailed if workers are lost more than
    MAX_RESTARTS times.
    """
    paths, out = [absolute(path) for path in paths], absolute(out)
    check_settings(paths, config, out)
    settings = {"paths": paths, "config": config.model_dump(), "out": out}
    _check_range(config, workers)
    with only_writer(out, rank=0), connect(address, workers[1]), _following(out, config, reporter):
        fit(worker_loop, settings, workers)
    return summary(out)


def worker_loop(settings: dict[str, Any]) -> None:
    """What each worker does: the trainer's loop in the process group that Ray has made."""
    config = TrainConfig.model_validate(settings["config"])
    train(settings["paths"], config, settings["out"], worker_context())


def worker_context() -> Context:
    """The trainer's context of the Ray Train worker that calls this."""
    worker = ray.train.get_context()
    share_cores(worker.get_local_world_size())
    return Context(worker.get_world_rank(), worker.get_world_size(), ray.train.torch.get_device())


def _check_range(config: TrainConfig, workers: tuple[int, int]) -> None:
    """Raise RecipeError where a number of workers in the range could not share the model as the config says."""
    shared = config.parallel.tensor * config.parallel.pipeline
    if shared > 1 and workers[0] != workers[1]:
        raise RecipeError(
            f"--workers {workers[0]}:{workers[1]}: tensor {config.parallel.tensor} and pipeline "
            f"{config.parallel.pipeline} need a multiple of {shared} workers. Give one such number."
        )


def fit(loop: WorkerLoop, settings: dict[str, Any], workers: tuple[int, int]) -> None:
    """Run a loop on a group of workers, and on a new one where workers are lost.

    Raises the GristmillError that a worker ended with at once, JobFailed after MAX_RESTARTS new groups that came to no
    new checkpoint.
    """
    restarts, reached = 0, latest_checkpoint(settings["out"])
    while True:
        try:
            _trainer(loop, settings, workers).fit()
            return
        except TrainingFailedError as error:
            ours = _own_error(error)
            if ours is not None:
                raise ours from error
            before, reached = reached, latest_checkpoint(settings["out"])
            restarts = restarts + 1 if reached == before else 0
            if restarts > MAX_RESTARTS:
                raise _lost(error) from error


def _trainer(loop: WorkerLoop, settings: dict[str, Any], workers: tuple[int, int]) -> TorchTrainer:
    """Each worker gets a GPU if there are enough of them for the fewest."""
    use_gpu = ray.cluster_resources().get("GPU", 0) >= workers[0]
    return TorchTrainer(
        loop,
        train_loop_config=settings,
        torch_config=TorchConfig(backend=backend(use_gpu)),
        scaling_config=ScalingConfig(num_workers=workers[0] if workers[0] == workers[1] else workers, use_gpu=use_gpu),
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
def _following(out: str, config: TrainConfig, reporter: Reporter | None) -> Iterator[None]:
    """Call the reporter with the metrics that appear below `out` during the block."""
    if reporter is None:
        yield
        return
    ended = threading.Event()
    last = max((metrics["step"] for metrics in read_metrics(out)), default=0)
    follower = threading.Thread(target=_follow, args=(out, last, config, reporter, ended), name="follower")
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _follow(out: str, last: int, config: TrainConfig, reporter: Reporter, ended: threading.Event) -> None:
    while True:
        is_end = ended.wait(POLL_SECONDS)
        for metrics in read_metrics(out, last):
            last = metrics["step"]
            if is_reported(metrics, config):
                reporter(metrics)
        if is_end:
            return
