import pytest
import torch

from trainer.config import ModelConfig
from trainer.model import Decoder

CONFIG = ModelConfig(layers=2, width=32, heads=4, kv_heads=2, hidden=48)
SEGMENT = torch.tensor([[0] * 5 + [1] * 6 + [2] * 3 + [-1] * 2, [0] * 9 + [1] * 7])


def small_model(config: ModelConfig = CONFIG) -> Decoder:
    return Decoder(config, vocab_size=50, seed=1)


def tokens_like_segment() -> torch.Tensor:
    return torch.randint(0, 50, SEGMENT.shape, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def test_changing_one_document_does_not_move_the_logits_of_another() -> None:
    model, tokens = small_model(), tokens_like_segment()
    other = tokens.clone()
    other[0, 5:11] = (other[0, 5:11] + 7) % 50  # segment 1 of row 0
    change = (model(tokens, SEGMENT) - model(other, SEGMENT)).abs().amax(dim=-1)
    assert float(change[0, 5:11].min()) > 0.0
    change[0, 5:11] = 0.0
    assert float(change.max()) == 0.0


@torch.no_grad()
def test_a_later_token_does_not_move_the_logits_of_an_earlier_one() -> None:
    model, tokens = small_model(), tokens_like_segment()
    other = tokens.clone()
    other[1, 4] = (other[1, 4] + 1) % 50
    change = (model(tokens, SEGMENT) - model(other, SEGMENT)).abs().amax(dim=-1)
    assert float(change[1, :4].max()) == 0.0
    assert float(change[1, 4:9].min()) > 0.0


@torch.no_grad()
def test_a_document_has_the_same_logits_packed_as_alone() -> None:
    model, tokens = small_model(), tokens_like_segment()
    alone = model(tokens[:1, 5:11], torch.zeros(1, 6, dtype=torch.int64))
    torch.testing.assert_close(model(tokens, SEGMENT)[:1, 5:11], alone, rtol=0, atol=1e-6)


def test_names_are_those_of_llama_checkpoints() -> None:
    names = set(small_model(ModelConfig(layers=1, tied=False)).state_dict())
    assert names == {
        "model.embed_tokens.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.k_proj.weight",
        "model.layers.0.self_attn.v_proj.weight",
        "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.post_attention_layernorm.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
        "model.norm.weight",
        "lm_head.weight",
    }


def test_a_tied_model_has_no_output_matrix_of_its_own() -> None:
    tied, untied = small_model(), small_model(CONFIG.model_copy(update={"tied": False}))
    assert untied.num_parameters - tied.num_parameters == 50 * 32


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = small_model().state_dict()
    torch.manual_seed(2)
    two = small_model().state_dict()
    assert len(one) > 0
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = Decoder(CONFIG, vocab_size=50, seed=2).state_dict()
    assert not torch.equal(one["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


@pytest.mark.parametrize("length", [1, 2])
def test_very_short_rows_have_finite_logits(length: int) -> None:
    tokens = torch.zeros(1, length, dtype=torch.int64)
    logits = small_model()(tokens, tokens)
    assert logits.shape == (1, length, 50)
    assert bool(torch.isfinite(logits).all())
