"""The long commands: a build or a training run, with progress on stderr."""

import contextlib
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from corpus.plan import Watch
from corpus.plan import build as build_from
from corpus.recipe_file import read_recipe
from corpus.run_local import Item, LocalRunner, Runner
from filters.kernels.cache import kept_kernels, kernel_folder, why_unusable
from filters.kernels.jit import compile_seconds
from manifests.manifest import Manifest, corpus_root

LABELS = {
    "copy": "take over files",
    "score": "read, measure, decide",
    "dedup": "check earlier duplicates",
    "lines": "check earlier lines",
    "tokenizer": "check earlier tokenizer",
    "dedup: collect equal": "sort keys of documents",
    "dedup: pair equal": "find equal documents",
    "dedup: collect bands": "sort signature bands",
    "dedup: pair bands": "find near duplicates",
    "dedup: send facts": "bring members together",
    "dedup: decide": "verify, choose keepers",
    "dedup: write units": "write duplicates",
    "lines: hash lines": "hash lines",
    "lines: find repeats": "find repeated lines",
    "lines: write removed": "write removed lines",
    "encode": "encode, write the ledger",
    "pack": "shuffle and pack",
}


def build_corpus(
    recipe_path: str, out: str, runner_name: str, address: str | None, num_cpus: int | None, overrides: list[str]
) -> Manifest:
    """Read the recipe, choose the runner, build with progress."""
    recipe = read_recipe(recipe_path, overrides)
    if not kept_kernels()[0]:
        print("no compiled kernels yet: compiling them takes up to a minute", file=sys.stderr, flush=True)
    with chosen_runner(runner_name, address, num_cpus) as runner, progress() as watch:
        manifest = build_from(recipe, out, runner, watch)
    tell_compiling(max(runner.compile_seconds, compile_seconds()))
    return manifest


def tell_compiling(seconds: float) -> None:
    """A line on stderr where compiling kernels took more than a second."""
    if seconds > 1.0:
        kept = "" if why_unusable(kernel_folder()) else f", once: they are kept in {kernel_folder()}"
        print(f"compiled kernels for this machine in {seconds:.0f} s{kept}", file=sys.stderr, flush=True)


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
        TimeLeft(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield bars_watch(bars)


class TimeLeft(ProgressColumn):
    """Counts down to `ends` of a bar, a time of time.monotonic() or None."""

    def render(self, task: Task) -> Text:
        """A blank while nothing can be told, and at the end."""
        ends = task.fields["ends"]
        return Text("" if ends is None or task.finished else f"{_clock(max(0.0, ends - time.monotonic()))} left")


def bars_watch(bars: Progress) -> Watch:
    """A watcher that draws into these bars, one for each stage."""
    tasks: dict[str, TaskID] = {}
    rates = _Rates()

    def watch(stage: str, done: int, total: int, num_bytes: tuple[int, int], result: Item) -> None:
        rates.add(stage, (done, total), num_bytes, result)
        for line in _damage_lines(result):
            bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        if stage not in tasks:
            tasks[stage] = bars.add_task(LABELS.get(stage, stage), total=total, rate="", ends=None)
        left = rates.seconds_left()
        ends = None if left is None else rates.now + left
        bars.update(tasks[stage], completed=done, rate=", ".join(rates.parts()), ends=ends)

    return watch


def _plain_lines() -> Watch:
    """A line every two seconds, and one at the end of each stage."""
    rates = _Rates()
    printed = time.monotonic()

    def watch(stage: str, done: int, total: int, num_bytes: tuple[int, int], result: Item) -> None:
        nonlocal printed
        rates.add(stage, (done, total), num_bytes, result)
        for line in _damage_lines(result):
            print(line, file=sys.stderr, flush=True)
        if done == total or rates.now - printed > 2.0:
            left = rates.seconds_left()
            told = [f"about {_clock(left)} left"] if left is not None and done < total else []
            text = ", ".join([f"{LABELS.get(stage, stage)}: {done}/{total}", *rates.parts(), *told])
            print(text, file=sys.stderr, flush=True)
            printed = rates.now

    return watch


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _damage_lines(result: Item) -> list[str]:
    """A line for each file of an earlier run that is not as it was written."""
    return [f"{problem}; made again" for problem in result.get("damaged", [])]


class _Rates:
    """Speed of the stage that runs, the time it will take, and the share of documents kept so far, before dedup."""

    def __init__(self) -> None:
        self.stage = ""
        self.now = self.started = time.monotonic()
        self.num_bytes = self.num_kept = self.num_documents = 0
        self.work_done = self.work_reused = self.work_left = 0

    @property
    def seconds(self) -> float:
        """Time since the last event of the stage before."""
        return self.now - self.started

    def add(self, stage: str, items: tuple[int, int], num_bytes: tuple[int, int], result: Item) -> None:
        """Take in an event; items and num_bytes: done in the stage so far, and in all."""
        if stage != self.stage:
            self.stage, self.started = stage, self.now
            self.num_kept = self.num_documents = self.work_done = self.work_reused = 0
        done, total = num_bytes if num_bytes[1] else items
        if result.get("reused"):
            self.work_reused += done - self.work_done
        self.work_done, self.work_left = done, total - done
        self.num_bytes, self.now = num_bytes[0], time.monotonic()
        if stage == "score":
            self.num_kept += result["fates"].get("kept", 0)
            self.num_documents += result["num_documents"]

    def seconds_left(self) -> float | None:
        """At the speed of what was done so far; None before anything was: what an earlier run left takes no time.

        By bytes where they are known, since units are of any size.
        """
        work = self.work_done - self.work_reused
        return self.seconds * self.work_left / work if work > 0 else None

    def parts(self) -> list[str]:
        """MB/s, if it can be told, and the kept share."""
        parts = [f"{self.num_bytes / 1e6 / self.seconds:.2g} MB/s"] if self.num_bytes and self.seconds > 0.5 else []
        if self.num_documents:
            parts.append(f"kept {self.num_kept / self.num_documents:.1%} of {self.num_documents:,} documents")
        return parts


def train_model(
    paths: list[str], config_path: str | None, out: str | None, workers: tuple[int, int], address: str | None
) -> dict[str, Any]:
    """Train with Ray Train on `workers`, fewest and most; the run's folder is beside the first of the data."""
    from trainer.config import TrainConfig, read_config
    from trainer.data import open_data

    config = read_config(config_path) if config_path else TrainConfig()
    open_data(paths, config)  # what is not there is told before Ray and torch are loaded, which takes seconds
    from cluster.ray_data import connect
    from cluster.ray_train import train_with_ray

    with connect(address, workers[1]):
        return train_with_ray(paths, config, out or f"{corpus_root(paths[0])}-run", workers, address, report_step)


def report_step(metrics: dict[str, Any]) -> None:
    """A line on stderr for the metrics of a step."""
    from trainer.__main__ import progress_line

    print(progress_line(metrics), file=sys.stderr, flush=True)
