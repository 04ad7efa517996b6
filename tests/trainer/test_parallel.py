from pathlib import Path

import pytest
from torch import nn

from manifests.errors import RecipeError
from tests.trainer.synthetic import counting_corpus, small_config
from tests.trainer.workers import train_together
from trainer.config import ParallelConfig, TrainConfig
from trainer.context import Context
from trainer.loop import train
from trainer.model import Decoder
from trainer.objectives.causal import Causal
from trainer.parallel import Grid, check_parallel, make_grid
from trainer.run_files import read_metrics

MODEL = {"layers": 4, "width": 16, "heads": 4, "kv_heads": 2, "hidden": 32, "dropout": 0.1}


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


MIXES: list[tuple[int, bool, dict[str, object]]] = [
    (3, True, {"shard": True}),
    (2, True, {"tensor": 2}),
    (2, False, {"tensor": 2}),
    (2, True, {"pipeline": 2}),
    (2, False, {"pipeline": 2, "schedule": "gpipe"}),
    (4, True, {"tensor": 2, "pipeline": 2}),
    (4, True, {"tensor": 2, "shard": True}),
    (4, True, {"pipeline": 2, "shard": True}),
    (8, True, {"tensor": 2, "pipeline": 2, "shard": True}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("num_workers", "tied", "parallel"), MIXES)
def test_every_mix_of_workers_has_the_figures_of_one(
    corpus: str,
    alone: dict[bool, list[float]],
    tmp_path: Path,
    num_workers: int,
    tied: bool,
    parallel: dict[str, object],
) -> None:
    train_together(num_workers, corpus, config(tied, **parallel), tmp_path)
    assert figures(tmp_path) == pytest.approx(alone[tied], abs=1e-6)


GRID = Grid(num_stages=2, num_data=1)


@pytest.mark.parametrize(
    ("parallel", "changes", "message"),
    [
        ({"tensor": 3}, {}, "tensor 3 does not divide the model's heads, 4"),
        ({"tensor": 4}, {}, "tensor 4 does not divide the model's kv_heads, 2"),
        ({"pipeline": 5}, {}, "pipeline 5 is more than the model's 4 layers"),
        ({"pipeline": 4}, {"global_batch": 3}, "pipeline 4 needs as many forward passes in a step; global_batch 3"),
    ],
)
def test_a_mix_that_cannot_be_is_refused(parallel: dict[str, int], changes: dict[str, object], message: str) -> None:
    settings = config(**parallel).model_copy(update=changes)
    model = Decoder(settings.model, 64, seed=0)
    with pytest.raises(RecipeError, match=message):
        check_parallel(settings, model, Causal(), GRID)


def test_a_pipeline_is_for_next_tokens_alone() -> None:
    class Other(Causal):
        """Looks at more than the logits."""

    settings = config(pipeline=2)
    with pytest.raises(RecipeError, match="pipeline 2 cannot be used with objective 'causal'"):
        check_parallel(settings, Decoder(settings.model, 64, seed=0), Other(), GRID)


def test_other_models_are_trained_with_data_parallelism_alone() -> None:
    with pytest.raises(RecipeError, match="Linear is trained with data parallelism only"):
        check_parallel(config(tensor=2), nn.Linear(2, 2), Causal(), GRID)
    check_parallel(config(shard=True), nn.Linear(2, 2), Causal(), Grid())


def test_tensor_and_pipeline_must_divide_the_number_of_workers() -> None:
    with pytest.raises(RecipeError, match=r"tensor 2 \* pipeline 2 = 4 does not divide the number of workers, 6"):
        make_grid(ParallelConfig(tensor=2, pipeline=2), Context(0, 6))
