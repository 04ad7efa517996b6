from pathlib import Path

import pytest

from manifests.errors import InputError, RecipeError
from tests.trainer.synthetic import counting_corpus, small_config
from trainer.context import Context
from trainer.generate import generate
from trainer.loop import train


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("generate")
    counting_corpus(folder / "corpus")
    config = small_config(optimizer={"lr": 0.02}, steps=40)
    return str(train([str(folder / "corpus")], config, str(folder / "run"), Context())["checkpoint"])


def test_equal_arguments_give_equal_ids_and_other_seeds_other_ids(checkpoint: str) -> None:
    first = generate(checkpoint, [5, 6, 7], 12, 1.0, seed=1)
    assert generate(checkpoint, [5, 6, 7], 12, 1.0, seed=1) == first
    assert generate(checkpoint, [5, 6, 7], 12, 1.0, seed=2) != first
    assert all(0 < token < 64 for token in first)


def test_temperature_zero_does_not_depend_on_the_seed(checkpoint: str) -> None:
    ids = generate(checkpoint, [5, 6, 7], 8, 0.0, seed=1)
    assert len(ids) == 8
    assert generate(checkpoint, [5, 6, 7], 8, 0.0, seed=2) == ids


def test_dropout_is_for_training_alone(tmp_path: Path) -> None:
    counting_corpus(tmp_path / "corpus")
    config = small_config(optimizer={"lr": 0.02}, model={**small_config().model.model_dump(), "dropout": 0.5})
    folder = str(train([str(tmp_path / "corpus")], config, str(tmp_path / "run"), Context())["checkpoint"])
    found = [generate(folder, [5, 6, 7], 12, 1.0, seed=1) for _ in range(4)]
    assert found == [found[0]] * 4


def test_a_text_may_grow_beyond_the_context(checkpoint: str) -> None:
    ids = generate(checkpoint, list(range(1, 41)), 3, 0.0, seed=0)
    assert ids == generate(checkpoint, list(range(9, 41)), 3, 0.0, seed=0)


def test_a_prompt_that_the_model_cannot_read_is_refused(checkpoint: str) -> None:
    with pytest.raises(RecipeError, match="the prompt is empty"):
        generate(checkpoint, [], 3, 1.0, seed=0)
    with pytest.raises(RecipeError, match="the prompt has token 64, the model knows 0 to 63"):
        generate(checkpoint, [64], 3, 1.0, seed=0)
    with pytest.raises(RecipeError, match=r"temperature is -1\.0"):
        generate(checkpoint, [1], 3, -1.0, seed=0)


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no checkpoint"):
        generate(str(tmp_path), [1], 3, 1.0, seed=0)
