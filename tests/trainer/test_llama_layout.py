import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers

from manifests.errors import InputError, IntegrityError
from trainer.config import ModelConfig
from trainer.llama_layout import INDEX, WEIGHTS, import_model, read_weights, why_not_ours, write_model
from trainer.model import Decoder

SHAPES = {
    "tied, grouped queries": ModelConfig(layers=2, width=32, heads=4, kv_heads=2, hidden=48, tied=True),
    "untied, one key-value head": ModelConfig(layers=2, width=32, heads=4, kv_heads=1, hidden=40, tied=False),
    "another base and epsilon": ModelConfig(
        layers=1, width=16, heads=2, kv_heads=2, hidden=24, rope_theta=500_000.0, norm_epsilon=1e-3
    ),
}


def model_of(shape: ModelConfig, vocab_size: int = 50) -> Decoder:
    """Weights as large as after training, so that every part of the model moves the logits."""
    model = Decoder(shape, vocab_size, seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def theirs(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_transformers_loads_it_and_computes_the_same_logits(tmp_path: Path, shape: ModelConfig) -> None:
    model = model_of(shape)
    write_model(model, 64, 7, str(tmp_path))
    other = theirs(tmp_path)
    tokens = torch.randint(50, (2, 40), generator=torch.Generator().manual_seed(0))
    ours = model(tokens, torch.zeros_like(tokens))
    assert float(ours.std()) > 0.5
    torch.testing.assert_close(other(tokens).logits, ours, rtol=0, atol=1e-5)
    assert type(other).__name__ == "LlamaForCausalLM"
    assert (other.config.max_position_embeddings, other.generation_config.eos_token_id) == (64, 7)


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_what_transformers_saves_becomes_ours_and_back_bit_for_bit(tmp_path: Path, shape: ModelConfig) -> None:
    model = model_of(shape)
    write_model(model, 64, 7, str(tmp_path / "ours"))
    theirs(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    again, facts = import_model(str(tmp_path / "theirs"))
    assert again.config == shape
    assert (facts["max_position_embeddings"], facts["vocab_size"]) == (64, 50)
    pairs = list(zip(model.state_dict().items(), again.state_dict().items(), strict=True))
    assert len(pairs) > 0
    assert all(name == other and torch.equal(one, two) for (name, one), (other, two) in pairs)


def test_large_models_are_spread_over_files_that_transformers_reads(tmp_path: Path) -> None:
    model = model_of(SHAPES["untied, one key-value head"])
    num_bytes = write_model(model, 64, 7, str(tmp_path), max_file_bytes=10_000)
    names = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert names == [f"model-{number:05d}-of-00010.safetensors" for number in range(1, 11)]
    assert num_bytes == 4 * model.num_parameters == json.loads((tmp_path / INDEX).read_text())["metadata"]["total_size"]
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in theirs(tmp_path).state_dict().items())
    assert import_model(str(tmp_path))[0].num_parameters == model.num_parameters


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    model = model_of(SHAPES["tied, grouped queries"])
    write_model(model, 64, 7, str(tmp_path))
    theirs(tmp_path).bfloat16().save_pretrained(tmp_path / "half")
    again, _ = import_model(str(tmp_path / "half"))
    assert {parameter.dtype for parameter in again.parameters()} == {torch.float32}
    name, before = next(iter(model.state_dict().items()))
    assert torch.equal(again.state_dict()[name], before.bfloat16().float())


def test_a_config_of_llama_3_before_version_5_is_read(tmp_path: Path) -> None:
    write_model(model_of(SHAPES["another base and epsilon"]), 64, 7, str(tmp_path))
    facts = json.loads((tmp_path / "config.json").read_text())
    for key in ("rope_parameters", "head_dim", "num_key_value_heads", "rms_norm_eps"):
        del facts[key]
    (tmp_path / "config.json").write_text(json.dumps({**facts, "rope_scaling": None}))
    shape = import_model(str(tmp_path))[0].config
    assert (shape.rope_theta, shape.kv_heads, shape.norm_epsilon) == (500_000.0, 2, 1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}, "only LlamaForCausalLM is computed"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_scaling is .*llama3"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "only rope_type 'default'"),
        ({"attention_bias": True}, "attention_bias is True, only False"),
        ({"mlp_bias": True}, "mlp_bias is True"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu', only 'silu'"),
        ({"head_dim": 5}, r"head_dim 5 \* 4 heads is not the width 32"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is"),
        ({"num_hidden_layers": None}, "num_hidden_layers is not in its config.json"),
        ({"num_key_value_heads": 3}, "not a multiple of kv_heads 3"),
    ],
)
def test_what_is_not_computed_exactly_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    write_model(model_of(SHAPES["tied, grouped queries"]), 64, 7, str(tmp_path))
    facts = json.loads((tmp_path / "config.json").read_text())
    assert why_not_ours(facts) is None
    (tmp_path / "config.json").write_text(json.dumps({**facts, **change}))
    with pytest.raises(InputError, match=reason):
        import_model(str(tmp_path))


def test_a_pickled_model_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write_model(model_of(SHAPES["tied, grouped queries"]), 64, 7, str(tmp_path))
    (tmp_path / WEIGHTS).rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model.bin .* can run code .*save_pretrained"):
        import_model(str(tmp_path))
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match="has no model.safetensors"):
        import_model(str(tmp_path))
    with pytest.raises(InputError, match="config.json: there is no such file"):
        import_model(str(tmp_path / "nowhere"))


def test_missing_left_over_and_damaged_weights_are_named(tmp_path: Path) -> None:
    write_model(model_of(SHAPES["tied, grouped queries"]), 64, 7, str(tmp_path))
    weights = read_weights(str(tmp_path))
    path = tmp_path / WEIGHTS
    for change, message in (
        ({"model.norm.bias": torch.zeros(32)}, "model.norm.bias is left over"),
        ({"model.norm.weight": torch.zeros(31)}, r"model.norm.weight is torch.float32 of shape \(31,\)"),
        ({"lm_head.weight": torch.zeros(50, 32)}, "the output matrix is not the embeddings"),
    ):
        safetensors.torch.save_file({**weights, **change}, path)
        with pytest.raises(IntegrityError, match=message):
            import_model(str(tmp_path))
    del weights["model.norm.weight"]
    safetensors.torch.save_file(weights, path)
    with pytest.raises(IntegrityError, match="model.norm.weight is missing"):
        import_model(str(tmp_path))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(IntegrityError, match="is not a whole safetensors file"):
        import_model(str(tmp_path))
