import shutil
from pathlib import Path

import pytest
import torch
import transformers

from manifests.errors import InputError, ModelError, RecipeError
from manifests.manifest import read_manifest
from tests.trainer.synthetic import counting_corpus, small_config
from tests.trainer.tokenizer_file import write_tokenizer_json
from trainer.checkpoint import list_checkpoints, read_model
from trainer.context import Context
from trainer.export import export
from trainer.llama_layout import import_model
from trainer.loop import train
from trainer.quantize import export_int8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, a run on it, and the exported run in `hf`."""
    folder = tmp_path_factory.mktemp("export")
    counting_corpus(folder / "corpus")
    write_tokenizer_json(folder / "corpus" / "tokenizer.json")
    train([str(folder / "corpus")], small_config(), str(folder / "run"), Context())
    export(str(folder / "run"), str(folder / "hf"))
    return folder


@torch.no_grad()
def test_the_last_checkpoint_of_a_run_is_what_transformers_loads(folder: Path) -> None:
    last = list_checkpoints(str(folder / "run"))[-1]
    model, state = read_model(last)
    other = transformers.AutoModelForCausalLM.from_pretrained(folder / "hf", local_files_only=True)
    tokens = torch.arange(1, 33)[None]
    logits = model(tokens, torch.zeros_like(tokens))
    torch.testing.assert_close(other(tokens).logits, logits, rtol=0, atol=1e-5)
    assert other.config.max_position_embeddings == state.length == 32
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "hf", local_files_only=True)
    assert tokenizer.eos_token_id == other.config.eos_token_id == state.end_of_text_id == 0


def test_a_checkpoint_is_exported_by_its_own_folder(folder: Path) -> None:
    first, last = list_checkpoints(str(folder / "run"))
    result = export(first, str(folder / "first"))
    assert (result.step, result.checkpoint) == (15, first)
    assert result.weight_bytes == 4 * result.num_parameters
    model, _ = import_model(str(folder / "first"))
    assert torch.equal(model.state_dict()["model.norm.weight"], read_model(first)[0].state_dict()["model.norm.weight"])
    assert not torch.equal(
        model.state_dict()["model.norm.weight"], read_model(last)[0].state_dict()["model.norm.weight"]
    )


def test_an_exported_model_is_one_to_start_from(folder: Path) -> None:
    first = train(
        [str(folder / "corpus")], small_config(steps=1, schedule={"warmup_steps": 0}), str(folder / "new"), Context()
    )
    config = small_config(steps=1, schedule={"warmup_steps": 0}, init=str(folder / "hf"))
    went_on = train([str(folder / "corpus")], config, str(folder / "on"), Context())
    assert went_on["loss"] < first["loss"] - 0.1


def test_the_card_names_digest_sources_and_config(folder: Path) -> None:
    card = (folder / "hf" / "README.md").read_text()
    assert f"`{read_manifest(str(folder / 'corpus')).digest}`" in card
    assert "| even | CC0 | 24 |\n| odd | CC0 | 24 |" in card
    assert "## Data: corpus\n" in card
    assert "global_batch = 4\n" in card
    assert "[optimizer]\n" in card


def test_what_is_no_run_or_already_exported_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is in the Hugging Face layout already"):
        export(str(folder / "hf"), str(tmp_path / "out"))
    with pytest.raises(InputError, match="is no checkpoint"):
        export(str(folder / "corpus"), str(tmp_path / "out"))


def test_a_tokenizer_that_is_nowhere_is_an_error_that_says_where_it_belongs(folder: Path, tmp_path: Path) -> None:
    last = Path(list_checkpoints(str(folder / "run"))[-1])
    lonely = tmp_path / "taken" / "out"
    lonely.mkdir(parents=True)
    for file in last.rglob("*"):
        if file.is_file():
            (lonely / file.relative_to(last)).parent.mkdir(parents=True, exist_ok=True)
            (lonely / file.relative_to(last)).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="tokenizer.json: there is no such file, and no run.json"):
        export(str(lonely), str(tmp_path / "hf"))


def test_a_model_of_other_tokens_does_not_go_on_with_a_corpus(folder: Path, tmp_path: Path) -> None:
    export(str(folder / "run"), str(tmp_path / "hf"))
    path = tmp_path / "hf" / "tokenizer.json"
    path.write_text(path.read_text().replace('"z":26', '"ż":26').replace('"z": 26', '"ż": 26'))
    config = small_config(steps=1, schedule={"warmup_steps": 0}, init=str(tmp_path / "hf"))
    with pytest.raises(ModelError, match="does not give the tokens of the corpus"):
        train([str(folder / "corpus")], config, str(tmp_path / "run"), Context())


def test_a_model_of_the_transformers_library_goes_back_to_it(folder: Path, tmp_path: Path) -> None:
    config = transformers.Qwen3Config(
        vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=32, eos_token_id=0,
    )  # fmt: skip
    transformers.Qwen3ForCausalLM(config).save_pretrained(tmp_path / "qwen")
    write_tokenizer_json(tmp_path / "qwen" / "tokenizer.json")
    settings = {"init": str(tmp_path / "qwen"), "lora": {"rank": 2}, "optimizer": {"lr": 0.02}}
    train([str(folder / "corpus")], small_config(**settings), str(tmp_path / "run"), Context())
    export(str(tmp_path / "run"), str(tmp_path / "hf"))
    ours, _ = read_model(list_checkpoints(str(tmp_path / "run"))[-1])
    tokens = torch.arange(1, 33)[None]
    with torch.no_grad():
        logits = [
            transformers.AutoModelForCausalLM.from_pretrained(tmp_path / name, local_files_only=True)(tokens).logits
            for name in ("hf", "qwen")
        ]
        own = ours(tokens, torch.zeros_like(tokens))
    torch.testing.assert_close(logits[0], own, rtol=0, atol=1e-5)
    assert float((logits[0] - logits[1]).abs().max()) > 0.1


def test_an_average_that_was_not_kept_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="holds no averaged weights. Train with ema_decay"):
        export(str(folder / "run"), str(tmp_path / "out"), use_ema=True)


def test_the_last_weights_are_exported_and_with_ema_the_averaged_ones(folder: Path, tmp_path: Path) -> None:
    train([str(folder / "corpus")], small_config(ema_decay=0.9), str(tmp_path / "run"), Context())
    checkpoint = list_checkpoints(str(tmp_path / "run"))[-1]
    for use_ema, name in ((False, "last"), (True, "averaged")):
        weights = read_model(checkpoint, averaged=use_ema)[0].state_dict()
        export(checkpoint, str(tmp_path / name), use_ema)
        written = import_model(str(tmp_path / name))[0].state_dict()
        assert written.keys() == weights.keys()
        assert all(torch.equal(written[key], weights[key]) for key in weights)
        export_int8(checkpoint, str(tmp_path / f"int8-{name}"), use_ema)
        rough = import_model(str(tmp_path / f"int8-{name}"))[0].state_dict()
        assert torch.equal(rough["model.norm.weight"], weights["model.norm.weight"])  # a vector stays fp32
        is_told = "the averaged weights" in (tmp_path / name / "README.md").read_text()
        assert is_told == use_ema
    last, averaged = (import_model(str(tmp_path / name))[0].state_dict() for name in ("last", "averaged"))
    assert not torch.equal(last["model.norm.weight"], averaged["model.norm.weight"])


def test_nothing_is_written_where_the_tokenizer_cannot_be(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run" / "tokenizer.json").write_text("{}")
    for write, name in ((export, "hf"), (export_int8, "int8")):
        with pytest.raises(ModelError, match="is not a tokenizer.json that can be used"):
            write(str(tmp_path / "run"), str(tmp_path / name))
        assert not (tmp_path / name).exists()
