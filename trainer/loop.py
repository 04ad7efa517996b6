"""The training loop: the same under torchrun, under Ray Train, and alone.

The loss of a step is the sum over all targets of all workers and micro-batches divided by their number, so neither
the number of workers nor the size of micro-batches changes what is minimised.
"""

import contextlib
import math
import time
from dataclasses import dataclass
from typing import Any

import torch

from manifests.errors import JobFailed, RecipeError
from manifests.manifest import Manifest, corpus_root, read_manifest
from trainer import checkpoint
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.evaluate import evaluate
from trainer.model import Decoder
from trainer.objectives.base import Objective
from trainer.objectives.causal import Causal
from trainer.optim import lr_ratio, make_optimizers, set_lr
from trainer.run_files import MetricsLog, RunFacts, read_metrics, write_run
from trainer.stream import Batch, PackedRows, TrainStream, validation_rows


@dataclass(frozen=True)
class Run:
    """Everything a step needs."""

    manifest: Manifest
    config: TrainConfig
    out: str
    context: Context
    model: Decoder
    optimizer: torch.optim.Optimizer
    stream: TrainStream
    validation: PackedRows | None
    objective: Objective
    autocast: contextlib.AbstractContextManager[Any]  # may be entered many times


def train(manifest_path: str, config: TrainConfig, out: str, context: Context) -> dict[str, Any]:
    """Train, or go on from the last checkpoint below `out`; returns the metrics of the last step and its checkpoint.

    Every worker calls this with the same arguments; `out` must be the same storage for all. Raises RecipeError,
    InputError, ManifestMismatch, IntegrityError and StorageError as they are met, JobFailed if the loss is not finite.
    """
    run = _prepare(manifest_path, config, out, context)
    done = _resume(run)
    log = None
    if context.rank == 0:
        write_run(out, RunFacts(manifest=manifest_path, manifest_digest=run.manifest.digest, config=config))
        log = MetricsLog(out, done)
    if done < config.steps:
        _steps(run, done + 1, log)
    context.barrier()
    return summary(out)


def summary(out: str) -> dict[str, Any]:
    """The metrics of the last step of a run, and `checkpoint`: the folder of its last checkpoint."""
    metrics = read_metrics(out)
    return {**(metrics[-1] if metrics else {}), "checkpoint": checkpoint.latest_checkpoint(out)}


def uses_bf16(precision: str, device: torch.device) -> bool:
    """What a precision setting means on a device: "auto" is bf16 only where the hardware multiplies it natively."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def check_settings(manifest_path: str, config: TrainConfig, out: str) -> Manifest:
    """Find what is wrong before any worker starts; returns the manifest. Raises what `train` raises for settings."""
    manifest = read_manifest(manifest_path)
    folder = checkpoint.latest_checkpoint(out)
    if folder is not None:
        checkpoint.check_same_run(folder, checkpoint.read_state(folder), manifest.digest, config)
    TrainStream(corpus_root(manifest_path), manifest, config.seed, config.global_batch)
    return manifest


def _prepare(manifest_path: str, config: TrainConfig, out: str, context: Context) -> Run:
    manifest = check_settings(manifest_path, config, out)
    root = corpus_root(manifest_path)
    stream = TrainStream(root, manifest, config.seed, config.global_batch)
    model = Decoder(config.model, manifest.tokenizer.vocab_size, config.seed).to(context.device)
    autocast = torch.autocast(
        context.device.type, dtype=torch.bfloat16, enabled=uses_bf16(config.precision, context.device)
    )
    (optimizer,) = make_optimizers(model, config.optimizer)
    return Run(
        manifest, config, out, context, model, optimizer, stream, validation_rows(root, manifest), Causal(), autocast
    )


def _resume(run: Run) -> int:
    """Load the last checkpoint, if any; returns the steps that are done. All workers must find the same one."""
    folder = checkpoint.latest_checkpoint(run.out)
    done = 0
    if folder is not None:
        state = checkpoint.read_state(folder)
        checkpoint.load_weights(folder, state, run.model)
        checkpoint.load_optimizer(folder, state, run.optimizer)
        done = state.step
    found = torch.zeros(run.context.world_size, dtype=torch.int64, device=run.context.device)
    found[run.context.rank] = done
    run.context.add_over_workers(found)
    if len(set(found.tolist())) > 1:
        raise RecipeError(
            f"{run.out}: the workers find checkpoints of different steps {found.tolist()} there. "
            "Give an --out that is the same storage for all workers."
        )
    return done


def _steps(run: Run, first_step: int, log: MetricsLog | None) -> None:
    config, context = run.config, run.context
    batches = run.stream.batches(first_step, config.steps, context.rank, context.world_size)
    for step, batch, waited in batches:
        last = step == config.steps
        metrics = _update(run, step, batch) | {"loader_wait_seconds": waited}
        if run.validation is not None and (last or step % config.eval_every == 0):
            with run.autocast:
                metrics |= evaluate(
                    run.model, run.validation, run.manifest.tokenizer.end_of_text_id, config.micro_batch, context
                )
        if log is not None:
            log.append(metrics)
        if last or step % config.checkpoint_every == 0:
            _save(run, step, log)
        if last or step % config.report_every == 0:
            context.report(metrics)


def _update(run: Run, step: int, batch: Batch) -> dict[str, Any]:
    """One optimiser step on this worker's part of the global batch; returns the metrics of the whole of it."""
    started = time.perf_counter()
    config, context, names = run.config, run.context, [source.name for source in run.manifest.sources]
    sums = torch.zeros(2, len(names), dtype=torch.float64, device=context.device)
    run.optimizer.zero_grad(set_to_none=True)
    for start in range(0, len(batch.tokens), config.micro_batch):
        part = batch.cut(start, min(start + config.micro_batch, len(batch.tokens)))
        tensors = run.objective.tensors(part, context.device)
        with run.autocast:
            losses = run.objective.losses(run.model, tensors)
        losses.values.sum().backward()  # type: ignore[no-untyped-call]
        source = torch.from_numpy(part.segment_source).to(context.device)
        sums.index_add_(1, source, losses.by_segment(part.total_segments))
    context.add_over_workers(sums)
    loss_sum, num_targets = sums.sum(dim=1).tolist()
    loss = loss_sum / max(1.0, num_targets)
    _share_gradients(run, 1.0 / max(1.0, num_targets))
    grad_norm = float(torch.nn.utils.clip_grad_norm_(run.model.parameters(), config.clip))
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise JobFailed(
            f"step {step}: the loss is {loss}, the gradient norm {grad_norm}. Lower optimizer.lr or raise "
            f"schedule.warmup_steps and start again in another --out; its rows are {run.stream.rows(step)}."
        )
    lr = config.optimizer.lr * lr_ratio(step, config.steps, config.schedule)
    set_lr([run.optimizer], lr)
    run.optimizer.step()
    return {
        "step": step,
        "samples": step * config.global_batch,
        "loss": loss,
        "grad_norm": grad_norm,
        "lr": lr,
        "num_targets": int(num_targets),
        "tokens_per_second": num_targets / (time.perf_counter() - started),
        "loss_by_source": {
            name: total / count for name, total, count in zip(names, *sums.tolist(), strict=True) if count
        },
    }


def _share_gradients(run: Run, scale: float) -> None:
    """Add the gradients of all workers in one message and scale the sum."""
    gradients = [parameter.grad for parameter in run.model.parameters() if parameter.grad is not None]
    if run.context.world_size == 1:
        for gradient in gradients:
            gradient.mul_(scale)
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    run.context.add_over_workers(flat)
    for gradient, total in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient) * scale)


def _save(run: Run, step: int, log: MetricsLog | None) -> None:
    """Rank 0 writes; the others go on, since the next exchange of gradients waits for it anyway."""
    if log is None:
        return
    log.flush()
    tokenizer = run.manifest.tokenizer
    state = checkpoint.State(
        step=step,
        samples_consumed=step * run.config.global_batch,
        manifest_digest=run.manifest.digest,
        config=run.config,
        vocab_size=tokenizer.vocab_size,
        length=run.manifest.packing.length,
        end_of_text_id=tokenizer.end_of_text_id,
    )
    checkpoint.save(run.out, state, run.model, run.optimizer)
