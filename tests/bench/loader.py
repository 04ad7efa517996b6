"""Tokens a second of the data stream, and of the loaders of the field on the same tokens.

    python -m tests.bench.loader [--write]

after `make loaders` (a loader whose environment is not there is left out, and the table says so). The tokens are made
up: 64 row groups of ids with the frequencies of a natural vocabulary of 32,000, in rows of 1,024 and of 2,048. Every
loader reads epochs of them from the page cache, each in a process of its own, in batches of 256 rows. Rates are tokens
a second of processor time, of all threads of the process: what one thread gets through. Median and range of five
rounds; a round of ours opens the corpus anew, so it takes the SHA-256 of every shard and compares the checksums of
every page.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import shards
from manifests.manifest import Shard, write_manifest
from manifests.schemas import packed_schema, token_column
from manifests.shards import ROW_GROUP_ROWS
from tests.trainer.synthetic import make_corpus
from trainer.config import ScheduleConfig, TrainConfig
from trainer.data import open_data

VOCAB_SIZE = 32_000
LENGTHS = (1024, 2048)
BATCH, ROUNDS, NUM_TOKENS = 256, 5, 1 << 26
ENVIRONMENTS = {"datasets": "loaders", "streaming": "streaming", "litdata": "loaders"}
# What each does not give, by its own documentation and code at the versions of tests/peers/requirements-*.txt.
_NO_PROVENANCE = "No segments, no way from a step to its documents."
GIVEN_UP = {
    "gristmill": "Nothing but packed rows of tokens.",
    "datasets": "Shuffles within a buffer, whose examples a resumed run loses. Weights of interleaved sets are fixed "
    f"when they are made. {_NO_PROVENANCE}",
    "streaming": "A format of its own (MDS). Needs shared memory. Weights are fixed when the set is made. Checksums "
    f"only where validate_hash is set. {_NO_PROVENANCE}",
    "litdata": "A format of its own. Weights of combined sets are fixed when they are made. No checksums of chunks. "
    f"{_NO_PROVENANCE}",
}


def made_up(length: int) -> np.ndarray:
    """uint16 (num_rows, length + 1): ids by frequency 1 / rank."""
    num_rows = NUM_TOKENS // length // ROW_GROUP_ROWS * ROW_GROUP_ROWS
    shares = np.cumsum(1.0 / np.arange(1, VOCAB_SIZE + 1))
    drawn = np.random.default_rng(0).random((num_rows, length + 1)) * shares[-1]
    return np.searchsorted(shares, drawn).astype(np.uint16)


def write_corpus(folder: Path, tokens: np.ndarray) -> None:
    """The rows as a corpus of one shard, with two segments in each."""
    num_rows, capacity = tokens.shape
    schema = packed_schema(pa.uint16(), capacity - 1)
    half = capacity // 2
    values = {"segment_start": [0, 0], "segment_length": [half, capacity - half], "segment_bytes": [4 * half] * 2}
    columns: dict[str, Any] = {"tokens": token_column(tokens)}
    bounds = pa.array(np.arange(num_rows + 1) * 2, pa.int32())
    for field in schema:
        if field.name == "segment_doc":
            flat = pa.array([f"{number:032x}" for number in range(2 * num_rows)])
        else:
            flat = pa.array(np.tile(values.get(field.name, [0, 0]), num_rows))
        if field.name != "tokens":
            kind = field.type
            columns[field.name] = pa.ListArray.from_arrays(bounds, flat.cast(kind.value_type), type=kind)
    manifest = make_corpus(folder, [], [], capacity - 1, VOCAB_SIZE)
    path = f"packed/{capacity - 1}/train-0000-00000.parquet"
    entry = shards.write_table(str(folder / path), pa.table(columns, schema=schema), path)
    facts = {"path": path, "rows": num_rows, "bytes": entry.bytes, "sha256": entry.sha256, "tokens": tokens.size}
    shard = Shard.model_validate({**facts, "kind": "packed", "split": "train", "source": "even"})
    write_manifest(str(folder), manifest.model_copy(update={"shards": [shard]}))


def read_epoch(folder: Path, num_rows: int, with_segments: bool) -> float:
    """Processor seconds of one epoch of our stream in this thread, from a corpus that was not opened yet."""
    shards._digest_of.cache_clear()
    config = TrainConfig(global_batch=BATCH, steps=1, schedule=ScheduleConfig(warmup_steps=0))
    started = time.process_time()
    stream = open_data([str(folder)], config).train
    seen = 0
    for step in range(1, num_rows // BATCH + 1):
        batch = stream.batch(step, 0, 1)
        seen += len(batch.segment if with_segments else batch.tokens)
    assert seen == num_rows
    return time.process_time() - started


def ours(folder: Path) -> dict[str, Any]:
    """Seconds of each round, of tokens alone and with the number of the segment of each token."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    num_rows = len(np.load(folder / "tokens.npy", mmap_mode="r"))
    rounds = [[read_epoch(folder, num_rows, with_segments) for with_segments in (False, True)] for _ in range(ROUNDS)]
    plain, segments = zip(*rounds, strict=True)
    return {"version": "", "shuffled": plain, "with segments": segments}


def run(command: list[str]) -> dict[str, Any] | str:
    """What a loader's process prints, or why there is nothing."""
    if not Path(command[0]).exists():
        return "not installed"
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads}, check=False)
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1][:100]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row_of(name: str, found: dict[str, Any] | str, num_tokens: int) -> str:
    """A line of the table."""
    if isinstance(found, str):
        return f"| {name} | {found} | | | {GIVEN_UP[name]} |"
    cells = []
    for kind in ("ordered", "shuffled", "with segments"):
        rates = sorted(num_tokens / seconds / 1e6 for seconds in found.get(kind, []))
        cells.append(f"{statistics.median(rates):.0f} ({rates[0]:.0f} to {rates[-1]:.0f})" if rates else "")
    return f"| {name} {found['version']}".rstrip() + f" | {' | '.join(cells)} | {GIVEN_UP[name]} |"


def table(length: int) -> list[str]:
    """The lines of one length of rows."""
    with tempfile.TemporaryDirectory() as folder:
        tokens = made_up(length)
        np.save(Path(folder, "tokens.npy"), tokens)
        write_corpus(Path(folder), tokens)
        num_tokens = len(tokens) * length
        lines = [
            f"## Rows of {length:,} tokens, {num_tokens / 1e6:.0f} million tokens",
            "",
            "| loader | in file order | shuffled | shuffled, with segments | gives up |",
            "|---|---|---|---|---|",
            row_of("gristmill", run([sys.executable, "-m", "tests.bench.loader", "--ours", folder]), num_tokens),
        ]
        for loader, environment in ENVIRONMENTS.items():
            python = f".venv-peers/{environment}/bin/python"
            command = [python, "tests/peers/run_loaders.py", loader, folder, str(BATCH), str(ROUNDS)]
            lines.append(row_of(loader, run(command), num_tokens))
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--ours", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        print(json.dumps(ours(Path(options.ours))))
        return
    before = os.getloadavg()[0]
    lines = [line for length in LENGTHS for line in table(length)]
    facts = [
        "# Tokens a second of the loaders",
        "",
        "`python -m tests.bench.loader`: million tokens a second of processor time, median and range of "
        f"{ROUNDS} rounds from the page cache, batches of {BATCH} rows.",
        f"{os.cpu_count()} cores, {platform.machine()}, load {before:.1f} before and {os.getloadavg()[0]:.1f} after.",
        "",
    ]
    text = "\n".join([*facts, *lines])
    print(text)
    if options.write:
        name = f"loader_{os.cpu_count()}core_{time.strftime('%Y-%m-%d')}.md"
        Path("tests/bench/results", name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
