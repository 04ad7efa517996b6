"""The Ray Data runner: one read task per item, the task mapped over it in the same process, results streamed back.

Only items and commit records travel; texts, scores and tokens stay between the task and the files it writes. Ray runs a
task again when its worker dies; what the dead one had committed is skipped.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from corpus.run_local import Item
from manifests.errors import GristmillError, JobFailed

# Read by Ray when it is imported or started; set here once, before that.
_QUIET = {"RAY_DATA_DISABLE_PROGRESS_BARS": "1", "RAY_DEDUP_LOGS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray.data import Datasource, ReadTask  # noqa: E402
from ray.data.block import BlockMetadata  # noqa: E402


@contextlib.contextmanager
def connect(address: str | None = None, num_cpus: int | None = None) -> Iterator[None]:
    """A connection to the cluster at `address`, or a Ray started here for the time of the block.

    Raises JobFailed with what to do if the address does not answer.
    """
    if ray.is_initialized():
        yield
        return
    logging.getLogger("ray").setLevel(logging.WARNING)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING, "configure_logging": True}
    if address is None and "RAY_ADDRESS" not in os.environ:
        options |= {"include_dashboard": False, "num_cpus": num_cpus}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise JobFailed(
            f"Ray at {address or 'this machine'} does not answer: {error}. Start one with `ray start --head`, "
            "give the right --address, or use --runner local."
        ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    try:
        yield
    finally:
        ray.shutdown()


class _Items(Datasource):  # type: ignore[misc]
    """A datasource of items, one read task each, so that Ray schedules and retries them one by one."""

    def __init__(self, items: list[Item]) -> None:
        self._items = items

    def estimate_inmemory_data_size(self) -> int | None:
        return sum(len(json.dumps(item)) for item in self._items)

    def get_read_tasks(self, parallelism: int, *args: Any, **kwargs: Any) -> list[ReadTask]:
        return [_read_task(item) for item in self._items]


def _read_task(item: Item) -> ReadTask:
    text = json.dumps(item)

    def read() -> Iterable[pa.Table]:
        return [pa.table({"item": [text]})]

    return ReadTask(read, BlockMetadata(num_rows=1, size_bytes=len(text), input_files=None, exec_stats=None))


class _Mapped:
    """The task as a function of tables, which is what Ray Data maps."""

    def __init__(self, task: Callable[[Item], Item]) -> None:
        self.task = task

    def __call__(self, table: pa.Table) -> pa.Table:
        results = [json.dumps(self.task(json.loads(text))) for text in table["item"].to_pylist()]
        return pa.table({"result": pa.array(results, pa.string())})


class RayRunner:
    """Runs tasks on the connected Ray cluster; use it inside `connect`."""

    name = "ray"

    def map(self, task: Callable[[Item], Item], items: list[Item]) -> Iterator[Item]:
        """Yield the tasks' results as they come; raises a task's own GristmillError, JobFailed for lost workers."""
        if not items:
            return
        mapped = _Mapped(task)
        dataset = ray.data.read_datasource(_Items(items), override_num_blocks=len(items)).map_batches(
            mapped.__call__, batch_format="pyarrow", batch_size=None, zero_copy_batch=True
        )
        try:
            for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                yield from (json.loads(text) for text in batch["result"].to_pylist())
        except GristmillError:
            raise
        except ray.exceptions.RayError as error:
            raise _cause(error) from error


def _cause(error: BaseException) -> GristmillError:
    """The error of ours that a Ray error carries, or JobFailed that says what Ray said."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, GristmillError) and not isinstance(seen, ray.exceptions.RayError):
            return seen
        inner = getattr(seen, "cause", None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__
    text = str(error).strip().splitlines()
    return JobFailed(
        f"a task on the cluster failed: {text[-1] if text else type(error).__name__}. Finished units are kept: "
        "run the same command again. If workers run out of memory, give the cluster more per CPU."
    )
