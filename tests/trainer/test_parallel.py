from pathlib import Path

import pytest

from tests.trainer.synthetic import counting_corpus, small_config
from tests.trainer.workers import train_together
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.loop import train
from trainer.run_files import read_metrics

MODEL = {"layers": 4, "width": 16, "heads": 4, "kv_heads": 2, "hidden": 32}


def config(tied: bool = True, **parallel: object) -> TrainConfig:
    settings = {
        "steps": 6,
        "checkpoint_every": 100,
        "eval_every": 3,
        "micro_batch": 1,
        "model": {**MODEL, "tied": tied},
    }
    return small_config(**settings, parallel=parallel)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("parallel")
    counting_corpus(folder / "corpus")
    return str(folder / "corpus")


def figures(out: Path) -> list[float]:
    """Losses, gradient norms and validation losses of all steps."""
    keys = ("loss", "grad_norm", "validation_loss", "validation_bits_per_byte")
    return [line[key] for line in read_metrics(str(out)) for key in keys if key in line]


@pytest.fixture(scope="module")
def alone(corpus: str) -> dict[bool, list[float]]:
    """The figures of one worker, for a tied and for an untied output matrix."""
    for tied in (True, False):
        train([corpus], config(tied), f"{corpus}-{tied}", Context())
    return {tied: figures(Path(f"{corpus}-{tied}")) for tied in (True, False)}


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [3, 5])
def test_shares_of_the_rows_may_be_uneven_or_empty(
    corpus: str, alone: dict[bool, list[float]], tmp_path: Path, num_workers: int
) -> None:
    train_together(num_workers, corpus, config(), tmp_path)
    assert figures(tmp_path) == pytest.approx(alone[True], abs=1e-6)
