import pytest
import torch

from trainer.architecture import Classifier
from trainer.config import LoraConfig, ModelConfig, TrainConfig
from trainer.lora import add_lora, merge_lora, without_lora
from trainer.model import Decoder

SHAPE = ModelConfig(layers=2, width=32, heads=2, kv_heads=1, hidden=64, tied=False)
TOKENS = torch.arange(12).view(2, 6)
SEGMENT = torch.zeros_like(TOKENS)
LORA = LoraConfig(rank=2)


def tuned(train_head: bool = False) -> Decoder:
    """A decoder whose updates are not zero any more."""
    model = add_lora(Decoder(SHAPE, 64, seed=0), LORA, seed=0, train_head=train_head)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.1, generator=generator)
    assert isinstance(model, Decoder)
    return model


def test_a_new_update_changes_no_logit_and_few_parameters_train() -> None:
    plain = Decoder(SHAPE, 64, seed=0)
    model = add_lora(Decoder(SHAPE, 64, seed=0), LORA, seed=0, train_head=False)
    assert torch.equal(model(TOKENS, SEGMENT), plain(TOKENS, SEGMENT))
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    # rank * (in + out): q and o 2 * 64 each, k and v 2 * 48 each, the three of the feed-forward layer 2 * 96 each.
    assert trainable == 2 * 2 * (64 + 64 + 48 + 48 + 3 * 96)
    assert trainable < 0.15 * plain.num_parameters


def test_the_frozen_weights_get_no_gradient() -> None:
    model = tuned()
    model(TOKENS, SEGMENT).sum().backward()  # type: ignore[no-untyped-call]
    with_gradient = {name.split(".")[-3] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == {"lora_A", "lora_B"}


def test_without_its_updates_the_model_is_what_it_was() -> None:
    model = tuned()
    after = model(TOKENS, SEGMENT)
    before = Decoder(SHAPE, 64, seed=0)(TOKENS, SEGMENT)
    with without_lora(model):
        assert torch.equal(model(TOKENS, SEGMENT), before)
    assert torch.equal(model(TOKENS, SEGMENT), after)
    assert not torch.allclose(after, before, atol=1e-4)
    assert any(parameter.requires_grad for parameter in model.parameters())


def test_merged_updates_give_the_same_logits_in_a_plain_model() -> None:
    model = tuned()
    expected = model(TOKENS, SEGMENT)
    merged = merge_lora(model)
    assert torch.allclose(merged(TOKENS, SEGMENT), expected, atol=1e-5)
    assert set(merged.state_dict()) == set(Decoder(SHAPE, 64, seed=0).state_dict())
    assert all(parameter.requires_grad for parameter in merged.parameters())


def test_a_new_head_trains_whole() -> None:
    model = add_lora(Classifier(SHAPE, 64, ("a", "b"), seed=0), LORA, seed=0, train_head=True)
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad and "lora_" not in name}
    assert names == {"lm_head.weight"}


def test_updates_depend_on_the_seed_alone() -> None:
    weights = [add_lora(Decoder(SHAPE, 64, 0), LORA, seed, train_head=False).state_dict() for seed in (3, 3, 4)]
    name = "model.layers.0.self_attn.q_proj.lora_A.default.weight"
    assert torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[0][name], weights[2][name])


def test_updates_need_a_model_to_start_from() -> None:
    with pytest.raises(ValueError, match="lora needs a model to start from: set init"):
        TrainConfig.model_validate({"lora": {"rank": 2}})
