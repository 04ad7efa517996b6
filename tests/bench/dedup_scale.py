"""Deduplication of made-up signatures with planted components: seconds and peak memory of each step, and the peers.

    python -m tests.bench.dedup_scale [DOCUMENTS ...] [--peers] [--write]

DOCUMENTS (default 1,000,000) are spread over units of 40,000, as many as a shard of Common Crawl's WET has. Three in
ten are in planted components: nine of ten copies have the keeper's signature but for six values of 112 (Jaccard 0.95),
one of ten its text; a few components have 10,000 documents. After each run the keeper of every document is compared
with the planted one. Steps run in two processes; their peak memory is that of the larger, with everything loaded.

--peers: 300,000 documents, same signatures, against datatrove's stages 2 to 4 (needs `make peers`) and datasketch's
MinHashLSH; all three must find the same components.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.dedup.plan import Task
from corpus.dedup.signatures import RunWriter, signatures_schema
from corpus.dedup.stage import deduplicate
from corpus.dedup.work import SignedUnit, Work
from corpus.recipe import Dedup, MinHash
from filters.kernels.minhash import band_keys
from manifests.shards import read_table

CONFIG = Dedup(minhash=MinHash())
UNIT_DOCUMENTS = 40_000
NUM_CHANGED = 6
PEER_DOCUMENTS = 300_000
WORKERS = 2
PEERS = Path(".venv-peers/bin/python")


def planted(num_documents: int, seed: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """int64 (num_documents,): each document's keeper, and 0 keeper or alone, 1 near copy, 2 exact copy."""
    generator = np.random.default_rng(seed)
    keepers = np.arange(num_documents)
    order = generator.permutation(num_documents)
    num_members = num_documents * 3 // 10
    sizes = [10_000] * (num_members // 200_000)
    left = num_members - sum(sizes)
    small = 2 + generator.geometric(0.4, left)
    sizes += small[: np.searchsorted(np.cumsum(small), left)].tolist()
    members = order[: sum(sizes)]
    firsts = np.repeat(members[np.cumsum([0, *sizes[:-1]])], sizes)
    keepers[members] = firsts
    kinds = np.where(keepers == np.arange(num_documents), 0, np.where(generator.random(num_documents) < 0.9, 1, 2))
    return keepers, kinds


def values_of(documents: np.ndarray) -> np.ndarray:
    """uint32 (num_documents, 112): a signature for each number, the same in every call (splitmix64)."""
    lanes = np.arange(56, dtype=np.uint64)
    state = (documents.astype(np.uint64)[:, None] * np.uint64(64) + lanes) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = (state ^ (state >> np.uint64(31))).view(np.uint32)
    return mixed


def signatures(documents: np.ndarray, keepers: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """The keeper's signature, with NUM_CHANGED values of their own in near copies."""
    values, own = values_of(keepers), values_of(documents)
    near = np.flatnonzero(kinds == 1)
    places = (documents[near, None] * 7 + np.arange(NUM_CHANGED) * 17) % values.shape[1]
    values[near[:, None], places] = own[near[:, None], places]
    return values


def write_unit(out: str, first: int, keepers: np.ndarray, kinds: np.ndarray) -> SignedUnit:
    """The files that a unit leaves behind; keepers are the longest of their components."""
    documents = np.arange(first, first + len(keepers))
    minhash = CONFIG.minhash
    assert minhash is not None
    values = signatures(documents, keepers, kinds)
    text = np.where(kinds == 2, keepers, documents).astype(np.uint64)
    rows = np.arange(len(documents), dtype=np.uint32)
    schema = signatures_schema(CONFIG)
    data = pa.py_buffer(np.ascontiguousarray(values, "<u4"))
    table = pa.table(
        {
            "row": rows,
            "doc_id": [f"{document:032x}" for document in documents.tolist()],
            "num_bytes": np.where(kinds == 0, 4000, 3000),
            "date": pa.nulls(len(documents), pa.string()),
            "quality": np.zeros(len(documents)),
            "exact_high": text * np.uint64(0x9E3779B97F4A7C15),
            "exact_low": text,
            "signature": pa.Array.from_buffers(schema.field("signature").type, len(documents), [None, data]),
        },
        schema=schema,
    )
    unit_id = f"{first:016x}"
    writer = RunWriter(f"{out}/units/{unit_id}", CONFIG)
    keys = band_keys(values, minhash.bands, minhash.rows)
    writer.add_signed(table, keys.ravel(), np.repeat(rows, minhash.bands))
    writer.finish()
    return SignedUnit(unit_id, len(documents))


def measured(task: Task, item: dict[str, Any]) -> tuple[float, float]:
    """CPU seconds of a task, and the peak memory of this process so far in MB."""
    start = time.process_time()
    task(item)
    return time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


class Steps:
    """Runs tasks in WORKERS processes, new ones for each step; keeps the figures of each step."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, float, float, float]] = []
        self.started = time.perf_counter()

    def map(self, task: Task, items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """A RunMap. The time before the first step of it is the driver's, which connects pairs."""
        begin = time.perf_counter()
        self.add("(driver)", 1, begin - self.started, 0.0, driver_mb())
        with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
            found = [each.result() for each in as_completed([pool.submit(measured, task, item) for item in items])]
        cpu, peak = sum(cpu for cpu, _ in found), max(mb for _, mb in found)
        self.started = time.perf_counter()
        self.add(task.__name__, len(items), self.started - begin, cpu, peak)
        return iter([{} for _ in items])

    def add(self, name: str, num_tasks: int, wall: float, cpu: float, peak: float) -> None:
        self.rows.append((name, num_tasks, wall, cpu, peak))
        if wall > 0.05:
            print(f"{name:14} {num_tasks:5} tasks {wall:8.1f} s wall {cpu:8.1f} s CPU {peak:7.0f} MB", flush=True)


def driver_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def make(out: str, num_documents: int) -> tuple[list[SignedUnit], np.ndarray]:
    keepers, kinds = planted(num_documents)
    starts = range(0, num_documents, UNIT_DOCUMENTS)
    cuts = [slice(start, start + UNIT_DOCUMENTS) for start in starts]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(write_unit, out, cut.start, keepers[cut], kinds[cut]) for cut in cuts]
        units = [job.result() for job in jobs]
    return units, keepers


def check(out: str, units: list[SignedUnit], keepers: np.ndarray) -> int:
    """Compare each document's keeper with the planted one; returns how many documents are duplicates."""
    num_duplicates = 0
    for unit in units:
        first = int(unit.unit_id, 16)
        found = np.arange(first, first + unit.num_documents)
        table = read_table(f"{out}/duplicates/{unit.unit_id}.parquet", ["row", "kept_doc_id"])
        found[table["row"].to_numpy()] = [int(doc_id, 16) for doc_id in table["kept_doc_id"].to_pylist()]
        wanted = keepers[first : first + unit.num_documents]
        assert np.array_equal(found, wanted), f"{unit.unit_id}: {np.count_nonzero(found != wanted)} wrong keepers"
        num_duplicates += int(np.count_nonzero(found != np.arange(first, first + unit.num_documents)))
    return num_duplicates


def run(num_documents: int) -> list[str]:
    """Lines of a Markdown table for one size."""
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        units, keepers = make(out, num_documents)
        size = sum(file.stat().st_size for file in Path(out).rglob("*.parquet"))
        made = time.perf_counter() - start
        print(
            f"{num_documents:,} documents in {len(units)} units, {size / 1e9:.2f} GB, made in {made:.0f} s", flush=True
        )
        steps = Steps()
        start = time.perf_counter()
        deduplicate(out, units, [], CONFIG, "bench", steps.map)
        steps.add("(driver)", 1, time.perf_counter() - steps.started, 0.0, driver_mb())
        Work.clean(out)
        wall = time.perf_counter() - start
        num_duplicates = check(out, units, keepers)
    worst, cpu_s = max(row[4] for row in steps.rows), sum(row[3] for row in steps.rows)
    print(f"{num_documents:,}: {wall:.0f} s, at most {worst:.0f} MB; {num_duplicates:,} keepers as planted")
    lines = [f"## {num_documents:,} documents ({size / 1e9:.2f} GB of signatures and runs)", ""]
    lines += ["| step | tasks | wall s | CPU s | peak MB of a process |", "|---|---|---|---|---|"]
    shown = [row for row in steps.rows if row[2] > 0.05]
    lines += [f"| {name} | {count} | {wall_s:.1f} | {cpu:.1f} | {mb:.0f} |" for name, count, wall_s, cpu, mb in shown]
    return [*lines, f"| all | | {wall:.1f} | {cpu_s:.1f} | {worst:.0f} |", ""]


def compare() -> list[str]:
    """Lines of a Markdown table: seconds of CPU for the same 300,000 signatures."""
    keepers, kinds = planted(PEER_DOCUMENTS)
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as out:
        units, _ = make(out, PEER_DOCUMENTS)
        start = time.process_time()
        deduplicate(out, units, [], CONFIG, "bench", lambda task, items: map(task, items))
        seconds["gristmill"] = time.process_time() - start
        num_kept = {"gristmill": PEER_DOCUMENTS - check(out, units, keepers)}
    values = signatures(np.arange(PEER_DOCUMENTS), keepers, kinds)
    start = time.process_time()
    num_kept["datasketch MinHashLSH"] = datasketch_kept(values)
    seconds["datasketch MinHashLSH"] = time.process_time() - start
    if PEERS.exists():
        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/values.npy", values)
            command = [str(PEERS), "tests/peers/time_datatrove_dedup.py", f"{folder}/values.npy", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            answer = json.loads(done.stdout.splitlines()[-1])
            seconds["datatrove stages 2 to 4"] = answer["seconds"]
            num_kept["datatrove stages 2 to 4"] = answer["num_kept"]
    assert len(set(num_kept.values())) == 1, num_kept
    ours = seconds["gristmill"]
    lines = [f"## {PEER_DOCUMENTS:,} documents, same signatures, one process", ""]
    lines += ["| | CPU s | times ours | kept |", "|---|---|---|---|"]
    lines += [f"| {name} | {cpu:.1f} | {cpu / ours:.1f} | {num_kept[name]:,} |" for name, cpu in seconds.items()]
    print("\n".join(lines))
    return [*lines, ""]


def datasketch_kept(values: np.ndarray) -> int:
    """Documents left when each is dropped that has a candidate before it, as in datasketch's examples."""
    from datasketch import MinHash as Sketch
    from datasketch import MinHashLSH

    minhash = CONFIG.minhash
    assert minhash is not None
    index = MinHashLSH(num_perm=values.shape[1], params=(minhash.bands, minhash.rows))
    kept = 0
    for number, row in enumerate(values):
        sketch = Sketch(num_perm=values.shape[1], hashvalues=row, scheme="affine32")
        kept += not index.query(sketch)
        index.insert(number, sketch, check_duplication=False)
    return kept


def main(arguments: list[str] | None = None) -> None:
    """Run the sizes that are asked for."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sizes = [int(each.replace(",", "").replace("_", "")) for each in arguments if not each.startswith("--")]
    lines = ["# Deduplication at scale", ""]
    for num_documents in sizes or [1_000_000]:
        lines += run(num_documents)
    if "--peers" in arguments:
        lines += compare()
    if "--write" in arguments:
        name = f"dedup_scale_{WORKERS}core_{time.strftime('%Y-%m-%d')}.md"
        (Path(__file__).parent / "results" / name).write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
