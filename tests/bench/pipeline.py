"""MB/s of every stage on one core, and of whole builds with both runners, on the shared web pages.

Stages: bytes are those that go in (files for read, HTML for extract, text for the rest), times are CPU times of one
thread, median of three. Whole runs: wall time of `gristmill build`, cold (a process of its own), with the peak memory
of its largest process. Where ../shared is absent, the sample crawl stands in.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc

from corpus import stage
from corpus.dedup.signatures import RunWriter
from corpus.extract import extract
from corpus.normalize import normalize
from corpus.read import UnitReader
from corpus.recipe import Recipe
from corpus.recipe_file import read_recipe
from corpus.sample import write_sample
from corpus.units import plan_units
from filters.base import Documents, Edit
from tests.shared import SHARED

ROUNDS = 3
RECIPE = """
name = "bench"
preset = "datatrove@0.10"
[[source]]
name = "web"
format = "{format}"
paths = ["{paths}"]
[[filter]]
rule = "toxicity"
"""


def recipes(folder: Path) -> dict[str, Path]:
    """Recipe files over the shared WARC and WET shards, or over the sample crawl."""
    web = SHARED / "web"
    if not web.exists():
        write_sample(str(folder / "crawl"))
        web = folder / "crawl"
    made = {}
    for kind, pattern in (("warc", "*.warc.gz"), ("wet", "*.warc.wet.gz")):
        made[kind] = folder / f"{kind}.toml"
        made[kind].write_text(RECIPE.format(format=kind, paths=web / kind / pattern), "utf-8")
    return made


def cpu_seconds(work: Callable[[], Any]) -> float:
    """Median CPU seconds of this thread over ROUNDS calls, after one call to warm up."""
    work()
    times = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    return statistics.median(times)


def text_bytes(table: pa.Table) -> int:
    return int(pc.sum(pc.binary_length(table["text"])).as_py() or 0)


def stages(recipe: Recipe) -> list[tuple[str, int, float]]:
    """(stage, bytes in, seconds) for the first two units of the recipe's source."""
    source = recipe.source[0]
    units = plan_units(source)[:2]
    rows = []

    def read() -> list[pa.Table]:
        return [table for unit in units for table in UnitReader(unit, source)]

    rows.append(("read", sum(unit.num_bytes for unit in units), cpu_seconds(read)))
    tables = read()
    if source.format == "warc":
        num_bytes = sum(text_bytes(table) for table in tables)
        rows.append(("extract", num_bytes, cpu_seconds(lambda: [extract(t, recipe.extract.method) for t in tables])))
        tables = [extract(table, recipe.extract.method) for table in tables]
    num_bytes = sum(text_bytes(table) for table in tables)
    rows.append(("normalize", num_bytes, cpu_seconds(lambda: [normalize(t, recipe.normalize) for t in tables])))
    texts = pa.concat_tables([normalize(table, recipe.normalize) for table in tables])
    texts = texts.filter(pc.is_null(texts["reason"])).combine_chunks()
    num_bytes = text_bytes(texts)
    rows.append(("words and lines", num_bytes, cpu_seconds(lambda: views(Documents(texts)))))
    documents = views(Documents(texts))
    for rule in stage.chain(recipe):
        work = rule.edit if isinstance(rule, Edit) else rule.score
        rows.append((rule.rule, num_bytes, cpu_seconds(lambda work=work: work(documents))))
    rows.append(("all measures and edits", num_bytes, cpu_seconds(lambda: stage.measure(texts, recipe))))
    rows.append(("signatures", num_bytes, cpu_seconds(lambda: sign(documents, recipe))))
    return rows


def views(documents: Documents) -> Documents:
    """The shared views made, so that filters are measured without them."""
    assert documents.words() is not None
    assert documents.lines is not None
    return documents


def sign(documents: Documents, recipe: Recipe) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer = RunWriter(folder, recipe.dedup)
        num_documents = documents.num_documents
        facts = pa.table(
            {
                "doc_id": documents.table["doc_id"],
                "num_bytes": pc.binary_length(documents.table["text"]).cast(pa.int64()),
                "date": documents.table["date"],
                "quality": np.zeros(num_documents),
            }
        )
        writer.add(documents, np.arange(num_documents, dtype=np.uint32), facts)


def whole_run(recipe: Path, out: Path, *arguments: str) -> tuple[float, int]:
    """Wall seconds of `gristmill build`, and peak resident bytes of the largest process in its tree."""
    call = [sys.executable, "-m", "cluster.cli", "build", str(recipe), "--out", str(out), *arguments]
    started = time.monotonic()
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, largest(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(process.stderr.read() if process.stderr else "the build failed")
    return time.monotonic() - started, peak


def largest(pid: int) -> int:
    """Resident bytes, shared memory left out, of the largest Python process below pid."""
    sizes = [0]
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            try:
                memory = process.memory_info()
                if "raylet" not in process.name() and "gcs_server" not in process.name():
                    sizes.append(memory.rss - memory.shared)
            except psutil.NoSuchProcess:
                continue
    except psutil.NoSuchProcess:
        pass
    return max(sizes)


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = recipes(folder)
        for kind, path in made.items():
            print(f"\n{kind}: stages, one thread\n{'stage':26}{'MB in':>10}{'seconds':>10}{'MB/s':>10}")
            for label, num_bytes, seconds in stages(read_recipe(str(path))):
                print(f"{label:26}{num_bytes / 1e6:10.1f}{seconds:10.3f}{num_bytes / 1e6 / max(seconds, 1e-9):10.1f}")
        print(f"\n{'whole build':26}{'MB in':>10}{'seconds':>10}{'MB/s':>10}{'peak MB':>10}")
        for kind, path in made.items():
            units = plan_units(read_recipe(str(path)).source[0])
            num_bytes = sum(unit.num_bytes for unit in units)
            runs = {
                "local": ["--runner", "local"],
                "ray, 1 CPU": ["--num-cpus", "1"],
                "ray, 2 CPUs": ["--num-cpus", "2"],
            }
            for label, arguments in runs.items():
                out = folder / f"{kind}-{label.replace(' ', '').replace(',', '-')}"
                seconds, peak = whole_run(path, out, *arguments)
                rate = num_bytes / 1e6 / seconds
                print(f"{kind + ', ' + label:26}{num_bytes / 1e6:10.1f}{seconds:10.1f}{rate:10.2f}{peak / 1e6:10.0f}")


if __name__ == "__main__":
    main()
