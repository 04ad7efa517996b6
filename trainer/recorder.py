"""What a run keeps of its steps: metrics.jsonl, event files, losses of documents, and what is said of loss spikes.

docs/metrics.md has every key of a metrics line.
"""

import importlib.util
import math
from typing import Any

import numpy as np
import torch

from manifests.errors import JobFailed
from trainer import document_losses
from trainer.document_losses import LossLog
from trainer.events import EventLog, scalars
from trainer.flops import peak_flops
from trainer.run_files import MetricsLog, read_metrics
from trainer.spikes import WINDOW, usual_loss
from trainer.step import Run, StepResult

NUM_WORST = 5  # documents that are named at a spike


class Recorder:
    """Every worker has one; they call its methods at the same steps.

    Steps after `done` are of a crash, and what was kept of them is removed.
    """

    def __init__(self, run: Run, out: str, done: int) -> None:
        self.run = run
        self.peak = peak_flops(run.context.device)
        self.before = [metrics["loss"] for metrics in read_metrics(out) if metrics["step"] <= done][-WINDOW:]
        self.logs: list[MetricsLog | EventLog] = []
        self.losses: LossLog | None = None
        if run.context.rank == 0:
            document_losses.drop_after(out, done)
            self.logs.append(MetricsLog(out, done))
            # Where the trainer is used without the rest of the project the library may not be there.
            if importlib.util.find_spec("tensorboardX") is not None:
                self.logs.append(EventLog(out, done))
        if run.config.losses and run.grid.has_losses:
            self.losses = LossLog(out, run.data, run.grid.data_rank)

    def metrics(self, step: int, result: StepResult) -> dict[str, Any]:
        """The metrics of a step, of which it keeps the losses of documents."""
        if self.losses is not None:
            self.losses.append(step, result.batch, result.by_segment)
        overall = result.sums.all()
        found = {
            "step": step,
            "samples": step * self.run.config.global_batch,
            "loss": result.loss,
            "grad_norm": result.grad_norm,
            "lr": result.lr,
            "num_targets": result.num_targets,
            "tokens_per_second": result.num_targets / result.seconds,
            "step_seconds": result.seconds,
            "loader_wait_seconds": result.loader_wait_seconds,
            "memory_bytes": result.memory_bytes,
            **{key: overall[key] for key in ("bits_per_byte",) if key in overall},
            **{f"loss_by_{kind}": by for kind in result.sums.kinds if (by := _losses(result, kind))},
            **result.sums.means(),
            **self._utilisation(result),
            **self._spike(result),
        }
        if self.run.config.compile:
            found["num_compiled_graphs"] = _num_compiled_graphs()
        self.before = [*self.before[1 - WINDOW :], result.loss]
        return found

    def append(self, metrics: dict[str, Any]) -> None:
        """Write the metrics of a step. Raises JobFailed, on every worker, if one of them is not finite."""
        _check_finite(metrics)
        for log in self.logs:
            log.append(metrics)

    def flush(self) -> None:
        """Write all that a checkpoint of the last step stands for; returns when every worker has done so."""
        if self.losses is not None:
            self.losses.flush()
        for log in self.logs:
            log.flush()
        self.run.context.barrier()

    def _utilisation(self, result: StepResult) -> dict[str, float]:
        """See trainer.flops."""
        if not result.flops:
            return {}
        speed = result.flops / result.seconds
        found = {"model_flops_per_second": speed}
        if self.peak is not None:
            found["model_flops_utilisation"] = speed / (self.peak * self.run.context.world_size)
        return found

    def _spike(self, result: StepResult) -> dict[str, Any]:
        """`spike`: the loss that was to be expected, and the documents that add most to what is above it; else {}."""
        usual = usual_loss(self.before, result.loss)
        return {} if usual is None else {"spike": {"usual_loss": usual, "documents": self._worst(result, usual)}}

    def _worst(self, result: StepResult, usual: float) -> list[dict[str, Any]]:
        """Of the segments of all workers those with most nats above the usual ones of their targets, worst first."""
        batch, context = result.batch, self.run.context
        nats, num_targets, _ = result.by_segment
        worst = np.argsort(usual * num_targets - nats, kind="stable")[:NUM_WORST]
        first = np.repeat(np.cumsum(batch.num_segments) - batch.num_segments, batch.num_segments)
        row = np.repeat(batch.rows, batch.num_segments)
        mine = np.stack([row, np.arange(len(row)) - first, batch.segment_source, nats, num_targets])[:, worst]
        all_workers = torch.zeros(context.world_size, 5, NUM_WORST, dtype=torch.float64)
        all_workers[context.rank, :, : len(worst)] = torch.from_numpy(mine)
        all_workers = all_workers.to(context.device)
        context.add_over_workers(all_workers)
        found = all_workers.cpu().numpy().transpose(0, 2, 1).reshape(-1, 5)
        found = found[found[:, 4] > 0]
        chosen = found[np.argsort(usual * found[:, 4] - found[:, 3], kind="stable")][:NUM_WORST]
        return [self._document(*each) for each in chosen.tolist()]

    def _document(self, row: float, place: float, source: float, nats: float, num_targets: float) -> dict[str, Any]:
        segment = self.run.data.train.segments(np.array([int(row)])).slice(int(place), 1).to_pylist()[0]
        return {
            "doc_id": segment["segment_doc"],
            "source": self.run.data.sources[int(source)],
            "segment_start": segment["segment_start"],
            "num_targets": int(num_targets),
            "loss": nats / num_targets,
        }


def _check_finite(metrics: dict[str, Any]) -> None:
    wrong = [f"{name} is {value}" for name, value in scalars(metrics) if not math.isfinite(value)]
    if wrong:
        raise JobFailed(
            f"step {metrics['step']}: {', '.join(wrong)}. Lower optimizer.lr or raise schedule.warmup_steps and start "
            "again in another --out."
        )


def _num_compiled_graphs() -> int:
    """Since the process began: it grows while torch compiles anew."""
    from torch._dynamo.utils import counters  # a second to import

    return int(counters["stats"]["unique_graphs"])


def _losses(result: StepResult, kind: str) -> dict[str, float]:
    return {name: figures["loss"] for name, figures in result.sums.by(kind).items()}
