import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from manifests.errors import InputError, ModelError, RecipeError
from tests.trainer.synthetic import counting_corpus, small_config
from trainer.architecture import build, describe
from trainer.bert import MaskedBert, PairBert, make_bert, start_bert, write_special_tokens
from trainer.config import ModelConfig
from trainer.data import Data, open_data

SHAPE = ModelConfig(layers=2, width=32, heads=2, kv_heads=2, hidden=64)
CONFIG = small_config(model=SHAPE, objective="masked")
PAIRS = small_config(model=SHAPE, objective="next_sentence")
END = 2
VOCABULARY = {"a": 0, "b": 1, "<|endoftext|>": END, "c": 3}


def write_tokenizer(path: Path, special: dict[str, int]) -> str:
    """A tokenizer.json of whole words."""
    added = [
        {"id": number, "content": text, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False}
        for text, number in special.items()
    ]  # fmt: skip
    model = {"type": "WordLevel", "vocab": VOCABULARY, "unk_token": "a"}
    facts = {"version": "1.0", "added_tokens": added, "pre_tokenizer": {"type": "Whitespace"}, "model": model}
    path.write_text(json.dumps(facts))
    return str(path)


def small_data(folder: Path) -> Data:
    """Data of a corpus of rows of 16 tokens and a vocabulary of four."""
    counting_corpus(folder / "corpus", length=16, vocab_size=4)
    data = open_data([str(folder / "corpus")], CONFIG)
    return replace(
        data, tokenizer=write_tokenizer(folder / "tokenizer.json", {"<|endoftext|>": END}), end_of_text_id=END
    )


def export(model: Any, data: Data, out: str) -> None:
    """As trainer.export does it."""
    Path(out).mkdir()
    shutil.copy(data.tokenizer, out)
    write_special_tokens(model, out, data.vocab_size, END)
    model.inner.save_pretrained(out)


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(weights(one), weights(other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_weights_depend_on_config_and_seed_alone_and_leave_the_common_random_state() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = make_bert(CONFIG, 64, 32, 0, next_sentence=False)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert equal(first, make_bert(CONFIG, 64, 32, 0, next_sentence=False))
    assert not equal(first, make_bert(CONFIG.model_copy(update={"seed": 1}), 64, 32, 0, next_sentence=False))


def test_the_shape_is_that_of_the_config() -> None:
    config = CONFIG.model_copy(update={"model": SHAPE.model_copy(update={"dropout": 0.1, "tied": False})})
    found = make_bert(config, 64, 32, 7, next_sentence=False).inner.config.to_dict()
    expected = {
        "vocab_size": 67, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
        "max_position_embeddings": 36, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
        "tie_word_embeddings": False, "eos_token_id": 7, "pad_token_id": None,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert found["layer_norm_eps"] == SHAPE.norm_epsilon
    wide = CONFIG.model_copy(update={"model": SHAPE.model_copy(update={"vocab_size": 128})})
    assert make_bert(wide, 64, 32, 7, next_sentence=False).inner.config.vocab_size == 128


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kv_heads": 1}, r"kv_heads is 1, .*set model\.kv_heads = 2"),
        ({"rope_theta": 5e5}, "a BERT learns its positions"),
        ({"context": 16}, "context is 16, the rows have 32"),
        ({"vocab_size": 66}, r"vocab_size is 66, .*set 67 or more"),
    ],
)
def test_what_a_bert_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    config = CONFIG.model_copy(update={"model": SHAPE.model_copy(update=changes)})
    with pytest.raises(RecipeError, match=told):
        make_bert(config, 64, 32, 0, next_sentence=False)


@pytest.mark.parametrize("config", [CONFIG, PAIRS])
def test_a_model_is_made_again_from_its_architecture(config: Any) -> None:
    model = make_bert(config, 64, 32, 0, next_sentence=config is PAIRS)
    architecture = describe(model)
    assert architecture is not None
    assert (architecture.kind, architecture.vocab_size) == (config.objective, 67)
    again = build(type(architecture).model_validate_json(architecture.model_dump_json()), config.seed)
    assert type(again) is type(model)
    assert equal(model, again)
    assert again.inner.config._attn_implementation == "sdpa"


@torch.no_grad()
@pytest.mark.parametrize("config", [CONFIG, PAIRS])
def test_an_exported_model_has_the_same_logits_in_transformers(tmp_path: Path, config: Any) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    data = small_data(tmp_path)
    model = start_bert(config, data).eval()
    out = str(tmp_path / "out")
    export(model, data, out)
    found, tokenizer = AutoModelForMaskedLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert (found.config.mask_token_id, found.config.cls_token_id, found.config.sep_token_id) == (4, 5, 6)
    assert (tokenizer.mask_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id) == (4, 5, 6)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (END, END)
    encoded = tokenizer("a b [MASK]", "c a", return_tensors="pt", return_token_type_ids=True)
    ids, part = encoded["input_ids"], encoded["token_type_ids"]
    expected = found.eval()(input_ids=ids, token_type_ids=part).logits
    if config is PAIRS:
        assert ids.tolist() == [[5, 0, 1, 4, 6, 3, 0, 6]]
        assert part.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1]]
        logits = model(ids, torch.zeros_like(ids), part)[0]
    else:
        assert ids.tolist() == [[0, 1, 4, 3, 0]]
        expected = found(input_ids=ids).logits
        logits = model(ids, torch.zeros_like(ids))
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)


def test_training_goes_on_from_an_exported_folder_and_pairs_get_new_heads(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    masked = start_bert(CONFIG.model_copy(update={"seed": 9}), data)
    out = str(tmp_path / "out")
    export(masked, data, out)
    again = start_bert(CONFIG.model_copy(update={"init": out}), data)
    assert isinstance(again, MaskedBert)
    assert equal(masked, again)
    pairs = [start_bert(PAIRS.model_copy(update={"init": out, "seed": seed}), data) for seed in (1, 1, 2)]
    assert all(isinstance(model, PairBert) for model in pairs)
    assert equal(pairs[0], pairs[1])
    assert not equal(pairs[0], pairs[2])
    name = "inner.bert.encoder.layer.1.output.dense.weight"
    assert torch.equal(pairs[0].state_dict()[name], masked.state_dict()[name])


def test_a_model_that_cannot_read_the_corpus_is_refused(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    out = str(tmp_path / "out")
    export(start_bert(CONFIG, data), data, out)
    config = CONFIG.model_copy(update={"init": out})
    with pytest.raises(RecipeError, match="has 20 positions, rows of length 17 need 21.*length = 16 or less"):
        start_bert(config, replace(data, length=17))
    with pytest.raises(RecipeError, match="has 7 tokens, the corpus 8"):
        start_bert(config, replace(data, vocab_size=8))
    with pytest.raises(InputError, match="is no checkpoint"):
        start_bert(CONFIG.model_copy(update={"init": str(tmp_path / "nothing")}), data)


def test_a_model_of_another_tokenizer_gets_rows_for_the_special_tokens(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    out = str(tmp_path / "out")
    export(start_bert(CONFIG, data), data, out)
    config = CONFIG.model_copy(update={"init": out})
    grown = start_bert(config, replace(data, vocab_size=6))
    assert grown.inner.config.vocab_size == 9
    # A corpus encoded with the exported tokenizer has the three tokens already.
    own = start_bert(config, replace(data, vocab_size=7, tokenizer=f"{out}/tokenizer.json"))
    assert own.inner.config.vocab_size == 7


def test_no_code_of_a_model_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = small_data(tmp_path)
    folder = tmp_path / "evil"
    folder.mkdir()
    facts = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.EvilConfig"}}
    (folder / "config.json").write_text(json.dumps(facts))
    (folder / "evil.py").write_text(
        f"open({str(tmp_path / 'was_run')!r}, 'w').close()\n"
        "from transformers import BertConfig\n"
        "class EvilConfig(BertConfig):\n    model_type = 'evil'\n"
    )
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\ny\n"))
    with pytest.raises(ModelError, match="evil: transformers' BertForMaskedLM cannot load it"):
        start_bert(CONFIG.model_copy(update={"init": str(folder)}), data)
    assert not (tmp_path / "was_run").exists()


def test_a_folder_with_a_kind_of_model_that_nobody_knows_is_a_model_error(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "none_such"}')
    with pytest.raises(ModelError, match="cannot load it: .*none_such"):
        start_bert(CONFIG.model_copy(update={"init": str(tmp_path)}), data)


@pytest.mark.parametrize("config", [CONFIG, PAIRS])
def test_a_folder_that_lacks_a_weight_of_the_layers_is_refused(tmp_path: Path, config: Any) -> None:
    data = small_data(tmp_path)
    out = tmp_path / "out"
    export(start_bert(CONFIG, data), data, str(out))
    found = safetensors.torch.load_file(out / "model.safetensors")
    lost = "bert.encoder.layer.1.output.dense.weight"
    kept = {name: weight for name, weight in found.items() if name != lost}
    safetensors.torch.save_file(kept, out / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=f"1 weights are missing, the first is {lost}"):
        start_bert(config.model_copy(update={"init": str(out)}), data)
    more = {**found, "bert.encoder.layer.2.output.dense.weight": found[lost].clone()}
    safetensors.torch.save_file(more, out / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="1 weights are unexpected"):
        start_bert(config.model_copy(update={"init": str(out)}), data)
