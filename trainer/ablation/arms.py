"""The arms of an ablation: its corpora, the controls of their size, and the runs, each a process of its own."""

import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import tomli_w
import torch

from manifests import shards
from manifests.errors import JobFailed
from manifests.manifest import Manifest, manifest_digest
from trainer.ablation.held_out import HeldOut
from trainer.ablation.plan import Plan, letter
from trainer.ablation.subset import train_rows, train_tokens, write_subset
from trainer.ablation.worker import losses_file
from trainer.config import TrainConfig

LOG = "log.txt"
Report = Callable[[str], None]


@dataclass(frozen=True)
class Arm:
    """What is trained on. paths: the corpus of each seed; a control has another for each, else all are the same.

    folder: of its runs, named after the corpus's digest, so that the order of corpora does not matter. num_rows and
    num_tokens: of the training split (for a control of the first seed's). repeats: how often a run reads each row.
    """

    name: str
    paths: tuple[str, ...]
    folder: str
    num_rows: int
    num_tokens: int
    repeats: float
    size_of: str | None = None  # of a control: the arm whose size it has


@dataclass(frozen=True)
class ArmRun:
    """One training run: what `trainer.ablation.worker` does below `out`."""

    name: str
    path: str
    config: TrainConfig
    out: str

    def losses(self, held_out: HeldOut) -> str:
        """URI of its losses on a held-out set."""
        return losses_file(self.out, manifest_digest(self.path), self.config, held_out)


def make_arms(plan: Plan, manifests: Sequence[Manifest], out: str) -> list[Arm]:
    """The corpora, each followed by the control of its size, whose corpora are written below `out`/controls."""
    arms = []
    for number, (path, manifest) in enumerate(zip(plan.corpora, manifests, strict=True)):
        arms.append(_arm(plan, letter(number), (path,) * plan.num_seeds, manifest, manifest.digest[:16]))
        num_tokens = train_tokens(manifest)
        if plan.control and num_tokens < train_tokens(manifests[0]):
            folder = f"{manifests[0].digest[:16]}-{num_tokens}-tokens"
            paths = tuple(shards.join(out, "controls", folder, f"seed-{seed}") for seed in plan.seeds)
            made = [
                write_subset(plan.corpora[0], num_tokens, seed, path)
                for seed, path in zip(plan.seeds, paths, strict=True)
            ]
            control = _arm(plan, f"random, size of {letter(number)}", paths, made[0], folder)
            arms.append(replace(control, size_of=letter(number)))
    return arms


def _arm(plan: Plan, name: str, paths: tuple[str, ...], manifest: Manifest, folder: str) -> Arm:
    num_rows = train_rows(manifest)
    repeats = plan.config.steps * plan.config.global_batch / max(1, num_rows)
    return Arm(name, paths, folder, num_rows, train_tokens(manifest), repeats)


def runs_of(plan: Plan, arm: Arm, out: str) -> list[ArmRun]:
    """The arm's run of each seed, in the order of seeds."""
    return [
        ArmRun(
            f"{arm.name}, seed {seed}",
            path,
            plan.config.model_copy(update={"seed": seed}),
            shards.join(out, "runs", arm.folder, f"seed-{seed}"),
        )
        for seed, path in zip(plan.seeds, arm.paths, strict=True)
    ]


def run_all(plan: Plan, arms: Sequence[Arm], held_out: Sequence[HeldOut], out: str, report: Report) -> None:
    """Do the runs that are not done, plan.jobs at a time. Raises JobFailed, naming those that failed, at the end.

    All first seeds come before all second ones: an ablation that is stopped early has whole pairs.
    """
    runs = [run for of_seed in zip(*(runs_of(plan, arm, out) for arm in arms), strict=True) for run in of_seed]
    missing = [run for run in runs if not all(shards.exists(run.losses(one)) for one in held_out)]
    if len(missing) < len(runs):
        report(f"{len(runs) - len(missing)} of {len(runs)} runs are done")
    slots: queue.SimpleQueue[int] = queue.SimpleQueue()
    for slot in range(plan.jobs):
        slots.put(slot)

    def work(run: ArmRun) -> str | None:
        slot = slots.get()
        try:
            return _run(run, held_out, slot, plan.jobs, report)
        finally:
            slots.put(slot)

    with ThreadPoolExecutor(plan.jobs, thread_name_prefix="run") as pool:
        try:
            problems = [problem for problem in pool.map(work, missing) if problem]
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C no further run is begun
    if problems:
        raise JobFailed(
            f"{len(problems)} of {len(runs)} runs failed: {'; '.join(problems)}. The others are done and kept: mend "
            "the cause and run the same command again."
        )


def _run(run: ArmRun, held_out: Sequence[HeldOut], slot: int, jobs: int, report: Report) -> str | None:
    """Run the worker; returns what went wrong, or None. Jobs share the cores, and take turns among the GPUs."""
    started = time.monotonic()
    config = shards.join(run.out, "config.toml")
    settings = run.config.model_dump(mode="json", exclude_none=True)
    shards.write_bytes(config, tomli_w.dumps(settings).encode("utf-8"))
    command = [sys.executable, "-m", "trainer.ablation.worker", run.path, "--config", config, "--out", run.out]
    gpu = slot % max(1, torch.cuda.device_count())
    environment = {**os.environ, "LOCAL_WORLD_SIZE": str(jobs), "LOCAL_RANK": str(gpu)}
    done = subprocess.run(
        [*command, "--held-out", *(one.path for one in held_out)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        report(f"{run.name}: done in {time.monotonic() - started:.0f} s")
        return None
    log = shards.join(run.out, LOG)
    shards.write_bytes(log, done.stdout + done.stderr)
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    reason = lines[-1] if lines else "it said nothing"
    report(f"{run.name}: failed")
    return f"{run.name}: {reason} (exit code {done.returncode}, all of it in {log})"
