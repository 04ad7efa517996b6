"""What a tuning run keeps, reports, resumes and refuses."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from manifests.errors import InputError, ManifestMismatch, ModelError, RecipeError
from tests.trainer.crashes import Crash, crash_at
from tests.trainer.tiny import (
    COLOURS,
    EXAMPLES,
    folder,
    run,
    tuning,
    write_hugging_face,
    write_jsonl,
    write_tokenizer,
)
from trainer.checkpoint import list_checkpoints, read_model
from trainer.context import Context
from trainer.data import open_data
from trainer.loop import train
from trainer.objectives import make_objective
from trainer.run_files import read_metrics


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    return str(write_tokenizer(tmp_path / "tokenizer"))


@pytest.mark.parametrize("lora", [None, {"rank": 2, "dropout": 0.1}])
@pytest.mark.parametrize(
    ("family", "objective"), [("gpt2", "instruction"), ("llama", "preference"), ("t5", "translation")]
)
def test_a_run_that_stopped_goes_on_as_if_it_had_not(
    lora: dict[str, Any] | None, family: str, objective: str, tmp_path: Path
) -> None:
    init = write_hugging_face(tmp_path / family, family)  # GPT-2 has dropout of its own
    config = tuning(objective, init=init, lora=lora, steps=12, checkpoint_every=4, report_every=1)
    straight = run(tmp_path, "straight", config)
    path = write_jsonl(tmp_path / "straight.jsonl", EXAMPLES[objective])
    with pytest.raises(Crash):
        train([path], config, str(tmp_path / "stopped"), crash_at(7))
    train([path], config, str(tmp_path / "stopped"), Context())
    stopped = read_metrics(str(tmp_path / "stopped"))
    assert [line["loss"] for line in stopped] == pytest.approx([line["loss"] for line in straight], abs=1e-6)


def test_low_rank_tuning_lowers_the_loss_and_leaves_the_weights_as_they_were(tmp_path: Path, tokenizer: str) -> None:
    run(tmp_path, "base", tuning("instruction", steps=100, examples={"tokenizer": tokenizer, "length": 64}))
    init = str(tmp_path / "base")
    others = [{"prompt": f"what is {one}", "response": one} for one in COLOURS]
    config = tuning("instruction", init=init, lora={"rank": 4}, steps=60, examples={"length": 64})
    metrics = run(tmp_path, "run", config, others)
    assert metrics[-1]["loss"] < 0.3 * metrics[0]["loss"]
    before, merged = (read_model(folder(tmp_path / name))[0].state_dict() for name in ("base", "run"))
    changed = {name for name in before if not torch.equal(before[name], merged[name])}
    assert changed == {name for name in before if "_proj" in name}
    frozen = safetensors.torch.load_file(f"{folder(tmp_path / 'run')}/model.safetensors")
    for name in changed:
        assert torch.equal(frozen[name.replace(".weight", ".base_layer.weight")], before[name])


def test_validation_rows_report_accuracy(tmp_path: Path, tokenizer: str) -> None:
    records = EXAMPLES["classification"] + [
        {"text": f"the {what} film {how}", "label": what} for how in COLOURS for what in ("good", "bad")
    ]
    examples = {"tokenizer": tokenizer, "validation_ratio": 0.3}
    config = tuning("classification", steps=40, eval_every=20, examples=examples)
    last = run(tmp_path, "run", config, records)[-1]
    data = open_data([str(tmp_path / "run.jsonl")], config)
    assert data.validation is not None
    objective = make_objective(config, data)
    tensors = objective.tensors(data.validation.read(np.arange(data.validation.num_rows)), torch.device("cpu"))
    losses = objective.losses(read_model(folder(tmp_path / "run"))[0].eval(), tensors)
    assert last["validation_accuracy"] == pytest.approx(float(losses.measures["accuracy"].mean()))
    assert last["validation_loss"] == pytest.approx(float(losses.values.detach().mean()), abs=1e-5)


def test_other_examples_are_refused_on_resume(tmp_path: Path, tokenizer: str) -> None:
    config = tuning("instruction", steps=5, examples={"tokenizer": tokenizer})
    run(tmp_path, "run", config)
    with pytest.raises(ManifestMismatch, match=r"was trained on the "):
        run(tmp_path, "run", config, EXAMPLES["instruction"][:-1])


def test_models_that_do_not_fit_the_objective_are_refused(tmp_path: Path, tokenizer: str) -> None:
    run(tmp_path, "labels", tuning("classification", steps=5, examples={"tokenizer": tokenizer}))
    gpt2, t5 = (write_hugging_face(tmp_path / family, family) for family in ("gpt2", "t5"))

    def refused(error: type[Exception], message: str, objective: str, init: str, **changes: Any) -> None:
        with pytest.raises(error, match=message):
            run(tmp_path, "refused", tuning(objective, init=init, **changes))

    labels = str(tmp_path / "labels")
    refused(RecipeError, r"is a model for the labels bad, good, which objective 'instruction'", "instruction", labels)
    refused(RecipeError, r"objective 'preference' tunes decoders; .*t5 is an encoder-decoder", "preference", t5)
    refused(
        RecipeError, r"examples.length is 128, .*gpt2 sees 64 tokens", "instruction", gpt2, examples={"length": 128}
    )
    refused(InputError, r"is no checkpoint, no run with a checkpoint, and no folder", "instruction", str(tmp_path))
    (tmp_path / "gpt2" / "tokenizer.json").unlink()
    refused(
        ModelError, r"gpt2/tokenizer.json: there is no such file. A folder with a sentencepiece", "instruction", gpt2
    )


def test_the_command_tunes_from_files_of_examples(tmp_path: Path) -> None:
    init = write_hugging_face(tmp_path / "llama", "llama")
    config = tmp_path / "tune.toml"
    config.write_text(
        f'objective = "instruction"\ninit = "{init}"\nsteps = 20\nprecision = "fp32"\n[schedule]\nwarmup_steps = 2\n'
        "[optimizer]\nlr = 1e-2\n[examples]\nlength = 32\nvalidation_ratio = 0.0\n"
    )
    paths = [write_jsonl(tmp_path / f"{name}.jsonl", EXAMPLES["instruction"][:4]) for name in ("a", "b")]
    command = [sys.executable, "-m", "trainer", *paths, "--config", str(config), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("step 20  loss ")
    assert set(read_metrics(str(tmp_path / "run"))[0]["loss_by_source"]) == {"a.jsonl", "b.jsonl"}
    assert len(list_checkpoints(str(tmp_path / "run"))) == 1
