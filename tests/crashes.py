"""A small corpus with duplicates of every kind, and builds of it that are killed, whole or in parts."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil

from cluster.ray_data import RayRunner
from cluster.run import build_corpus
from corpus.run_local import Item
from tests.cluster.test_submit import answers, end, free_ports, wait_until
from tests.corpus.read.archives import http, packed, record

RECIPE = """
name = "harbour"
seed = 3

[[source]]
name = "crawl"
format = "warc"
paths = ["*.warc.gz"]

[[source]]
name = "lines"
format = "jsonl"
paths = ["*.jsonl"]

[[filter]]
rule = "gopher_quality"
min_words = 35
min_stop_words = 0

[dedup]
normalized = true
url = true
partitions = 5

[dedup.minhash]
ngram = 3
bands = 20
rows = 5
threshold = 0.6

[dedup.lines]
min_chars = 30

[tokenize]
tokenizer = "train:400"
shards = 3

[pack]
length = 64
validation_ratio = 0.1
quality = "gopher_quality.mean_word_chars"
"""
NUM_LINE_FILES = 5
WORDS = [first + last for first in ("bar", "cod", "dun", "fil", "gar", "hol") for last in ("low", "mer", "ness", "ton")]


def write_recipe(folder: Path) -> Path:
    """Write the inputs, one WARC file and five of JSON lines, and their recipe; returns its path."""
    dice = random.Random(11)
    footers = [" ".join(dice.choices(WORDS, k=8)) for _ in range(4)]
    originals = [[*dice.choices(WORDS, k=dice.randint(15, 60)), *dice.choice(footers).split()] for _ in range(60)]
    records = []
    for number in range(20):
        page = f"<html><body><main><pre>{varied(dice, originals)}</pre></main></body></html>"
        records.append(record(http(page.encode()), WARC_Target_URI=f"http://harbour.example/{number % 17}"))
    (folder / "pages.warc.gz").write_bytes(packed(*records))
    for file in range(NUM_LINE_FILES):
        rows = [
            {
                "text": varied(dice, originals),
                "url": f"http://harbour.example/{dice.randrange(200)}",
                "date": f"2024-{file + 1:02}-{1 + row:02}",
            }
            for row in range(24)
        ]
        (folder / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    path = folder / "recipe.toml"
    path.write_text(RECIPE, "utf-8")
    return path


def varied(dice: random.Random, originals: list[list[str]]) -> str:
    """Lines of eight words, the last of a footer: a text as it stands, in capitals, or with a few words changed."""
    words = list(dice.choice(originals))
    for _ in range(dice.choice([0, 0, 0, 1, 3])):
        words[dice.randrange(len(words) - 8)] = "edited"
    cuts = [*range(0, len(words) - 8, 8), len(words) - 8]
    text = "\n".join(" ".join(words[start : start + 8]) for start in cuts)
    return text.upper() if dice.random() < 0.2 else text


class Killer:
    """Builds one corpus in processes that are killed; what all of them import is imported once, and then forked."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.seen: set[tuple[str, int]] = set()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["cluster.run", "corpus.plan", "numba", "pandas", "plotly.graph_objects"])

    def build(self, recipe: Path, num_records: int, seconds: float, overrides: tuple[str, ...] = ()) -> int | None:
        """Start a build, and kill it `seconds` after num_records commit records were ever seen; its exit code."""
        call = (str(recipe), str(self.out), "local", None, None, list(overrides))
        process = self._context.Process(target=build_corpus, args=call)
        process.start()
        while process.is_alive() and self.look() < num_records:
            process.join(0.001)
        process.join(seconds)
        process.kill()
        process.join()
        return process.exitcode

    def look(self) -> int:
        """How many commit records were ever seen, those of now included."""
        self.seen |= commit_records(self.out)
        return len(self.seen)


def commit_records(out: Path) -> set[tuple[str, int]]:
    """Path and time of change of each commit record that is there now."""
    others = ("plan.json", "manifest.json", "report.json", "tokenizer.json")
    found = set()
    for folder, _, names in os.walk(out):
        for name in names:
            if name.endswith(".json") and name not in others:
                path = os.path.join(folder, name)
                try:
                    found.add((path, os.stat(path).st_mtime_ns))
                except FileNotFoundError:  # removed meanwhile
                    continue
    return found


class RayNodes:
    """A Ray cluster of two nodes with one CPU each, unknown to other Rays of this machine; it ends with the block."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gm-"))  # sockets below it must have short names
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        # A node that does not answer is dead after a second instead of half a minute.
        self.environment = kept | {
            "RAY_TMPDIR": str(self.folder),
            "RAY_AUTH_MODE": "disabled",
            "RAY_health_check_initial_delay_ms": "0",
            "RAY_health_check_period_ms": "300",
            "RAY_health_check_failure_threshold": "3",
        }
        self.port, *self._agents = free_ports(3)
        self.nodes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "RayNodes":
        self._start("--head", f"--port={self.port}", "--include-dashboard=false")
        wait_until(lambda: answers(self.port), "the head")
        self._start(f"--address=127.0.0.1:{self.port}")
        wait_until(lambda: b"Ray runtime started" in (self.folder / "1.log").read_bytes(), "the second node")
        return self

    def __exit__(self, *error: object) -> None:
        for node in reversed(self.nodes):
            end(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, *options: str) -> None:
        number = len(self.nodes)  # nodes of one machine must not share what they unpack
        call = [
            "ray",
            "start",
            "--block",
            "--num-cpus=1",
            "--disable-usage-stats",
            f"--temp-dir={self.folder}/{number}",
        ]
        call += [f"--dashboard-agent-listen-port={self._agents[number]}", *options]
        call[0] = str(Path(sys.executable).with_name("ray"))
        with open(f"{self.folder}/{number}.log", "wb") as log:
            self.nodes.append(subprocess.Popen(call, env=self.environment, stdout=log, stderr=subprocess.STDOUT))

    def kill_second_when_busy(self) -> None:
        """Kill -9 the second node's raylet while one of its workers runs a task."""
        processes = psutil.Process(self.nodes[1].pid).children(recursive=True)
        (raylet,) = [process for process in processes if process.name() == "raylet"]
        wait_until(lambda: any("MapBatches" in title(process) for process in raylet.children()), "a task", 0.01)
        raylet.kill()


def title(process: psutil.Process) -> str:
    """What a process calls itself; "" once it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


class DyingRunner(RayRunner):
    """Runs tasks on Ray; one worker of each map is killed within its task's first 30 ms, or at its end."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._dice = random.Random(9)

    def map(self, task: Callable[[Item], Item], items: list[Item]) -> Iterator[Item]:
        """As its parent's; a file in the folder, named after the task, tells that one of its workers was killed."""
        name = (task.func if isinstance(task, partial) else task).__name__
        mark, victim, seconds = self._folder / name, self._dice.choice(items), self._dice.uniform(0.0, 0.03)

        def dying(item: Item) -> Item:
            if item != victim or mark.exists():
                return task(item)
            mark.touch()
            kill = partial(os.kill, os.getpid(), signal.SIGKILL)
            threading.Timer(seconds, kill).start()
            task(item)
            kill()
            raise AssertionError("this process was killed")

        yield from super().map(dying, items)
