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
from filters.kernels.cache import kept_kernels, kernel_folder, why_unusable
from filters.kernels.jit import compile_seconds
from manifests.manifest import Manifest, corpus_root, read_manifest

LABELS = {
    "score": "read, measure, decide",
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
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield _bars(bars)


def _bars(bars: Progress) -> Watch:
    tasks: dict[str, TaskID] = {}
    rates = _Rates()

    def watch(stage: str, done: int, total: int, num_bytes: int, result: Item) -> None:
        rates.add(stage, num_bytes, result)
        for line in _damage_lines(result):
            bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        if stage not in tasks:
            tasks[stage] = bars.add_task(LABELS.get(stage, stage), total=total, rate="")
        bars.update(tasks[stage], completed=done, rate=", ".join(rates.parts()))

    return watch


def _plain_lines() -> Watch:
    """A line every two seconds, and one at the end of each stage."""
    rates = _Rates()
    printed = time.monotonic()

    def watch(stage: str, done: int, total: int, num_bytes: int, result: Item) -> None:
        nonlocal printed
        rates.add(stage, num_bytes, result)
        for line in _damage_lines(result):
            print(line, file=sys.stderr, flush=True)
        if done == total or rates.now - printed > 2.0:
            left = [f"about {rates.seconds / done * (total - done):.0f} s left"] if done < total else []
            text = ", ".join([f"{LABELS.get(stage, stage)}: {done}/{total}", *rates.parts(), *left])
            print(text, file=sys.stderr, flush=True)
            printed = rates.now

    return watch


def _damage_lines(result: Item) -> list[str]:
    """A line for each file of an earlier run that is not as it was written."""
    return [f"{problem}; made again" for problem in result.get("damaged", [])]


class _Rates:
    """Speed of the stage that runs, and the share of documents kept so far, before dedup."""

    def __init__(self) -> None:
        self.stage = ""
        self.now = self.started = time.monotonic()
        self.num_bytes = self.num_kept = self.num_documents = 0

    @property
    def seconds(self) -> float:
        """Time since the last event of the stage before."""
        return self.now - self.started

    def add(self, stage: str, num_bytes: int, result: Item) -> None:
        """Take in an event; num_bytes: of the stage so far."""
        if stage != self.stage:
            self.stage, self.started, self.num_kept, self.num_documents = stage, self.now, 0, 0
        self.num_bytes, self.now = num_bytes, time.monotonic()
        if stage == "score":
            self.num_kept += result["fates"].get("kept", 0)
            self.num_documents += result["num_documents"]

    def parts(self) -> list[str]:
        """MB/s, if it can be told, and the kept share."""
        parts = [f"{self.num_bytes / 1e6 / self.seconds:.2g} MB/s"] if self.num_bytes and self.seconds > 0.5 else []
        if self.num_documents:
            parts.append(f"kept {self.num_kept / self.num_documents:.1%} of {self.num_documents:,} documents")
        return parts


def train_model(
    manifest: str, config_path: str | None, out: str | None, workers: int, address: str | None
) -> dict[str, Any]:
    """Train with Ray Train; the run's folder is beside the corpus unless given."""
    from trainer.config import TrainConfig, read_config

    config = read_config(config_path) if config_path else TrainConfig()
    root = corpus_root(manifest)
    read_manifest(root)  # what is not there is told before Ray and torch are loaded, which takes seconds
    from cluster.ray_data import connect
    from cluster.ray_train import train_with_ray

    with connect(address, workers):
        return train_with_ray(root, config, out or f"{root}-run", workers, address, report_step)


def report_step(metrics: dict[str, Any]) -> None:
    """A line on stderr for the metrics of a step."""
    from trainer.__main__ import progress_line

    print(progress_line(metrics), file=sys.stderr, flush=True)
