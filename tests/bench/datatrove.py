"""The preset datatrove@0.10 against datatrove 0.10.1 in the same run: its four filters, then whole runs to tokens.

`python -m tests.bench.datatrove [--shards N] [--cores N] [--write]`, after `make peers`; twelve minutes on two quiet
cores. --write puts what is printed into tests/bench/results. Rates are MB of UTF-8 of the documents a second and core.

Filters: both measure the same documents of the shared WET shards in turns, CPU seconds of one thread. We take every
measure of every document; datatrove is timed in that way (`all`), and as its pipeline goes, where a filter sees what
those before it keep (`survivors`). We find the words anew in each pass and keep none, so there is no cold cache; the
tokenizer of spaCy, as datatrove calls it, keeps some from round to round.

Whole runs: from WET shards to the manifest, and to datatrove's token files; the same language model and tokenizer file,
each run in processes pinned to one core, or with --cores N to N of them, with as many workers of Ray and of datatrove.
Ray's daemons share the cores with its workers. The local runner has one process and is left out then. The time of
starting (imports, tables, kernels from disk, Ray) would hide the rest in 33 MB of text, so rates are of what a larger
input takes beyond a smaller one: `real` (all shards) beyond `small` (the last shard, 1 MB, and a copy of it for each
further core), and for us `long`, with further copies of the shards, beyond `small` or `real`. In the copies the words
of each text change places, within the lines' ends and elsewhere, since mere copies would be dropped as duplicates
before they cost anything; more of them are kept, since no line comes twice. CPU seconds are of all processes of a run,
Ray's own too, and lose what a process does in the tenth of a second before it ends. datatrove's WarcReader leaves out a
few texts that libmagic takes for something else.
"""

import argparse
import contextlib
import gzip
import io
import json
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from itertools import chain, pairwise, takewhile
from pathlib import Path

import psutil
import pyarrow as pa
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from corpus.recipe_file import read_recipe
from filters import Language
from filters.base import Documents, Edit, Filter
from filters.spacy_words import load_english
from tests.bench.pipeline import stages
from tests.edge_cases import batch
from tests.peers.documents import documents
from tests.shared import ROOT, SHARED

PEER = ROOT / ".venv-peers" / "bin" / "python"
SCRIPT = ROOT / "tests" / "peers" / "time_datatrove.py"
TOKENIZER = SHARED / "text" / "tokenizers" / "gpt_neox_olmo.tokenizer.json"
FILTERS = ("gopher_repetition", "gopher_quality", "c4", "fineweb")
EVERY = 16  # one document of so many goes through the filters
FILTER_ROUNDS = 5
BUILD_ROUNDS = 3
NUM_COPIES = 8
# Sizes that each of our runners builds, and the steps between them that are rated.
RUNNERS = {"local": ("small", "real", "long"), "ray": ("small", "long")}
RECIPE = """
name = "bench"
preset = "datatrove@0.10"
[[source]]
name = "web"
format = "wet"
paths = ["{folder}/*.gz"]
[tokenize]
tokenizer = "{tokenizer}"
"""


@dataclass(frozen=True)
class Run:
    """One whole run: seconds from the start of its process to its end, wall and CPU of all its processes.

    stages: wall seconds by stage; num_kept, num_tokens: documents that came out, and their tokens with ends.
    """

    wall: float
    cpu: float
    stages: dict[str, float]
    num_kept: int
    num_tokens: int


# By runner, or "datatrove", and size; one entry a round.
Runs = dict[tuple[str, str], list[Run]]


def filter_lines(folder: Path, num_shards: int) -> Iterator[str]:
    """The four filters, ours and theirs in turns."""
    shards = takewhile(lambda shard: shard[0].startswith("wet/"), documents())
    texts = [text for (_, rows), _ in zip(shards, range(num_shards), strict=False) for _, text in rows][::EVERY]
    path = folder / "documents.jsonl"
    path.write_text("".join(json.dumps({"id": "", "text": text}) + "\n" for text in texts), "utf-8")
    num_bytes = sum(len(text.encode()) for text in texts)
    table, rules = batch(texts), four_filters(folder)
    started = time.thread_time()
    load_english()
    tables = time.thread_time() - started
    first = our_seconds(rules, table)
    rounds = [(our_seconds(rules, table), theirs) for theirs in peer_rounds(path)]
    yield f"four filters, {len(texts)} documents, {num_bytes / 1e6:.1f} MB, {len(rounds)} rounds; CPU of one thread"
    yield f"{'':34}{'MB/s':>8}  {'(slowest to fastest)':22}{'ours is':>10}"
    ours = [seconds for seconds, _ in rounds]
    yield f"{'ours, all measures':34}{rates(num_bytes, ours)}".rstrip()
    for name in ("all", "survivors"):
        theirs = [seconds[name] for _, seconds in rounds]
        times = statistics.median(their / our for our, their in zip(ours, theirs, strict=True))
        yield f"{'datatrove, ' + name:34}{rates(num_bytes, theirs)}{times:8.0f} x"
    kernels = first - statistics.median(ours)
    yield f"ours, once a process: {kernels:.1f} s for kernels from disk, {tables:.1f} s for spaCy and its tables\n"


def four_filters(folder: Path) -> list[Filter]:
    path = folder / "filters.toml"
    path.write_text(RECIPE.format(folder=folder, tokenizer=TOKENIZER), "utf-8")
    return [rule for rule in read_recipe(str(path)).filter if rule.rule in FILTERS]


def our_seconds(rules: list[Filter], table: pa.Table) -> float:
    """CPU seconds of this thread for words, lines, measures, edit and reasons."""
    started = time.thread_time()
    seen = Documents(table)
    for rule in rules:
        if isinstance(rule, Edit):
            text, columns = rule.edit(seen)
            seen = seen.with_text(text)
        else:
            columns = rule.score(seen)
        rule.reject(pa.table({f"{rule.rule}.{name}": values for name, values in columns.items()}))
    return time.thread_time() - started


def peer_rounds(path: Path) -> Iterator[dict[str, float]]:
    """Seconds of datatrove's filters, one round whenever the next is asked for."""
    command = [str(PEER), str(SCRIPT), "filters", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        for _ in range(FILTER_ROUNDS):
            peer.stdin.write("\n")
            peer.stdin.flush()
            yield json.loads(peer.stdout.readline())
        peer.stdin.close()


def rates(num_bytes: int, seconds: list[float]) -> str:
    """Median of MB/s, with the slowest and the fastest where there are several."""
    several = sorted(num_bytes / 1e6 / each for each in seconds)
    spread = f"({several[0]:.2f} to {several[-1]:.2f})" if len(several) > 1 else ""
    return f"{statistics.median(several):8.2f}  {spread:22}"


def make_inputs(folder: Path, num_shards: int, num_cores: int) -> dict[str, int]:
    """Folders `small`, `real` and `long` of WET shards; returns the bytes of text in each.

    `small` has a shard for each core, so that as many workers start as later on. The copies of a shard in `long` are
    in one larger file, since those of a crawl are larger still.
    """
    shards = sorted((SHARED / "web" / "wet").glob("*.wet.gz"))
    real, least = shards[:num_shards], shards[-1]
    for size, chosen in (("small", [least]), ("real", real), ("long", real)):
        (folder / size).mkdir()
        for shard in chosen:
            (folder / size / shard.name).symlink_to(shard)
    small = [
        write_copies(least, folder / "small" / f"copy-{core}-{least.name}", 1, core) for core in range(1, num_cores)
    ]
    copied = [write_copies(shard, folder / "long" / f"copies-{shard.name}", NUM_COPIES, 0) for shard in real]
    num_bytes = sum(copied) // NUM_COPIES
    first = sum(len(record.reader.read()) for record in texts_of(least))
    return {"small": first + sum(small), "real": num_bytes, "long": num_bytes + sum(copied)}


def write_copies(shard: Path, path: Path, num_copies: int, seed: int) -> int:
    """Write copies of a shard with the words of each document in other orders; returns the bytes of their text."""
    order, num_bytes = random.Random(f"{seed} {shard.name}"), 0
    with path.open("wb") as copies:
        for _ in range(num_copies):
            for record in texts_of(shard):
                content = record.reader.read()
                num_bytes += len(content)
                copies.write(gzip.compress(with_content(record, shuffled(content, order))))
    return num_bytes


def with_content(record: WarcRecord, content: bytes) -> bytes:
    """The record with other content; set in the record itself it would end the reading of the shard."""
    other, written = WarcRecord(), io.BytesIO()
    other.set_bytes_content(content)
    other.headers.status_line = record.headers.status_line
    for name, value in record.headers.items():
        if name != "Content-Length":
            other.headers[name] = value
    other.write(written)
    return written.getvalue()


def texts_of(shard: Path) -> Iterator[WarcRecord]:
    with shard.open("rb") as stream:
        yield from ArchiveIterator(stream, record_types=WarcRecordType.conversion)


def shuffled(text: bytes, order: random.Random) -> bytes:
    """The same words and white space; the last words of lines change places among themselves, the others too."""
    pieces = re.split(rb"(\s+)", text)
    words, blanks = pieces[::2], [*pieces[1::2], b"\n"]
    for ends_line in (True, False):
        places = [place for place, blank in enumerate(blanks) if (b"\n" in blank) == ends_line]
        moved = [words[place] for place in order.sample(places, len(places))]
        for place, word in zip(places, moved, strict=True):
            words[place] = word
    pieces[::2] = words
    return b"".join(pieces)


def timed_runs(folder: Path, num_cores: int) -> Runs:
    """All runs, datatrove's after the first round of ours."""
    runs: Runs = {}
    build(folder, "small", "local", 1)  # compiles what is not compiled yet
    for number in range(BUILD_ROUNDS):
        for runner, sizes in runners(num_cores).items():
            for size in sizes:
                runs.setdefault((runner, size), []).append(build(folder, size, runner, num_cores))
        if number == 0:
            runs |= {("datatrove", size): [peer_run(folder, size, num_cores)] for size in ("small", "real")}
    return runs


def runners(num_cores: int) -> dict[str, tuple[str, ...]]:
    """Those of RUNNERS that can use so many cores."""
    return {name: sizes for name, sizes in RUNNERS.items() if name == "ray" or num_cores == 1}


def build(folder: Path, size: str, runner: str, num_cores: int) -> Run:
    """`gristmill build` of one size."""
    recipe, out = folder / f"{size}.toml", folder / "corpus"
    recipe.write_text(RECIPE.format(folder=folder / size, tokenizer=TOKENIZER), "utf-8")
    command = [sys.executable, "-m", "cluster.cli", "build", str(recipe), "--out", str(out), "--runner", runner]
    command += ["--num-cpus", str(num_cores)] if runner == "ray" else []
    wall, cpu, _ = on_cores(num_cores, command, {})
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    shutil.rmtree(out)
    counts = manifest["counts"]["fate"]["kept"], manifest["packing"]["num_tokens"]
    return Run(wall, cpu, manifest["run"]["seconds"], *counts)


def peer_run(folder: Path, size: str, num_cores: int) -> Run:
    """datatrove's run of one size, with a task for each shard where it has several cores."""
    out = folder / f"peer-{size}"
    command = [str(PEER), str(SCRIPT), "pipeline", str(folder / size), str(out), Language().model_path, str(TOKENIZER)]
    environment = {"HF_ASSETS_CACHE": str(folder / "assets"), "HF_HUB_OFFLINE": "1"}
    wall, cpu, said = on_cores(num_cores, [*command, str(num_cores)], environment)
    return Run(wall, cpu, **json.loads(said))


def on_cores(num_cores: int, command: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Wall and CPU seconds of a command with all processes below it, on so many cores, and what it printed."""
    cores = sorted(os.sched_getaffinity(0))[-num_cores:]
    if len(cores) < num_cores:
        raise SystemExit(f"--cores {num_cores}: this process may use {len(cores)}")
    everything = {**os.environ, **environment}
    used: dict[tuple[int, float], float] = {}
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=everything)
        os.sched_setaffinity(process.pid, cores)
        while process.poll() is None:
            used.update(cpu_by_process(process.pid))
            time.sleep(0.1)
        wall = time.monotonic() - started
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(err.read())
        return wall, sum(used.values()), out.read()


def cpu_by_process(pid: int) -> dict[tuple[int, float], float]:
    """CPU seconds so far of a process and of each below it, by id and time of start."""
    used = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used[process.pid, process.create_time()] = times.user + times.system
    return used


def run_lines(folder: Path, num_shards: int, num_cores: int) -> Iterator[str]:
    """Whole runs, and their stages where one process has them."""
    sizes = make_inputs(folder, num_shards, num_cores)
    runs = timed_runs(folder, num_cores)
    on = "one core" if num_cores == 1 else f"{num_cores} cores, MB/s by wall time of all of them"
    yield f"whole runs, {on}, {BUILD_ROUNDS} rounds of ours; what the larger input takes beyond the smaller"
    yield f"{'':30}{'MB':>7}{'CPU s':>8}{'MB/s':>8}  {'':22}{'ours':>6}{'wall s':>10}{'MB/s':>8}  {'':22}{'ours':>6}"
    peer = ("datatrove", "small", "real")
    steps = [peer, *((runner, *step) for runner, built in runners(num_cores).items() for step in pairwise(built))]
    for runner, smaller, larger in steps:
        num_bytes = sizes[larger] - sizes[smaller]
        line = f"{f'{runner}, {smaller} to {larger}':30}{num_bytes / 1e6:7.1f}"
        for kind in ("cpu", "wall"):
            took = added(runs, kind, runner, smaller, larger)
            times = num_bytes / statistics.median(took)
            times *= added(runs, kind, *peer)[0] / (sizes["real"] - sizes["small"])
            line += f"{statistics.median(took):8.1f}{rates(num_bytes, took)}{times:4.0f} x  "
        yield line.rstrip()
    yield ""
    for (runner, size), rounds in runs.items():
        wall, cpu = (statistics.median(getattr(run, kind) for run in rounds) for kind in ("wall", "cpu"))
        out = f"{rounds[0].num_kept:,} documents and {rounds[0].num_tokens:,} tokens kept"
        yield f"{f'{runner}, {size}':20}{wall:8.1f} s, CPU {cpu:6.1f} s, start included; {out}"
    if num_cores > 1:
        return
    yield from stage_lines(runs, sizes)
    yield "\nours by step: CPU of one thread, the first two shards"
    for label, num_bytes, seconds in stages(read_recipe(str(folder / "real.toml"))):
        yield f"  {label:44}{num_bytes / 1e6:8.1f} MB{seconds:9.3f} s{num_bytes / 1e6 / seconds:9.1f} MB/s"


def added(runs: Runs, kind: str, runner: str, smaller: str, larger: str) -> list[float]:
    """Seconds (`wall` or `cpu`) that the larger input took beyond the smaller one, round by round."""
    pairs = zip(runs[runner, smaller], runs[runner, larger], strict=True)
    return [getattr(much, kind) - getattr(little, kind) for little, much in pairs]


def stage_lines(runs: Runs, sizes: dict[str, int]) -> Iterator[str]:
    """Wall seconds by stage; rates are of all text, also where a stage sees only what was kept."""
    pairs = list(zip(runs["local", "real"], runs["local", "long"], strict=True))
    ours = {
        name: statistics.median(much.stages[name] - little.stages[name] for little, much in pairs)
        for name in pairs[0][0].stages
    }
    theirs = runs["datatrove", "real"][0].stages
    titles = "ours, local, real to long", "datatrove, all of real"
    for title, size, table in zip(titles, ("long", "real"), (ours, theirs), strict=True):
        num_bytes = sizes["long"] - sizes["real"] if size == "long" else sizes["real"]
        yield f"\n{title}: wall seconds by stage, MB/s of all text"
        for name, seconds in table.items():
            rate = f"{num_bytes / 1e6 / seconds:9.1f} MB/s" if seconds > 0.05 else ""
            yield f"  {name:44}{seconds:9.2f} s{rate}"


def facts() -> Iterator[str]:
    """Machine, load and versions."""
    load = os.getloadavg()[0]
    print_versions = "from importlib.metadata import version as v; print(*(f'{n} {v(n)}' for n in %r), sep=', ')"
    theirs = ("datatrove", "spacy", "fasttext-numpy2-wheel", "tokenizers", "numpy")
    said = subprocess.check_output([str(PEER), "-c", print_versions % (theirs,)], text=True).strip()
    ours = ("gristmill", "numba", "pyarrow", "spacy", "gigatoken", "ray")
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True).strip()
    yield f"{os.cpu_count()} cores ({platform.machine()}), load average at the start {load:.1f}; commit {commit}"
    yield f"ours: {', '.join(f'{name} {metadata.version(name)}' for name in ours)}; Python {platform.python_version()}"
    yield f"theirs: {said}"
    yield ""


def main(num_shards: int = 8, num_cores: int = 1, write: bool = False) -> None:
    """Print the tables, and write them where that is asked for."""
    if not PEER.exists() or not TOKENIZER.exists():
        print("datatrove's environment (make peers) or the shared data is not here; nothing was measured")
        return
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        filters = filter_lines(folder, num_shards) if num_cores == 1 else ()
        for line in chain(facts(), filters, run_lines(folder, num_shards, num_cores)):
            print(line, flush=True)
            lines.append(line)
    if write:
        today = time.strftime("%Y-%m-%d")
        runs = "" if num_cores == 1 else f"_on_{num_cores}"
        path = Path(__file__).parent / "results" / f"datatrove_{os.cpu_count()}core{runs}_{today}.md"
        title = f"# The preset datatrove@0.10 against datatrove, {today}"
        command = f"`python -m tests.bench.datatrove --shards {num_shards} --cores {num_cores} --write`"
        about = f"{command}; what the columns are is told in tests/bench/datatrove.py."
        path.write_text("\n".join([title, "", about, "", "```", *lines, "```", ""]), "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=8, help="use so many of the shared shards")
    parser.add_argument("--cores", type=int, default=1, help="whole runs on so many cores, with Ray alone if over 1")
    parser.add_argument("--write", action="store_true", help="keep the result in tests/bench/results")
    arguments = parser.parse_args()
    main(arguments.shards, arguments.cores, arguments.write)
