import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.optim import Optimizer

from manifests.errors import InputError, IntegrityError, ManifestMismatch, RecipeError, StorageError
from tests.trainer.synthetic import small_config
from trainer.checkpoint import (
    STATE,
    Saver,
    State,
    check_same_run,
    latest_checkpoint,
    list_checkpoints,
    model_tensors,
    read_model,
    read_state,
    restore,
)
from trainer.context import Context
from trainer.ema import Ema
from trainer.model import Decoder
from trainer.optim import make_optimizers

MODEL, OPTIMIZER = "model.safetensors", "optimizer.safetensors"


def state_at(step: int, keep: int = 2) -> State:
    return State(
        step=step,
        samples_consumed=4 * step,
        manifest_digest="d1",
        config=small_config(keep_checkpoints=keep),
        precision="fp32",
        vocab_size=20,
        length=32,
        end_of_text_id=0,
    )


def trained(seed: int = 4) -> tuple[Decoder, list[Optimizer]]:
    model = Decoder(small_config().model, 20, seed=seed)
    optimizers = make_optimizers(model, small_config().optimizer)
    model(torch.ones(1, 4, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64)).square().sum().backward()
    optimizers[0].step()
    return model, optimizers


def save(out: Path, *states: State, ema: Ema | None = None) -> str:
    """Write checkpoints of the trained model; returns the folder of the last."""
    with Saver(str(out), Context()) as saver:
        for state in states:
            saver.save(state, model_tensors(*trained(), ema))
    folder = latest_checkpoint(str(out))
    assert folder is not None
    return folder


def same(one: nn.Module, other: nn.Module) -> list[bool]:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return [torch.equal(*pair) for pair in pairs]


def test_weights_and_moments_come_back_as_they_were(tmp_path: Path) -> None:
    model, optimizers = trained()
    folder = save(tmp_path, state_at(3))
    again, state = read_model(folder)
    assert (state.step, state.samples_consumed, state.config) == (3, 12, small_config())
    assert same(model, again) == [True] * 11
    other = Decoder(small_config().model, 20, seed=5)
    made = make_optimizers(other, small_config().optimizer)
    restore(folder, state, other, made, None)
    assert same(model, other) == [True] * 11
    before, after = (optimizer.state_dict()["state"] for optimizer in (optimizers[0], made[0]))
    assert len(before) == 11
    moments = [(entry[name], after[number][name]) for number, entry in before.items() for name in entry]
    assert len(moments) == 33  # a step and two moments each
    assert all(torch.equal(*pair) for pair in moments)


def test_a_checkpoint_is_safetensors_and_json(tmp_path: Path) -> None:
    folder = Path(save(tmp_path, state_at(3)))
    assert sorted(path.name for path in folder.iterdir()) == [MODEL, OPTIMIZER, STATE]
    weights = safetensors.torch.load_file(folder / MODEL)
    assert weights.keys() == trained()[0].state_dict().keys()


def test_the_model_of_a_run_with_an_average_is_the_average(tmp_path: Path) -> None:
    model, optimizers = trained()
    ema = Ema(model, 0.5)
    ema.update(model)
    folder = save(tmp_path, state_at(1).model_copy(update={"num_averaged": 1}), ema=ema)
    assert same(model, read_model(folder)[0]) == [True] * 11  # the average of one
    for average in ema.shadow.values():
        average.fill_(2.0)
    folder = save(tmp_path, state_at(2).model_copy(update={"num_averaged": 1}), ema=ema)
    assert {value for weight in read_model(folder)[0].state_dict().values() for value in weight.unique().tolist()} == {
        2
    }
    again = Ema(model, 0.5)
    restore(folder, read_state(folder), model, optimizers, again)
    assert (int(again.num_updates), float(again.shadow["model.norm.weight"][0])) == (1, 2.0)


def test_what_is_trained_meanwhile_is_not_in_a_checkpoint(tmp_path: Path) -> None:
    model, optimizers = trained()
    with Saver(str(tmp_path), Context()) as saver:
        saver.save(state_at(1), model_tensors(model, optimizers, None))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
    assert same(trained()[0], read_model(list_checkpoints(str(tmp_path))[0])[0]) == [True] * 11


def test_only_the_last_checkpoints_are_kept_and_remains_of_crashes_are_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "step-00000003").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-00000003" / "model-00001-of-00002.safetensors").write_bytes(b"half")
    save(tmp_path, *(state_at(step) for step in (1, 2, 10)))
    assert [Path(folder).name for folder in list_checkpoints(str(tmp_path))] == ["step-00000002", "step-00000010"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000002", "step-00000010"]


def test_what_training_did_not_write_is_left_alone(tmp_path: Path) -> None:
    first = Path(save(tmp_path, state_at(1)))
    names = ["best", "step-00000001.bak", "notes.txt"]
    for name in names[:2]:
        shutil.copytree(first, first.parent / name)
    (first.parent / "notes.txt").write_text("mine")
    save(tmp_path, state_at(2), state_at(3))
    found = [f"{tmp_path}/checkpoints/step-0000000{step}" for step in (2, 3)]
    assert list_checkpoints(str(tmp_path)) == found  # a copy is no step of the run, and does not count as one kept
    assert sorted(path.name for path in first.parent.iterdir()) == sorted([*names, "step-00000002", "step-00000003"])


def test_a_folder_without_its_state_is_no_checkpoint(tmp_path: Path) -> None:
    second = save(tmp_path, state_at(1), state_at(2))
    (Path(second) / STATE).unlink()
    assert latest_checkpoint(str(tmp_path)) == second.replace("step-00000002", "step-00000001")
    with pytest.raises(InputError, match="there is no checkpoint"):
        read_state(second)


def test_a_run_without_checkpoints_has_no_last_one(tmp_path: Path) -> None:
    assert latest_checkpoint(str(tmp_path)) is None


@pytest.mark.parametrize("name", [MODEL, OPTIMIZER])
def test_a_changed_or_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = save(tmp_path, state_at(1))
    state = read_state(folder)
    data = bytearray((Path(folder) / name).read_bytes())
    data[-1] ^= 1
    (Path(folder) / name).write_bytes(data)
    with pytest.raises(IntegrityError, match=name):
        restore(folder, state, *trained(), None)
    (Path(folder) / name).unlink()
    with pytest.raises(IntegrityError, match=f"{name}: its SHA-256 is none"):
        restore(folder, state, *trained(), None)


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, state_at(1))
    larger = small_config(model={"layers": 2, "width": 16, "heads": 2, "kv_heads": 1, "hidden": 32})
    state = read_state(folder).model_copy(update={"config": larger})
    model = Decoder(larger.model, 20, seed=0)
    with pytest.raises(IntegrityError, match=r"has no tensor 'model/model\.layers\.1\.input"):
        restore(folder, state, model, make_optimizers(model, larger.optimizer), None)


def test_a_write_that_failed_is_told_by_the_next_call(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_bytes(b"a file where the folder should be")
    saver = Saver(str(tmp_path), Context())
    saver.save(state_at(1), model_tensors(*trained(), None))
    with pytest.raises(StorageError, match="cannot be written"):
        saver.wait()
    with pytest.raises(StorageError, match="cannot be written"), saver:
        saver.save(state_at(2), model_tensors(*trained(), None))


class Stopped(Exception):
    """What ends a loop."""


def test_the_error_that_ended_a_run_is_told_before_that_of_its_last_write(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_bytes(b"a file where the folder should be")
    with pytest.raises(Stopped) as found, Saver(str(tmp_path), Context()) as saver:
        saver.save(state_at(1), {"weight": torch.zeros(2)})  # a name without its kind of file: a bug, not ours to tell
        raise Stopped
    assert len(found.value.__notes__) == 1
    assert found.value.__notes__[0].startswith("the last checkpoint was not written: ")


def test_a_broken_state_file_is_an_integrity_error(tmp_path: Path) -> None:
    folder = save(tmp_path, state_at(1))
    (Path(folder) / STATE).write_text("{}")
    with pytest.raises(IntegrityError, match="is not a whole checkpoint"):
        read_state(folder)


def test_a_checkpoint_of_another_version_is_refused_by_its_format(tmp_path: Path) -> None:
    folder = save(tmp_path, state_at(1))
    (Path(folder) / STATE).write_text('{"format": "gristmill-checkpoint/1", "step": 1}')
    with pytest.raises(ManifestMismatch, match=r"has format 'gristmill-checkpoint/1', this version reads '.*/3'"):
        read_state(folder)


def test_another_corpus_or_config_is_refused_with_both_shown() -> None:
    with pytest.raises(ManifestMismatch, match=r"digest d1, this manifest has d2"):
        check_same_run("step-1", state_at(1), "d2", small_config())
    with pytest.raises(RecipeError, match=r"trained with \{'seed': 0\}, the config says \{'seed': 5\}"):
        check_same_run("step-1", state_at(1), "d1", small_config(seed=5))
    check_same_run("step-1", state_at(1), "d1", small_config(keep_checkpoints=9))


def test_a_write_that_was_cut_off_leaves_nothing_in_the_one_that_takes_its_place(tmp_path: Path) -> None:
    stray = tmp_path / "checkpoints" / "step-00000001" / "model-00002-of-00002.safetensors"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"of another number of workers")
    folder = Path(save(tmp_path, state_at(1)))
    assert sorted(path.name for path in folder.iterdir()) == [MODEL, OPTIMIZER, STATE]
