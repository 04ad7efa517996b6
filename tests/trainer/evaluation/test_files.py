import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch

from manifests.errors import InputError, RecipeError
from tests.trainer.synthetic import counting_corpus, small_config
from tests.trainer.workers import train_together
from trainer.config import ModelConfig, ParallelConfig, TrainConfig
from trainer.context import Context
from trainer.data import Data, open_data
from trainer.evaluation.files import DuringTraining
from trainer.loop import check_settings, train
from trainer.model import Decoder
from trainer.run_files import read_metrics

CPU = torch.device("cpu")


def write(path: Path, *lines: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """A corpus of counting rows, with a tokenizer of the letters a to z."""
    counting_corpus(tmp_path / "corpus")
    letters = tokenizers.models.BPE({chr(97 + number): number for number in range(26)} | {"Ġ": 26}, [])
    library = tokenizers.Tokenizer(letters)
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = tokenizers.decoders.ByteLevel()
    library.save(str(tmp_path / "tokenizer.json"))
    opened = open_data([str(tmp_path / "corpus")], small_config())
    return dataclasses.replace(opened, tokenizer=str(tmp_path / "tokenizer.json"))


def config(*files: dict[str, Any], **changes: Any) -> TrainConfig:
    return small_config(evaluation=list(files), **changes)


def test_each_file_of_a_config_is_a_result_of_a_metrics_line(tmp_path: Path, data: Data) -> None:
    files = [
        {"kind": "texts", "path": write(tmp_path / "t.jsonl", {"text": "a house"}, {"text": "a cat", "slice": "cats"})},
        {"kind": "choices", "path": write(tmp_path / "c.jsonl", {"prompt": "a", "choices": ["b", "c"], "answer": 0})},
        {"kind": "generate", "path": write(tmp_path / "g.jsonl", {"prompt": "a", "answer": "b"}), "max_tokens": 3},
        {"kind": "bias", "path": write(tmp_path / "b.jsonl", {"group": "age", "more": "ab", "less": "ac"})},
    ]
    model = Decoder(ModelConfig(layers=1, width=16, heads=2, kv_heads=1, hidden=16), data.vocab_size, seed=0)
    asked = DuringTraining(config(*files), data)
    found = asked.metrics(model, CPU)["evaluation"]
    names = [name.rsplit("/", 1)[-1] for name in found]
    texts, choices, generated, bias = found.values()
    assert names == ["t.jsonl", "c.jsonl", "g.jsonl", "b.jsonl"]
    assert {name: row["num_targets"] for name, row in texts["by_slice"].items()} == {"t.jsonl": 7, "cats": 5}
    assert choices["acc"] in (0.0, 1.0)
    assert generated["num_items"] == 1
    assert "predictions" not in generated
    assert [row["value"] for row in bias["rows"]] == ["age"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert asked.metrics(model, CPU)["evaluation"] == found


def test_without_files_nothing_is_added_and_no_tokenizer_is_read(data: Data) -> None:
    no_tokenizer = dataclasses.replace(data, tokenizer="nowhere")
    assert DuringTraining(config(), no_tokenizer).metrics(Decoder(ModelConfig(), 64, seed=0), CPU) == {}


def test_what_cannot_be_asked_is_refused_before_training(tmp_path: Path, data: Data) -> None:
    files = {"kind": "texts", "path": write(tmp_path / "t.jsonl", {"text": "a"})}
    with pytest.raises(RecipeError, match=r"evaluation: files are asked .* objective is 'masked'"):
        DuringTraining(config(files, objective="masked"), data)
    with pytest.raises(RecipeError, match=r"parallel\.pipeline 2"):
        DuringTraining(config(files, parallel={"pipeline": 2}), data)
    with pytest.raises(InputError, match=r"none\.jsonl: there is no such file"):
        DuringTraining(config({"kind": "bias", "path": "none.jsonl"}), data)


def test_a_tokenizer_that_training_cannot_read_is_refused_before_training(tmp_path: Path, data: Data) -> None:
    files = {"kind": "texts", "path": write(tmp_path / "t.jsonl", {"text": "a"})}
    ranks = dataclasses.replace(data, tokenizer="corpus/tokenizer.tiktoken")
    with pytest.raises(
        RecipeError, match=r"tokenizer\.tiktoken.*Remove \[\[evaluation\]\] and use `gristmill evaluate`"
    ):
        DuringTraining(config(files), ranks)


def test_files_are_looked_at_with_the_other_settings(tmp_path: Path, data: Data) -> None:
    asked = config({"kind": "texts", "path": f"{tmp_path}/none.jsonl"})
    with pytest.raises(InputError, match=r"none\.jsonl: there is no such"):
        check_settings([data.paths[0]], asked, str(tmp_path / "run"))


def test_files_are_asked_whenever_a_run_is_evaluated(tmp_path: Path, data: Data) -> None:
    folder = data.paths[0]
    (Path(folder) / "tokenizer.json").write_text(Path(data.tokenizer).read_text())
    path = write(tmp_path / "c.jsonl", {"prompt": "a", "choices": ["b", "c"], "answer": 0})
    asked = config({"kind": "choices", "path": path}, steps=4, eval_every=2)
    train([folder], asked, str(tmp_path / "run"), Context())
    found = [metrics.get("evaluation") for metrics in read_metrics(str(tmp_path / "run"))]
    assert [each and set(each) for each in found] == [None, {f"choices {path}"}, None, {f"choices {path}"}]
    assert found[1] != found[3]  # it has learnt, or at least changed


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [{"shard": True}, {"tensor": 2}])
def test_a_model_that_is_shared_out_answers_as_a_whole_one(
    tmp_path: Path, data: Data, parallel: dict[str, Any]
) -> None:
    folder = data.paths[0]
    (Path(folder) / "tokenizer.json").write_text(Path(data.tokenizer).read_text())
    files = [
        {"kind": "texts", "path": write(tmp_path / "t.jsonl", {"text": "a house"}, {"text": "a cat"})},
        {"kind": "generate", "path": write(tmp_path / "g.jsonl", {"prompt": "a", "answer": "b"}), "max_tokens": 3},
    ]
    model = {"layers": 1, "width": 16, "heads": 2, "kv_heads": 2, "hidden": 16}
    asked = config(*files, steps=4, eval_every=2, model=model)
    train([folder], asked, str(tmp_path / "alone"), Context())
    shared = asked.model_copy(update={"parallel": ParallelConfig.model_validate(parallel)})
    train_together(2, folder, shared, tmp_path / "shared")
    alone, together = (
        [line["evaluation"] for line in read_metrics(str(tmp_path / name)) if "evaluation" in line]
        for name in ("alone", "shared")
    )
    texts, generated = (f"{file['kind']} {file['path']}" for file in files)
    assert len(alone) == len(together) == 2
    for one, other in zip(alone, together, strict=True):
        losses = [found[texts]["by_slice"]["t.jsonl"]["loss"] for found in (one, other)]
        assert losses[1] == pytest.approx(losses[0], abs=1e-5)
        assert other[generated] == one[generated]
