"""Models that a run names: they are what they were at its first start, or the run does not go on."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import ManifestMismatch
from tests.trainer.synthetic import counting_corpus, small_config
from tests.trainer.tiny import run, tuning, write_hugging_face
from trainer.checkpoint import latest_checkpoint, list_checkpoints, read_state
from trainer.context import Context
from trainer.loop import train
from trainer.run_files import read_metrics


def learn(folder: Path, name: str, **changes: Any) -> list[float]:
    """Train or go on; returns the losses."""
    train([str(folder / "corpus")], small_config(**changes), str(folder / name), Context())
    return [metrics["loss"] for metrics in read_metrics(str(folder / name))]


def undo_last(out: Path) -> None:
    """As if the run had been killed after the checkpoint before the last."""
    shutil.rmtree(list_checkpoints(str(out))[-1])


def test_a_teacher_that_learns_on_is_the_one_of_the_first_start_after_a_resume(tmp_path: Path) -> None:
    counting_corpus(tmp_path / "corpus")
    learn(tmp_path, "teacher", keep_checkpoints=9)
    first = latest_checkpoint(str(tmp_path / "teacher"))
    assert first is not None
    taught = {"distill": {"teacher": str(tmp_path / "teacher")}}
    losses = learn(tmp_path, "run", **taught)
    # Its last checkpoint is another one now.
    shutil.copytree(list_checkpoints(str(tmp_path / "teacher"))[0], tmp_path / "teacher/checkpoints/step-00009999")
    undo_last(tmp_path / "run")
    assert learn(tmp_path, "run", **taught) == pytest.approx(losses, abs=1e-6)
    last = latest_checkpoint(str(tmp_path / "run"))
    assert last is not None
    assert read_state(last).named_models["distill.teacher"].folder == first
    undo_last(tmp_path / "run")
    shutil.rmtree(first)
    with pytest.raises(
        ManifestMismatch, match=r"distill\.teacher .* had the digest [0-9a-f]{64}, now has [0-9a-f]{64}"
    ):
        learn(tmp_path, "run", **taught)


def test_a_changed_reference_of_preferences_is_refused_and_an_unneeded_start_is_not_read(tmp_path: Path) -> None:
    init = write_hugging_face(tmp_path / "llama", "llama")
    config = tuning("preference", init=init, steps=4, checkpoint_every=2, schedule={"warmup_steps": 1})
    tuned = tuning("instruction", init=init, steps=4, checkpoint_every=2, schedule={"warmup_steps": 1})
    run(tmp_path, "preference", config)
    losses = [line["loss"] for line in run(tmp_path, "instruction", tuned)]
    weights = tmp_path / "llama" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    for name in ("preference", "instruction"):
        undo_last(tmp_path / name)
    with pytest.raises(ManifestMismatch, match="init .*llama: .* had the digest"):
        run(tmp_path, "preference", config)
    assert [line["loss"] for line in run(tmp_path, "instruction", tuned)] == pytest.approx(losses, abs=1e-6)
