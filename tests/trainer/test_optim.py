import pytest
import torch
from torch import nn

from trainer.config import ModelConfig, OptimizerConfig, ScheduleConfig
from trainer.model import Decoder
from trainer.optim import hidden_matrices, lr_ratio, make_optimizers, set_lr, shrink_l1


class OneMatrix(nn.Module):
    """A matrix, a vector, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
        self.bias = nn.Parameter(torch.tensor([1.0]))


def stepped(config: OptimizerConfig, gradients: list[float]) -> OneMatrix:
    """The parameters after one step for each gradient, the same for every element."""
    model = OneMatrix()
    (optimizer,) = make_optimizers(model, config)
    for gradient in gradients:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
    return model


def test_the_rate_rises_linearly_and_falls_as_half_a_cosine() -> None:
    schedule = ScheduleConfig(warmup_steps=4, decay="cosine", min_ratio=0.1)
    ratios = [lr_ratio(step, 12, schedule) for step in (1, 4, 8, 12)]
    assert ratios == pytest.approx([0.25, 1.0, 0.55, 0.1])


def test_linear_decay_without_warm_up_reaches_zero_at_the_last_step() -> None:
    schedule = ScheduleConfig(warmup_steps=0, decay="linear", min_ratio=0.0)
    assert [lr_ratio(step, 4, schedule) for step in (1, 2, 3, 4)] == pytest.approx([0.75, 0.5, 0.25, 0.0])


def test_wsd_stays_and_then_falls_linearly_over_the_last_share_of_all_steps() -> None:
    schedule = ScheduleConfig(warmup_steps=2, decay="wsd", min_ratio=0.0, decay_ratio=0.4)
    ratios = [lr_ratio(step, 10, schedule) for step in range(1, 11)]
    assert ratios == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0])


def test_a_decay_longer_than_what_warm_up_leaves_begins_after_it() -> None:
    schedule = ScheduleConfig(warmup_steps=2, decay="wsd", min_ratio=0.0, decay_ratio=1.0)
    assert [lr_ratio(step, 4, schedule) for step in (1, 2, 3, 4)] == pytest.approx([0.5, 1.0, 0.5, 0.0])


def test_warm_up_may_last_to_the_end() -> None:
    assert lr_ratio(5, 5, ScheduleConfig(warmup_steps=5)) == 1.0


def test_norms_are_not_decayed_and_the_rate_reaches_every_group() -> None:
    model = Decoder(ModelConfig(layers=1), vocab_size=10, seed=0)
    (optimizer,) = make_optimizers(model, OptimizerConfig(weight_decay=0.3))
    set_lr([optimizer], 0.5)
    facts = [(group["weight_decay"], group["lr"], len(group["params"])) for group in optimizer.param_groups]
    assert facts == [(0.3, 0.5, 8), (0.0, 0.5, 3)]


def test_adamw_by_hand() -> None:
    # The first step moves by lr against the gradient's sign, after scaling by 1 - lr * decay = 0.95.
    model = stepped(OptimizerConfig(name="adamw", lr=0.1, weight_decay=0.5), [2.0])
    torch.testing.assert_close(model.weight.data, torch.tensor([[0.85, -2.0]]))
    torch.testing.assert_close(model.bias.data, torch.tensor([0.9]))


def test_sgd_by_hand_has_momentum_and_decay_apart() -> None:
    # Velocities 2 and 0.5 * 2 + 2 = 3; with decay each step first scales by 1 - 0.1 * 0.5 = 0.95.
    model = stepped(OptimizerConfig(name="sgd", lr=0.1, momentum=0.5, weight_decay=0.5), [2.0, 2.0])
    first = [0.95 * 1.0 - 0.2, 0.95 * -2.0 - 0.2]
    expected = torch.tensor([[0.95 * value - 0.3 for value in first]])
    torch.testing.assert_close(model.weight.data, expected)
    torch.testing.assert_close(model.bias.data, torch.tensor([0.5]))


@pytest.mark.parametrize("tied", [True, False])
def test_muon_takes_the_matrices_of_layers_and_adamw_all_else(tied: bool) -> None:
    model = Decoder(ModelConfig(layers=2, tied=tied), vocab_size=10, seed=0)
    muon, adamw = make_optimizers(model, OptimizerConfig(name="muon"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    owned = [
        sorted(names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"])
        for optimizer in (muon, adamw)
    ]
    assert isinstance(muon, torch.optim.Muon)
    assert len(owned[0]) == 2 * 7
    assert all(name.startswith("model.layers.") and name.endswith("_proj.weight") for name in owned[0])
    assert sorted(owned[0] + owned[1]) == sorted(names.values())


def test_frozen_parameters_belong_to_no_optimizer() -> None:
    model = Decoder(ModelConfig(layers=1), vocab_size=10, seed=0)
    model.requires_grad_(False)
    model.model.norm.weight.requires_grad_(True)
    (optimizer,) = make_optimizers(model, OptimizerConfig(name="muon"))
    assert [group["params"] for group in optimizer.param_groups] == [[model.model.norm.weight]]
    assert hidden_matrices(model) == []


def test_l1_moves_matrices_towards_zero_and_stops_there() -> None:
    model = OneMatrix()
    model.weight.data = torch.tensor([[0.3, -0.3, 0.1, -0.1, 0.0]])
    shrink_l1(model.parameters(), 0.125)
    torch.testing.assert_close(model.weight.data, torch.tensor([[0.175, -0.175, 0.0, 0.0, 0.0]]))
    assert model.bias.tolist() == [1.0]
    model.requires_grad_(False)
    before = model.weight.clone()
    shrink_l1(model.parameters(), 0.125)
    assert torch.equal(model.weight, before)
