import json
import shutil
from pathlib import Path

import pytest
import torch

from manifests.errors import ManifestMismatch, RecipeError
from tests.trainer.synthetic import counting_corpus, small_config
from tests.trainer.tokenizer_file import write_tokenizer_json
from trainer.config import ModelConfig
from trainer.context import Context
from trainer.int8 import WEIGHTS
from trainer.llama_layout import import_model
from trainer.loop import train
from trainer.model import Decoder
from trainer.optim import hidden_linears
from trainer.prune import prune_matrices, prune_run
from trainer.quantize import export_int8
from trainer.run_files import read_run, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("prune")
    counting_corpus(folder / "corpus", num_rows=120, num_validation=20)
    model = ModelConfig(layers=2, width=32, heads=2, kv_heads=1, hidden=64)
    config = small_config(model=model, steps=120, optimizer={"lr": 0.01}, eval_every=200, checkpoint_every=200)
    train([str(folder / "corpus")], config, str(folder / "run"), Context())
    write_tokenizer_json(folder / "run" / "tokenizer.json")
    return str(folder / "run")


def test_one_threshold_holds_for_the_matrices_of_all_layers_and_nothing_else_is_touched() -> None:
    model = Decoder(ModelConfig(layers=2, width=8, heads=1, kv_heads=1, hidden=16), 10, seed=0)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    prune_matrices(model, 0.5)
    after = model.state_dict()
    assert after.keys() == before.keys()
    hidden = torch.cat([linear.weight.flatten() for linear in hidden_linears(model)])
    assert int((hidden == 0).sum()) == len(hidden) // 2
    kept = torch.cat([before[name][after[name] != 0].abs() for name in after if name.endswith("_proj.weight")])
    gone = torch.cat([before[name][after[name] == 0].abs() for name in after if name.endswith("_proj.weight")])
    assert float(gone.max()) <= float(kept.min())
    others = [name for name in after if not name.endswith("_proj.weight")]
    assert len(others) > 0
    assert all(torch.equal(after[name], before[name]) for name in others)


def test_loss_is_not_measured_on_other_data_than_the_run_s(run: str, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    write_run(str(tmp_path / "run"), read_run(run).model_copy(update={"digest": "0" * 64}))
    with pytest.raises(ManifestMismatch, match="trained on 0000000000000000…: the data has changed since"):
        prune_run(str(tmp_path / "run"), [0.5], str(tmp_path / "out"))


def test_more_zeros_cost_more_loss_and_each_model_can_be_read_again(run: str, tmp_path: Path) -> None:
    report = prune_run(run, [0.9, 0.3, 0.6], str(tmp_path))
    assert json.loads((tmp_path / "prune.json").read_text()) == report
    rows = report["rows"]
    assert [row["sparsity"] for row in rows] == [0.0, 0.3, 0.6, 0.9]
    losses = [row["loss"] for row in rows]
    assert losses == sorted(losses)
    assert losses[1] < losses[0] + 0.05 < losses[3] - 0.5
    assert all(row["bits_per_byte"] > 0.0 for row in rows)
    model, _ = import_model(rows[2]["folder"])
    hidden = torch.cat([linear.weight.flatten() for linear in hidden_linears(model)])
    assert float((hidden == 0).double().mean()) == pytest.approx(0.6, abs=1e-4)
    assert "pruned: 60.0% of the weights" in (tmp_path / "sparsity-0.6" / "README.md").read_text()


@pytest.mark.parametrize("sparsities", [[0.5, 1.0], [0.0], [-0.1], []])
def test_a_sparsity_must_lie_between_0_and_1(sparsities: list[float], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="give shares between 0 and 1"):
        prune_run("nowhere", sparsities, str(tmp_path))


def test_int8_weights_take_a_quarter_and_cost_little_loss(run: str, tmp_path: Path) -> None:
    report = export_int8(run, str(tmp_path / "int8"))
    assert 0.25 < report.int8_bytes / report.fp32_bytes < 0.30  # a scale for each row of 32 or 64 weights
    assert 0.0 < abs(report.int8_loss - report.loss) < 0.01
    assert (tmp_path / "int8" / WEIGHTS).stat().st_size < report.int8_bytes + 4096
    written = json.loads((tmp_path / "int8" / "int8.json").read_text())
    assert (written["loss"], written["int8_loss"]) == (report.loss, report.int8_loss)
    assert sorted(path.name for path in (tmp_path / "int8").iterdir()) == [
        "README.md", "config.json", "generation_config.json", "int8.json", WEIGHTS, "tokenizer.json",
        "tokenizer_config.json",
    ]  # fmt: skip
