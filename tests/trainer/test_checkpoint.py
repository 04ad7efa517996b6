from pathlib import Path

import pytest
import torch

from manifests.errors import InputError, IntegrityError, ManifestMismatch, RecipeError
from tests.trainer.synthetic import small_config
from trainer.checkpoint import (
    MODEL,
    OPTIMIZER,
    STATE,
    State,
    check_same_run,
    latest_checkpoint,
    list_checkpoints,
    load_optimizer,
    read_model,
    read_state,
    save,
)
from trainer.model import Decoder
from trainer.optim import make_optimizers


def state_at(step: int, keep: int = 2) -> State:
    return State(
        step=step,
        samples_consumed=4 * step,
        manifest_digest="d1",
        config=small_config(keep_checkpoints=keep),
        vocab_size=20,
        length=32,
        end_of_text_id=0,
    )


def trained() -> tuple[Decoder, torch.optim.Optimizer]:
    model = Decoder(small_config().model, 20, seed=4)
    (optimizer,) = make_optimizers(model, small_config().optimizer)
    model(torch.ones(1, 4, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64)).square().sum().backward()
    optimizer.step()
    return model, optimizer


def test_weights_and_moments_come_back_as_they_were(tmp_path: Path) -> None:
    model, optimizer = trained()
    folder = save(str(tmp_path), state_at(3), model, optimizer)
    again, state = read_model(folder)
    assert (state.step, state.samples_consumed, state.config) == (3, 12, small_config())
    pairs = list(zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert len(pairs) == 11
    assert all(torch.equal(one, other) for one, other in pairs)
    (other,) = make_optimizers(again, small_config().optimizer)
    load_optimizer(folder, state, other)
    moments = [[entry["exp_avg"] for entry in opt.state_dict()["state"].values()] for opt in (optimizer, other)]
    assert len(moments[0]) == 11
    assert all(torch.equal(one, two) for one, two in zip(*moments, strict=True))


def test_only_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    model, optimizer = trained()
    for step in (1, 2, 10):
        save(str(tmp_path), state_at(step), model, optimizer)
    assert [Path(folder).name for folder in list_checkpoints(str(tmp_path))] == ["step-00000002", "step-00000010"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000002", "step-00000010"]


def test_a_folder_without_its_state_is_no_checkpoint(tmp_path: Path) -> None:
    model, optimizer = trained()
    first = save(str(tmp_path), state_at(1), model, optimizer)
    second = save(str(tmp_path), state_at(2), model, optimizer)
    (Path(second) / STATE).unlink()
    assert latest_checkpoint(str(tmp_path)) == first
    with pytest.raises(InputError, match="there is no checkpoint"):
        read_state(second)


def test_a_run_without_checkpoints_has_no_last_one(tmp_path: Path) -> None:
    assert latest_checkpoint(str(tmp_path)) is None


@pytest.mark.parametrize("name", [MODEL, OPTIMIZER])
def test_a_changed_or_missing_file_is_named(tmp_path: Path, name: str) -> None:
    model, optimizer = trained()
    folder = save(str(tmp_path), state_at(1), model, optimizer)
    (Path(folder) / name).write_bytes(b"other")
    with pytest.raises(IntegrityError, match=name):
        load_optimizer(folder, read_model(folder)[1], optimizer)
    (Path(folder) / name).unlink()
    with pytest.raises(IntegrityError, match=name):
        load_optimizer(folder, read_model(folder)[1], optimizer)


def test_a_broken_state_file_is_an_integrity_error(tmp_path: Path) -> None:
    folder = save(str(tmp_path), state_at(1), *trained())
    (Path(folder) / STATE).write_text("{}")
    with pytest.raises(IntegrityError, match="is not a whole checkpoint"):
        read_state(folder)


def test_another_corpus_or_config_is_refused_with_both_shown() -> None:
    with pytest.raises(ManifestMismatch, match=r"digest d1, this manifest has d2"):
        check_same_run("step-1", state_at(1), "d2", small_config())
    with pytest.raises(RecipeError, match=r"trained with \{'seed': 0\}, the config says \{'seed': 5\}"):
        check_same_run("step-1", state_at(1), "d1", small_config(seed=5))
    check_same_run("step-1", state_at(1), "d1", small_config(keep_checkpoints=9))
