"""The Ray Data runner: a read task for each item, or for some small ones, the task mapped over it in the same process.

Only items and commit records travel; texts, scores and tokens stay between the task and the files it writes. Ray runs a
task again when its worker dies; what the dead one had committed is skipped. Ray Data would do so without end: an item
that has cost MAX_ATTEMPTS workers is given up here. From the end of a task to the start of the next a worker waits for
about a tenth of a second, so many small items share tasks; those of a task that lost its worker are done alone.
"""

import contextlib
import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from corpus.run_local import Item
from filters.kernels.jit import compile_seconds
from manifests import errors
from manifests.errors import GristmillError, JobFailed

# Read by Ray when it is imported. The first keeps it from warning of a change in how it hides GPUs from tasks, the
# second from printing on stdout, in many words, that a worker died: the runner says that in few.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")

import ray
import ray.data
from ray.data.block import BlockMetadata
from ray.exceptions import RayError, RayTaskError

# Workers that may die over one item; Ray's own default for tasks outside of Ray Data is 1 + 3.
MAX_ATTEMPTS = 4
# Items share tasks while each CPU has this many of them, so that all end together, and up to a number and a size.
TASKS_PER_CPU = 8
MAX_TASK_ITEMS = 16
MAX_TASK_BYTES = 64 * 1024 * 1024
# A task has one CPU, so these libraries get one thread each. Read when they first use their thread pools.
_ONE_THREAD = {"POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@contextlib.contextmanager
def connect(address: str | None = None, num_cpus: int | None = None) -> Iterator[None]:
    """A connection to the cluster at `address`, or a Ray started here for the time of the block.

    Without an address the one in RAY_ADDRESS is taken; num_cpus is for a Ray that starts here.
    Raises JobFailed with what to do if the address does not answer.
    """
    if ray.is_initialized():
        yield
        return
    _silence()
    # Else Ray would join whatever Ray was last started on this machine.
    here = address is None and "RAY_ADDRESS" not in os.environ
    options: dict[str, Any] = {"include_dashboard": False, "num_cpus": num_cpus} if here else {}
    try:
        if not here:
            _knock(address or os.environ["RAY_ADDRESS"])
        ray.init(address="local" if here else address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        where = address or os.environ.get("RAY_ADDRESS", "this machine")
        raise JobFailed(
            f"Ray at {where} does not answer: {_last_line(error)} Start one with `ray start --head`, give the right "
            "--address (and RAY_AUTH_MODE=token where it asks for a token), or use --runner local."
        ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # one big unit may take hours
    context.raise_original_map_exception = True
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT: Ray would try for minutes, and talk of it."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _silence() -> None:
    """Keep Ray's talk off the terminal: what matters arrives as an error of ours; its log files still have it all."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)


class _Items(ray.data.Datasource):  # type: ignore[misc]
    """A datasource of items, one read task for each share of them, so that Ray schedules and retries these."""

    def __init__(self, shares: list[list[Item]]) -> None:
        self._shares = [[json.dumps(item) for item in share] for share in shares]

    def estimate_inmemory_data_size(self) -> int | None:
        return sum(len(text) for share in self._shares for text in share)

    def get_read_tasks(self, parallelism: int, *args: Any, **kwargs: Any) -> list[ray.data.ReadTask]:
        return [_read_task(share) for share in self._shares]


def _read_task(texts: list[str]) -> ray.data.ReadTask:
    def read() -> Iterable[pa.Table]:
        return [pa.table({"item": texts})]

    size = sum(len(text) for text in texts)
    return ray.data.ReadTask(
        read, BlockMetadata(num_rows=len(texts), size_bytes=size, input_files=None, exec_stats=None)
    )


def shares_of(items: list[Item], num_cpus: int) -> list[list[Item]]:
    """The items by task, in their order: several in one as long as each CPU has TASKS_PER_CPU tasks.

    Several are at most MAX_TASK_ITEMS with `input_bytes` of MAX_TASK_BYTES in all; items without are alone, since they
    may be large, and all are while no CPU is known (num_cpus 0).
    """
    most = min(MAX_TASK_ITEMS, len(items) // (TASKS_PER_CPU * num_cpus)) if num_cpus else 1
    shares: list[list[Item]] = []
    total = 0
    for item in items:
        size = int(item.get("input_bytes", MAX_TASK_BYTES))
        if not shares or len(shares[-1]) >= most or total + size > MAX_TASK_BYTES:
            shares.append([])
            total = 0
        shares[-1].append(item)
        total += size
    return shares


class _Mapped:
    """The task as a function of tables, which is what Ray Data maps.

    Errors that a user can mend are results, by name and text: Ray would add advice of its own to an exception's text.
    """

    def __init__(self, task: Callable[[Item], Item], max_attempts: int) -> None:
        self.task = task
        self.max_attempts = max_attempts

    def __call__(self, table: pa.Table) -> pa.Table:
        for name, value in _ONE_THREAD.items():
            os.environ.setdefault(name, value)
        num_lost = ray._private.worker.global_worker.core_worker.get_current_task_attempt_number()
        items = [json.loads(text) for text in table["item"].to_pylist()]
        outcomes: list[Item] = []
        for number, item in enumerate(items):
            left = {"item": item, "num_lost": num_lost, "num_waiting": len(items) - number - 1}
            if num_lost and len(items) > 1:
                # Which of them it was shows when each is done alone.
                outcomes.append({**left, "num_shared": len(items)})
            elif num_lost >= self.max_attempts:
                outcomes.append(left)
            else:
                outcomes.append({**left, **self._outcome(item)})
            if "error" in outcomes[-1]:
                break
        return pa.table({"outcome": pa.array([json.dumps(outcome) for outcome in outcomes], pa.string())})

    def _outcome(self, item: Item) -> Item:
        try:
            return {"result": self.task(item), "compile_seconds": compile_seconds()}
        except GristmillError as error:
            return {"error": type(error).__name__, "message": str(error)}
        except OSError as error:
            message = f"a task failed: {error}. Check path and connection, then run the same command again."
            return {"error": "JobFailed", "message": message}


class RayRunner:
    """Runs tasks on the connected Ray cluster; use it inside `connect`."""

    name = "ray"

    def __init__(self) -> None:
        self.compile_seconds = 0.0
        self.num_waiting = 0

    def map(self, task: Callable[[Item], Item], items: list[Item]) -> Iterator[Item]:
        """Yield the tasks' results as they come, after telling on stderr if workers died over one.

        Raises a task's own GristmillError, JobFailed for an item that kills workers again and again.
        """
        if not items:
            return
        again: list[Item] = []
        for outcome in self._outcomes(task, shares_of(items, int(ray.cluster_resources().get("CPU", 0)))):
            if "num_shared" not in outcome:
                yield _result(outcome)
                continue
            again.append(outcome["item"])
            if not outcome["num_waiting"]:
                about = f"{outcome['num_lost']} workers died over one of {outcome['num_shared']} items"
                print(f"{about}; each is done again alone", file=sys.stderr, flush=True)
        for outcome in self._outcomes(task, [[item] for item in again]):
            yield _result(outcome)

    def _outcomes(self, task: Callable[[Item], Item], shares: list[list[Item]]) -> Iterator[Item]:
        if not shares:
            return
        mapped = _Mapped(task, MAX_ATTEMPTS)
        dataset = ray.data.read_datasource(_Items(shares), override_num_blocks=len(shares)).map_batches(
            mapped.__call__, batch_format="pyarrow", batch_size=None, zero_copy_batch=True
        )
        try:
            for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for text in batch["outcome"].to_pylist():
                    outcome = json.loads(text)
                    self.compile_seconds = max(self.compile_seconds, outcome.get("compile_seconds", 0.0))
                    self.num_waiting = outcome["num_waiting"]
                    yield outcome
        except RayTaskError:
            raise  # a mistake of ours, with its traceback on the worker
        except RayError as error:
            raise JobFailed(
                f"Ray lost a task: {_last_line(error)} Finished work is kept: run the same command again."
            ) from error


def _result(outcome: Item) -> Item:
    """The result of a task; raises the error of ours that it ended with."""
    if "error" in outcome:
        kind: type[GristmillError] = getattr(errors, outcome["error"])
        raise kind(outcome["message"])
    about = f"died over {json.dumps(outcome['item'])[:200]}"
    if "result" not in outcome:
        raise JobFailed(
            f"{outcome['num_lost']} workers {about}. Finished work is kept: run the same command again. If memory is "
            "short, start Ray with fewer CPUs (--num-cpus) or on larger machines."
        )
    if outcome["num_lost"]:
        print(f"{outcome['num_lost']} workers {about}; it was done again", file=sys.stderr, flush=True)
    result: Item = outcome["result"]
    return result


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = lines[-1].strip() if lines else type(error).__name__
    return text if text.endswith(".") else f"{text}."
