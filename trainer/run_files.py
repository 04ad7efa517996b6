"""What a run writes beside its checkpoints: run.json (what is trained on what) and metrics.jsonl (one line a step)."""

import contextlib
import json
import os
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from manifests import shards
from manifests.errors import InputError, IntegrityError
from manifests.lock import locked
from trainer.config import TrainConfig

RUN = "run.json"
METRICS = "metrics.jsonl"


class RunFacts(BaseModel):
    """Contents of run.json; nothing in it depends on where or on how many workers the run is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: tuple[str, ...]  # of the data: manifests, folders of corpora, or JSONL files; absolute
    digest: str  # of the data
    config: TrainConfig


def only_writer(out: str, rank: int) -> contextlib.AbstractContextManager[None]:
    """What the first worker, or the one that starts the workers, holds while a run writes to `out`.

    Entering raises StorageError if another run does so. Object stores are not locked: a killed group would leave its
    lock there, which nobody takes away before the group starts again.
    """
    return locked(out) if rank == 0 and shards.is_local(out) else contextlib.nullcontext()


def absolute(path: str) -> str:
    """A local path made absolute; a URI as it is."""
    return path if "://" in path else os.path.abspath(path)


def write_run(out: str, facts: RunFacts) -> None:
    """Write run.json, with the data's paths made absolute: the run is looked at from other folders too."""
    facts = facts.model_copy(update={"paths": tuple(map(absolute, facts.paths))})
    shards.write_bytes(shards.join(out, RUN), (facts.model_dump_json(indent=1) + "\n").encode("utf-8"))


def copy_tokenizer(out: str, uri: str) -> None:
    """Keep the data's tokenizer in the run's folder: tuning, export and generation then need nothing else."""
    name = "tokenizer.tiktoken" if uri.endswith(".tiktoken") else "tokenizer.json"
    shards.write_bytes(shards.join(out, name), shards.read_bytes(uri))


def read_run(out: str) -> RunFacts:
    """run.json of a run's folder. Raises InputError if there is none, IntegrityError if it is damaged."""
    uri = shards.join(out, RUN)
    try:
        return RunFacts.model_validate_json(shards.read_bytes(uri))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{uri}: there is no training run. Name the --out folder of `gristmill train`.") from None
    except ValidationError as error:
        raise IntegrityError(f"{uri}: is not a whole run description: {error.errors()[0]['msg']}.") from error


def read_metrics(out: str, after: int = 0) -> list[dict[str, Any]]:
    """The metrics of each step done so far, of those behind `after`, in order; [] where there are none.

    A last line that is not whole (the run was killed, or writes it just now) is left out.
    """
    uri = shards.join(out, METRICS)
    lines = shards.read_bytes(uri).decode("utf-8").split("\n")[:-1] if shards.exists(uri) else []
    found: list[dict[str, Any]] = []
    while lines and (not found or found[-1]["step"] > after):  # only what is asked for is parsed
        found.append(json.loads(lines.pop()))
    return [metrics for metrics in reversed(found) if metrics["step"] > after]


def is_reported(metrics: dict[str, Any], config: TrainConfig) -> bool:
    """Whether a step is told of while the run goes on: every report_every-th, and loss spikes."""
    return metrics["step"] % config.report_every == 0 or "spike" in metrics


class MetricsLog:
    """Appends to metrics.jsonl. On a disk each line is there at once; elsewhere with each call of `flush`."""

    def __init__(self, out: str, last_step: int) -> None:
        """Keep the lines up to last_step: later ones are of steps that a crash has undone."""
        self.uri = shards.join(out, METRICS)
        self._lines = [self._line(metrics) for metrics in read_metrics(out) if metrics["step"] <= last_step]
        self._write_all()

    def append(self, metrics: dict[str, Any]) -> None:
        """Add the metrics of a step."""
        line = self._line(metrics)
        self._lines.append(line)
        if shards.is_local(self.uri):
            with open(shards.filesystem(self.uri)[1], "a", encoding="utf-8") as file:
                file.write(line)

    def flush(self) -> None:
        """Make what was appended visible on object stores, which cannot append."""
        if not shards.is_local(self.uri):
            self._write_all()

    def _write_all(self) -> None:
        shards.write_bytes(self.uri, "".join(self._lines).encode("utf-8"))

    @staticmethod
    def _line(metrics: dict[str, Any]) -> str:
        return json.dumps(metrics, allow_nan=False) + "\n"
