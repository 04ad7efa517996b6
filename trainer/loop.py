"""The training loop: the same under torchrun, under Ray Train, and alone."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from manifests.errors import RecipeError
from trainer import checkpoint
from trainer.architecture import describe
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.data import Data, RowReader, open_data
from trainer.ema import Ema
from trainer.evaluation.files import DuringTraining
from trainer.evaluation.slices import SliceSums, target_bytes
from trainer.flops import cost_of
from trainer.model import Decoder
from trainer.models import make_model
from trainer.objectives import make_objective
from trainer.objectives.causal import Causal
from trainer.optim import make_optimizers
from trainer.origin import fixed, named_models
from trainer.parallel import check_parallel, distribute, make_grid
from trainer.passes import Passes, WholePasses
from trainer.pipeline import PipelinePasses
from trainer.precision import common_precision
from trainer.recorder import Recorder
from trainer.run_files import RunFacts, copy_tokenizer, is_reported, read_metrics, write_run
from trainer.step import Run, update
from trainer.stopping import Stopper
from trainer.stream import Batch


def train(paths: Sequence[str], config: TrainConfig, out: str, context: Context) -> dict[str, Any]:
    """Train, or go on from the last checkpoint below `out`; returns what `summary` says of it.

    paths: manifests (or folders of corpora), or JSONL files, as the objective needs. Every worker calls this with the
    same arguments; `out` must be the same storage for all. Raises RecipeError, InputError, ManifestMismatch,
    IntegrityError and StorageError as they are met, JobFailed if the loss is not finite.
    """
    run = _prepare(paths, config, out, context)
    done, stopper = _resume(run, out)
    if context.rank == 0:
        write_run(out, RunFacts(paths=run.data.paths, digest=run.data.digest, config=config))
        copy_tokenizer(out, run.data.tokenizer)
    recorder = Recorder(run, out, done)
    if not _is_over(config, done, stopper):
        with checkpoint.Saver(out, context) as saver:
            _steps(run, done, stopper, saver, recorder)
    context.barrier()
    return summary(out)


def summary(out: str) -> dict[str, Any]:
    """The metrics of the last step of a run, and `checkpoint`: the folder of its last checkpoint.

    With early stopping also `best_checkpoint`: the folder of the one with the lowest validation loss, if it is there.
    """
    metrics = read_metrics(out)
    folders = checkpoint.list_checkpoints(out)
    found = {**(metrics[-1] if metrics else {}), "checkpoint": folders[-1] if folders else None}
    lowest = checkpoint.read_state(folders[-1]).stopper.lowest_step if folders else None
    best = None if lowest is None else checkpoint.folder_of(out, lowest)
    return {**found, "best_checkpoint": best} if best in folders else found


def check_settings(paths: Sequence[str], config: TrainConfig, out: str) -> Data:
    """Find what is wrong before any worker starts; returns the data. Raises what `train` raises for settings."""
    data = open_data(paths, config)
    DuringTraining(config, data)
    if config.early_stopping is not None and data.validation is None:
        raise RecipeError(
            f"early_stopping: there are no validation rows in {', '.join(paths)}, whose loss it looks at. Reserve some "
            "([pack] validation_ratio of a recipe, [examples] validation_ratio of a training config), or leave it out."
        )
    folder = checkpoint.latest_checkpoint(out)
    if folder is not None:
        state = checkpoint.read_state(folder)
        checkpoint.check_same_run(folder, state, data.digest, config)
        data.train.check_state(state.model_dump(include={"samples_consumed", "manifest_digest", "schedule"}))
    return data


def _prepare(paths: Sequence[str], config: TrainConfig, out: str, context: Context) -> Run:
    data = check_settings(paths, config, out)
    folder = checkpoint.latest_checkpoint(out)
    state = None if folder is None else checkpoint.read_state(folder)
    named = named_models(config, state)
    grid = make_grid(config.parallel, context)
    model = make_model(config, data) if state is None else checkpoint.new_model(state)
    objective = make_objective(fixed(config, named), data)
    check_parallel(config, model, objective, grid)
    cost = cost_of(model)
    precision = common_precision(config.precision, None if state is None else state.precision, context)
    half = precision == "bf16"
    architecture = describe(model)
    model = distribute(model, config, grid, context.device, half)
    autocast = torch.autocast(context.device.type, dtype=torch.bfloat16, enabled=half)
    passes: Passes = WholePasses(model, objective, grid, context.device, autocast, config.seed)
    if isinstance(model, Decoder) and isinstance(objective, Causal) and grid.num_stages > 1:
        passes = PipelinePasses(model, objective, config, grid, (context.device, autocast, data.length))
    ema = None if config.ema_decay is None else Ema(model, config.ema_decay)
    optimizers = make_optimizers(model, config.optimizer)
    return Run(
        config, data, context, grid, precision, model, architecture, named, objective, passes, optimizers, ema, cost
    )


def _resume(run: Run, out: str) -> tuple[int, Stopper]:
    """Load the last checkpoint, if any; returns the steps that are done. All workers must find the same one."""
    folder = checkpoint.latest_checkpoint(out)
    done, stopper = 0, Stopper()
    if folder is not None:
        state = checkpoint.read_state(folder)
        checkpoint.restore(folder, state, run.model, run.optimizers, run.ema)
        done, stopper = state.step, state.stopper
    found = torch.zeros(run.context.world_size, dtype=torch.int64, device=run.context.device)
    found[run.context.rank] = done
    run.context.add_over_workers(found)
    if len(set(found.tolist())) > 1:
        raise RecipeError(
            f"{out}: the workers find checkpoints of different steps {found.tolist()} there. "
            "Give an --out that is the same storage for all workers."
        )
    return done, stopper


def _is_over(config: TrainConfig, done: int, stopper: Stopper) -> bool:
    return done >= config.steps or (config.early_stopping is not None and stopper.should_stop(config.early_stopping))


def _steps(run: Run, done: int, stopper: Stopper, saver: checkpoint.Saver, recorder: Recorder) -> None:
    config = run.config
    questions = DuringTraining(config, run.data)
    batches = run.data.train.batches(done + 1, config.steps, run.grid.data_rank, run.grid.num_data)
    for step, batch, waited in batches:
        last = step == config.steps
        metrics = recorder.metrics(step, update(run, step, batch, waited))
        if run.data.validation is not None and (last or step % config.eval_every == 0):
            metrics |= _validate(run, run.data.validation)
            if config.early_stopping is not None and "validation_loss" in metrics:
                stopper = stopper.after(step, metrics["validation_loss"], config.early_stopping)
                last = _is_over(config, step, stopper)
        if last or step % config.eval_every == 0:
            with _averaged(run):
                metrics |= questions.metrics(run.model, run.context.device)
        recorder.append(metrics)
        if last or step % config.checkpoint_every == 0 or step == stopper.lowest_step:
            recorder.flush()
            _save(run, step, stopper, saver)
        if last or is_reported(metrics, config):
            run.context.report(metrics)
        if last:
            return


def _averaged(run: Run) -> contextlib.AbstractContextManager[None]:
    """The averaged weights in the model's place, where there are any."""
    return run.ema.swapped(run.model) if run.ema is not None else contextlib.nullcontext()


def _validate(run: Run, rows: RowReader) -> dict[str, Any]:
    """What a metrics line says of the validation rows, seen by the averaged weights where there are any."""
    sums = SliceSums(run.data, run.context.device)
    with _averaged(run):
        for batch in _shares(run, rows):
            found = run.sums(batch, None)
            num_bytes = torch.from_numpy(target_bytes(run.objective, batch, run.data.end_of_text_id))
            share = 1.0 if run.grid.has_losses else 0.0
            parts = [found.by_segment, share * num_bytes.to(found.by_segment.device)[None]]
            sums.add(batch, torch.cat(parts), found.measures)
    sums.add_over_workers(run.context)
    return sums.metrics()


def _shares(run: Run, rows: RowReader) -> Iterator[Batch]:
    """The rows of this worker, of as many at a time as in a step."""
    size, grid = run.config.global_batch, run.grid
    for start in range(0, rows.num_rows, size):
        num = min(size, rows.num_rows - start)
        first, end = (start + num * place // grid.num_data for place in (grid.data_rank, grid.data_rank + 1))
        read = rows.read(np.arange(first, max(end, first + 1), dtype=np.int64))
        yield read if end > first else read.cut(0, 0)


def _save(run: Run, step: int, stopper: Stopper, saver: checkpoint.Saver) -> None:
    state = checkpoint.State(
        step=step,
        **run.data.train.state(step * run.config.global_batch),
        config=run.config,
        precision=run.precision,
        vocab_size=run.data.vocab_size,
        length=run.data.length,
        end_of_text_id=run.data.end_of_text_id,
        named_models=dict(run.named_models),
        architecture=run.architecture,
        stopper=stopper,
        num_averaged=0 if run.ema is None else int(run.ema.num_updates),
    )
    saver.save(state, checkpoint.model_tensors(run.model, run.optimizers, run.ema))
