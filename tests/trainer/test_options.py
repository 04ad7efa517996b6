"""Settings of a run that change memory, time or the weights: each is honoured, and a resumed run repeats it."""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.synthetic import counting_corpus, small_config
from tests.trainer.workers import train_together
from trainer.checkpoint import latest_checkpoint, list_checkpoints, read_state
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.loop import train
from trainer.run_files import read_metrics

MODEL = {"layers": 2, "width": 16, "heads": 2, "kv_heads": 1, "hidden": 32}


def config(model: dict[str, Any] | None = None, **changes: Any) -> TrainConfig:
    settings = {"steps": 8, "checkpoint_every": 4, "eval_every": 4, "keep_checkpoints": 9}
    return small_config(model={**MODEL, **(model or {})}, **settings | changes)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("options")
    counting_corpus(folder / "corpus")
    return str(folder / "corpus")


def figures(corpus: str, settings: TrainConfig, out: Path) -> list[float]:
    """Losses of all steps of a run in this process, and the validation losses."""
    train([corpus], settings, str(out), Context())
    return figures_of(out)


def figures_of(out: Path) -> list[float]:
    return [line[key] for line in read_metrics(str(out)) for key in ("loss", "validation_loss") if key in line]


@pytest.fixture(scope="module")
def plain(corpus: str) -> list[float]:
    return figures(corpus, config(), Path(f"{corpus}-plain"))


def test_activation_checkpointing_does_not_change_the_losses(corpus: str, plain: list[float], tmp_path: Path) -> None:
    found = figures(corpus, config(activation_checkpointing=True), tmp_path)
    assert found == pytest.approx(plain, abs=1e-6)


def test_activation_checkpointing_repeats_what_was_dropped(corpus: str, tmp_path: Path) -> None:
    kept, again = (
        figures(corpus, config({"dropout": 0.3}, activation_checkpointing=flag), tmp_path / str(flag))
        for flag in (False, True)
    )
    assert again == pytest.approx(kept, abs=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler looks at what torch warns of
def test_compiled_layers_have_the_losses_of_others(corpus: str, plain: list[float], tmp_path: Path) -> None:
    assert figures(corpus, config(compile=True), tmp_path) == pytest.approx(plain, abs=1e-5)


def test_dropout_is_for_training_alone_and_a_resumed_run_repeats_it(
    corpus: str, plain: list[float], tmp_path: Path
) -> None:
    settings = config({"dropout": 0.3})
    first = figures(corpus, settings, tmp_path)
    assert max(abs(a - b) for a, b in zip(first, plain, strict=True)) > 1e-3
    Path(list_checkpoints(str(tmp_path))[1], "state.json").unlink()  # back to step 4
    assert figures(corpus, settings, tmp_path) == pytest.approx(first, abs=1e-7)


@pytest.mark.slow
def test_workers_that_share_matrices_drop_the_same(corpus: str, tmp_path: Path) -> None:
    settings = config({"dropout": 0.3, "kv_heads": 2})
    alone = figures(corpus, settings, tmp_path / "alone")
    train_together(2, corpus, settings.model_copy(update={"parallel": PAIR}), tmp_path / "two")
    assert figures_of(tmp_path / "two") == pytest.approx(alone, abs=1e-6)


PAIR = config().parallel.model_copy(update={"tensor": 2})


@pytest.mark.slow
def test_bf16_trains_with_sharded_weights(corpus: str, plain: list[float], tmp_path: Path) -> None:
    shard = config().parallel.model_copy(update={"shard": True})
    train_together(2, corpus, config(precision="bf16").model_copy(update={"parallel": shard}), tmp_path)
    found = figures_of(tmp_path)
    assert found != plain
    assert found == pytest.approx(plain, abs=0.05)


def test_training_stops_early_and_stays_stopped(corpus: str, tmp_path: Path) -> None:
    settings = config(early_stopping={"patience": 2, "min_delta": 100.0}, eval_every=2, checkpoint_every=100)
    train([corpus], settings, str(tmp_path), Context())
    # The first evaluation is the best; the two after it bring less than 100 nats.
    assert [line["step"] for line in read_metrics(str(tmp_path))] == [1, 2, 3, 4, 5, 6]
    folder = latest_checkpoint(str(tmp_path))
    assert folder is not None
    assert read_state(folder).step == 6
    train([corpus], settings, str(tmp_path), Context())
    assert len(read_metrics(str(tmp_path))) == 6


def test_validation_sees_the_averaged_weights(corpus: str, plain: list[float], tmp_path: Path) -> None:
    found = figures(corpus, config(ema_decay=0.9), tmp_path)
    other = [place for place, pair in enumerate(zip(found, plain, strict=True)) if pair[0] != pair[1]]
    assert other == [4, 9]  # the validation losses, after four losses each


@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_other_optimisers_resume_too(corpus: str, tmp_path: Path, name: str) -> None:
    settings = config(optimizer={"name": name, "l1": 0.01})
    first = figures(corpus, settings, tmp_path)
    Path(list_checkpoints(str(tmp_path))[1], "state.json").unlink()
    assert figures(corpus, settings, tmp_path) == pytest.approx(first, abs=1e-7)
