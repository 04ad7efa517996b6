import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from manifests.errors import JobFailed, ManifestMismatch, RecipeError
from tests.trainer.crashes import Crash, crash_at
from tests.trainer.synthetic import counting_corpus, small_config, sources_corpus
from trainer.checkpoint import list_checkpoints, read_state
from trainer.config import EarlyStoppingConfig, MixtureConfig, TrainConfig
from trainer.context import Context
from trainer.loop import train
from trainer.model import Decoder
from trainer.parallel import blocks_of, distribute, make_grid
from trainer.precision import has_bf16
from trainer.run_files import read_metrics, read_run


def losses(out: Path | str) -> list[float]:
    return [metrics["loss"] for metrics in read_metrics(str(out))]


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    counting_corpus(tmp_path / "corpus")
    return str(tmp_path / "corpus")


def test_the_loss_falls_and_every_step_is_recorded(corpus: str, tmp_path: Path) -> None:
    reported: list[int] = []
    context = Context(report=lambda metrics: reported.append(metrics["step"]))
    result = train([corpus], small_config(report_every=7), str(tmp_path / "run"), context)
    lines = read_metrics(str(tmp_path / "run"))
    assert [line["step"] for line in lines] == list(range(1, 21))
    assert reported == [7, 14, 20]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.1
    assert set(lines[0]["loss_by_source"]) == {"even", "odd"}
    assert [line["step"] for line in lines if "validation_loss" in line] == [10, 20]
    assert result == {**lines[-1], "checkpoint": f"{tmp_path}/run/checkpoints/step-00000020"}
    facts = read_run(str(tmp_path / "run"))
    assert (facts.paths, facts.config) == ((corpus,), small_config(report_every=7))


def test_a_run_that_stopped_goes_on_as_if_it_had_not(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(), str(tmp_path / "straight"), Context())
    with pytest.raises(Crash):  # after 12 steps, of which the checkpoint holds 10
        train([corpus], small_config(), str(tmp_path / "stopped"), crash_at(12))
    assert len(losses(tmp_path / "stopped")) == 12
    train([corpus], small_config(), str(tmp_path / "stopped"), Context())
    assert losses(tmp_path / "stopped") == pytest.approx(losses(tmp_path / "straight"), abs=1e-6)
    last = [read_state(list_checkpoints(str(tmp_path / name))[-1]) for name in ("straight", "stopped")]
    assert last[0].samples_consumed == last[1].samples_consumed == 80


def test_a_finished_run_is_not_trained_again(corpus: str, tmp_path: Path) -> None:
    first = train([corpus], small_config(), str(tmp_path / "run"), Context())
    assert train([corpus], small_config(), str(tmp_path / "run"), crash_at(20)) == first


def test_another_corpus_is_refused_with_both_digests(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(), str(tmp_path / "run"), Context())
    before = read_run(str(tmp_path / "run")).digest
    after = counting_corpus(tmp_path / "other", num_rows=25).digest
    with pytest.raises(ManifestMismatch, match=f"{before}, this manifest has {after}"):
        train([str(tmp_path / "other")], small_config(), str(tmp_path / "run"), Context())


def test_another_config_is_refused(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(), str(tmp_path / "run"), Context())
    with pytest.raises(RecipeError, match=r"'steps': 20\}.*'steps': 30\}"):
        train([corpus], small_config(steps=30), str(tmp_path / "run"), Context())


def test_the_size_of_micro_batches_does_not_change_the_losses(corpus: str, tmp_path: Path) -> None:
    for size in (1, 4):
        train([corpus], small_config(micro_batch=size), str(tmp_path / f"run{size}"), Context())
    assert losses(tmp_path / "run1") == pytest.approx(losses(tmp_path / "run4"), abs=1e-5)


def test_the_loss_is_the_mean_over_targets_of_all_sources(corpus: str, tmp_path: Path) -> None:
    # An untrained model with zero embeddings would give ln 64; this one is near it, and the mean lies between sources.
    train([corpus], small_config(steps=2), str(tmp_path / "run"), Context())
    line = read_metrics(str(tmp_path / "run"))[0]
    low, high = sorted(line["loss_by_source"].values())
    assert low <= line["loss"] <= high
    assert line["loss"] == pytest.approx(4.159, abs=0.05)


def test_a_loss_that_is_not_finite_stops_the_run(corpus: str, tmp_path: Path) -> None:
    config = small_config(optimizer={"lr": 1e38}, schedule={"warmup_steps": 0})
    with pytest.raises(JobFailed, match=r"step 2: the loss is nan.* Lower optimizer\.lr"):
        train([corpus], config, str(tmp_path / "run"), Context())


def test_a_validation_loss_that_is_not_finite_stops_the_run_too(corpus: str, tmp_path: Path) -> None:
    config = small_config(optimizer={"lr": 1e38}, schedule={"warmup_steps": 0}, eval_every=1)
    with pytest.raises(JobFailed, match=r"step 1: validation_loss is nan.* Lower optimizer\.lr"):
        train([corpus], config, str(tmp_path / "run"), Context())


def test_a_run_may_be_written_to_any_file_system(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(), str(tmp_path / "run"), Context())
    with pytest.raises(Crash):
        train([corpus], small_config(), "memory://run", crash_at(12))
    assert len(losses("memory://run")) == 10  # object stores cannot append: lines appear with checkpoints
    train([corpus], small_config(), "memory://run", Context())
    assert losses("memory://run") == pytest.approx(losses(tmp_path / "run"), abs=1e-6)


def test_bf16_is_used_where_asked_for_and_trains(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(precision="bf16"), str(tmp_path / "half"), Context())
    train([corpus], small_config(precision="fp32"), str(tmp_path / "full"), Context())
    half, full = losses(tmp_path / "half"), losses(tmp_path / "full")
    assert half != full
    assert half == pytest.approx(full, abs=0.05)


def test_auto_goes_on_in_the_precision_of_the_checkpoint(corpus: str, tmp_path: Path) -> None:
    for precision in ("fp32", "bf16"):
        train([corpus], small_config(precision=precision), str(tmp_path / f"straight-{precision}"), Context())
        out = str(tmp_path / precision)
        with pytest.raises(Crash):
            train([corpus], small_config(precision=precision), out, crash_at(7))
        if precision == "bf16" and not has_bf16(torch.device("cpu")):
            with pytest.raises(RecipeError, match="the run began in bf16"):
                train([corpus], small_config(precision="auto"), out, Context())
            continue
        train([corpus], small_config(precision="auto"), out, Context())
        assert losses(out) == pytest.approx(losses(tmp_path / f"straight-{precision}"), abs=1e-6)
        assert [read_state(folder).precision for folder in list_checkpoints(out)] == [precision] * 2


def test_another_precision_is_refused_with_both(corpus: str, tmp_path: Path) -> None:
    with pytest.raises(Crash):
        train([corpus], small_config(precision="fp32"), str(tmp_path / "run"), crash_at(7))
    with pytest.raises(RecipeError, match=r"precision = 'fp32', the config says 'bf16'\. Set 'fp32' or"):
        train([corpus], small_config(precision="bf16"), str(tmp_path / "run"), Context())


def test_early_stopping_without_validation_rows_is_refused_before_the_first_step(tmp_path: Path) -> None:
    sources_corpus(tmp_path / "corpus", 12, 12)
    config = small_config(early_stopping=EarlyStoppingConfig())
    with pytest.raises(RecipeError, match=r"no validation rows in .*/corpus.*Reserve some \(\[pack\] validation_ratio"):
        train([str(tmp_path / "corpus")], config, str(tmp_path / "run"), Context())
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_stopped_stops_early_at_the_same_step(corpus: str, tmp_path: Path) -> None:
    # No evaluation gains a whole nat on the first one, so the third after it, at step 8, is the last.
    stopping = EarlyStoppingConfig(patience=3, min_delta=1.0)
    config = small_config(eval_every=2, early_stopping=stopping)
    straight = train([corpus], config, str(tmp_path / "straight"), Context())
    with pytest.raises(Crash):  # the checkpoint of step 5 has seen the evaluations of steps 2 and 4
        train([corpus], config, str(tmp_path / "stopped"), crash_at(7))
    stopped = train([corpus], config, str(tmp_path / "stopped"), Context())
    assert straight["step"] == stopped["step"] == 8
    assert straight["validation_loss"] == pytest.approx(stopped["validation_loss"], abs=1e-6)


def test_the_checkpoint_with_the_lowest_validation_loss_is_kept(corpus: str, tmp_path: Path) -> None:
    # At this learning rate the loss falls by leaps, and step 14, the last, is not the lowest. No other is due.
    settings = {"optimizer": {"lr": 0.1}, "steps": 40, "eval_every": 2, "checkpoint_every": 100, "keep_checkpoints": 1}
    config = small_config(early_stopping=EarlyStoppingConfig(patience=6, min_delta=10.0), **settings)
    found = train([corpus], config, str(tmp_path / "run"), Context())
    lines = [line for line in read_metrics(str(tmp_path / "run")) if "validation_loss" in line]
    lowest = min(lines, key=lambda line: line["validation_loss"])["step"]
    assert lines[0]["step"] < lowest < found["step"]
    assert found["best_checkpoint"] == f"{tmp_path}/run/checkpoints/step-{lowest:08d}"
    assert list_checkpoints(str(tmp_path / "run")) == [found["best_checkpoint"], found["checkpoint"]]
    shutil.rmtree(found["best_checkpoint"])
    assert "best_checkpoint" not in train([corpus], config, str(tmp_path / "run"), Context())


def test_a_mixture_may_change_on_resume_for_samples_to_come_and_no_others(tmp_path: Path) -> None:
    corpus, out = str(tmp_path / "corpus"), str(tmp_path / "run")
    sources_corpus(tmp_path / "corpus", 12, 12)
    before = MixtureConfig(weights={"even": 1.0, "odd": 1.0})
    with pytest.raises(Crash):  # the checkpoint of step 5 stands for 20 samples
        train([corpus], small_config(mixture=[before]), out, crash_at(7))
    read, coming = (MixtureConfig(from_sample=sample, weights={"odd": 1.0}) for sample in (16, 40))
    with pytest.raises(RecipeError, match="differs from sample 16 on .* the checkpoint's 20 samples"):
        train([corpus], small_config(mixture=[before, read]), out, Context())
    train([corpus], small_config(mixture=[before, coming]), out, Context())
    train([corpus], small_config(mixture=[before, coming]), str(tmp_path / "straight"), Context())
    assert losses(out) == pytest.approx(losses(tmp_path / "straight"), abs=1e-6)
    sources = [set(line["loss_by_source"]) for line in read_metrics(out)]
    assert sources == [{"even", "odd"}] * 10 + [{"odd"}] * 10


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_activation_checkpointing_does_not_change_the_losses(corpus: str, tmp_path: Path, dropout: float) -> None:
    model = {"layers": 2, "width": 16, "heads": 2, "kv_heads": 1, "hidden": 32, "dropout": dropout}
    for name, is_on in (("off", False), ("on", True)):
        config = small_config(model=model, activation_checkpointing=is_on)
        train([corpus], config, str(tmp_path / name), Context())
    assert losses(tmp_path / "on") == pytest.approx(losses(tmp_path / "off"), abs=1e-6)


def test_activation_checkpointing_computes_each_layer_again_in_the_backward_pass() -> None:
    num_calls = []
    for is_on in (False, True):
        config = small_config(activation_checkpointing=is_on)
        model = Decoder(config.model, 20, seed=0)
        calls: list[nn.Module] = []
        for block in blocks_of(model):
            next(iter(block.children())).register_forward_hook(lambda module, *_, seen=calls: seen.append(module))
        distribute(model, config, make_grid(config.parallel, Context()), torch.device("cpu"), half=False)
        model(torch.ones(1, 4, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64)).sum().backward()
        num_calls.append(len(calls))
    assert num_calls == [1, 2]


def run_trainer(corpus: str, out: Path, config: TrainConfig, workers: int) -> list[str]:
    """`python -m trainer` under torchrun; returns the lines that it prints."""
    file = out.with_suffix(".toml")
    model, schedule = config.model, config.schedule
    file.write_text(
        f"steps = {config.steps}\nglobal_batch = {config.global_batch}\ncheckpoint_every = {config.checkpoint_every}\n"
        f'precision = "{config.precision}"\nreport_every = 5\n[schedule]\nwarmup_steps = {schedule.warmup_steps}\n'
        f"[model]\nlayers = {model.layers}\nwidth = {model.width}\nheads = {model.heads}\n"
        f"kv_heads = {model.kv_heads}\nhidden = {model.hidden}\n"
    )
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(workers), "-m", "trainer"]
    command = [sys.executable, "-m", *launcher, corpus, "--out", str(out), "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_two_workers_go_on_where_one_stopped_with_the_same_losses(corpus: str, tmp_path: Path) -> None:
    config = small_config(eval_every=50)
    train([corpus], config, str(tmp_path / "one"), Context())
    with pytest.raises(Crash):
        train([corpus], config, str(tmp_path / "two"), crash_at(7))
    lines = run_trainer(corpus, tmp_path / "two", config, workers=2)
    assert [line.split("  ")[0] for line in lines] == ["step 10", "step 15", "step 20"]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
    validation = [read_metrics(str(tmp_path / name))[-1]["validation_bits_per_byte"] for name in ("one", "two")]
    assert validation[0] == pytest.approx(validation[1], abs=1e-5)
