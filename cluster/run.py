"""The long commands: a build or a training run, with progress on stderr."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from corpus.plan import Watch
from corpus.plan import build as build_from
from corpus.recipe_file import read_recipe
from corpus.run_local import Item, LocalRunner, Runner
from manifests.manifest import Manifest, corpus_root

LABELS = {
    "score": "read, measure, decide",
    "dedup: pair exact": "find exact copies",
    "dedup: pair near": "find near copies",
    "dedup: send facts": "compare members",
    "dedup: decide": "choose keepers",
    "dedup: write unit": "write duplicates",
    "encode": "encode, write the ledger",
    "pack": "shuffle and pack",
}


def build_corpus(
    recipe_path: str, out: str, runner_name: str, address: str | None, num_cpus: int | None, overrides: list[str]
) -> Manifest:
    """Read the recipe, choose the runner, build with progress."""
    recipe = read_recipe(recipe_path, overrides)
    with chosen_runner(runner_name, address, num_cpus) as runner, progress() as watch:
        return build_from(recipe, out, runner, watch)


@contextlib.contextmanager
def chosen_runner(name: str, address: str | None = None, num_cpus: int | None = None) -> Iterator[Runner]:
    """The local runner, or the Ray runner connected to a cluster for the time of the block."""
    if name == "local":
        yield LocalRunner()
        return
    from cluster.ray_data import RayRunner, connect

    with connect(address, num_cpus):
        yield RayRunner()


@contextlib.contextmanager
def progress() -> Iterator[Watch]:
    """A watcher that draws bars on a terminal and prints plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield _plain_lines()
        return
    columns = (
        TextColumn("{task.description:26}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield _bars(bars)


def _bars(bars: Progress) -> Watch:
    tasks: dict[str, TaskID] = {}
    state = _Rates()

    def watch(stage: str, done: int, total: int, num_bytes: int, result: Item) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(LABELS.get(stage, stage), total=total, rate="")
        bars.update(tasks[stage], completed=done, total=total, rate=state.text(stage, num_bytes, result))

    return watch


def _plain_lines() -> Watch:
    state = _Rates()

    def watch(stage: str, done: int, total: int, num_bytes: int, result: Item) -> None:
        if state.due(stage, done, total):
            left = state.seconds_left(stage, done, total)
            text = f"{LABELS.get(stage, stage)}: {done}/{total} {state.text(stage, num_bytes, result)} {left}".rstrip()
            print(text, file=sys.stderr, flush=True)

    return watch


class _Rates:
    """Speed and kept share per stage, for people to read."""

    def __init__(self) -> None:
        self.started: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.num_kept = 0
        self.num_documents = 0

    def due(self, stage: str, done: int, total: int) -> bool:
        """At most a line every two seconds, and one at the end of each stage."""
        now = time.monotonic()
        self.started.setdefault(stage, now)
        if done < total and now - self.last.get(stage, 0.0) < 2.0:
            return False
        self.last[stage] = now
        return True

    def seconds_left(self, stage: str, done: int, total: int) -> str:
        """Time left at the speed so far."""
        seconds = time.monotonic() - self.started[stage]
        return f"about {seconds / done * (total - done):.0f} s left" if done < total else ""

    def text(self, stage: str, num_bytes: int, result: Item) -> str:
        """MB/s and the share of documents kept so far, before dedup."""
        seconds = time.monotonic() - self.started.setdefault(stage, time.monotonic())
        parts = [f"{num_bytes / 1e6 / seconds:.1f} MB/s"] if num_bytes and seconds > 0.5 else []
        if stage == "score":
            self.num_kept += result["fates"].get("kept", 0)
            self.num_documents += result["num_documents"]
            if self.num_documents:
                parts.append(f"kept {self.num_kept / self.num_documents:.1%} of {self.num_documents:,} documents")
        return ", ".join(parts)


def train_model(
    manifest: str, config_path: str | None, out: str | None, workers: int, address: str | None
) -> dict[str, Any]:
    """Train with Ray Train; the run's folder is beside the corpus unless given."""
    from cluster.ray_data import connect
    from cluster.ray_train import train_with_ray
    from trainer.config import TrainConfig, read_config

    config = read_config(config_path) if config_path else TrainConfig()
    root = corpus_root(manifest)
    with connect(address, workers):
        return train_with_ray(root, config, out or f"{root}-run", workers, address, report_step)


def report_step(metrics: dict[str, Any]) -> None:
    """A line on stderr for the metrics of a step."""
    from trainer.__main__ import progress_line

    print(progress_line(metrics), file=sys.stderr, flush=True)
