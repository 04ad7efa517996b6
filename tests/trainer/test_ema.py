import pytest
import torch
from torch import nn

from trainer.ema import Ema


def model_of(value: float) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(value)
    return model


def averaged(values: list[float], decay: float) -> float:
    model = model_of(99.0)  # what training began with
    ema = Ema(model, decay)
    for value in values:
        model.weight.data.fill_(value)
        ema.update(model)
    return float(ema.shadow["weight"])


def test_the_average_by_hand_does_not_hold_the_first_weights() -> None:
    assert averaged([4.0], 0.5) == 4.0
    assert averaged([4.0, 1.0], 0.5) == pytest.approx((1.0 + 0.5 * 4.0) / 1.5)
    assert averaged([4.0, 1.0, 8.0], 0.5) == pytest.approx((8.0 + 0.5 * 1.0 + 0.25 * 4.0) / 1.75)


def test_before_any_update_the_average_is_the_model() -> None:
    assert averaged([], 0.9) == 99.0


def test_averages_are_fp32_also_of_bf16_weights_and_go_back_into_bf16() -> None:
    model = model_of(1.0).bfloat16()
    ema = Ema(model, 0.5)
    ema.update(model)
    model.weight.data.fill_(2.0)
    ema.update(model)
    assert ema.shadow["weight"].dtype == torch.float32
    assert float(ema.shadow["weight"]) == pytest.approx((2.0 + 0.5) / 1.5)
    with ema.swapped(model):
        assert model.weight.dtype == torch.bfloat16
        assert model.weight.item() == pytest.approx(5 / 3, abs=0.01)
    assert model.weight.item() == 2.0


def test_the_own_weights_come_back_also_after_an_error() -> None:
    model = model_of(1.0)
    ema = Ema(model, 0.5)
    model.weight.data.fill_(3.0)
    with pytest.raises(RuntimeError, match="in between"), ema.swapped(model):
        assert model.weight.item() == 1.0
        raise RuntimeError("in between")
    assert model.weight.item() == 3.0


def test_frozen_weights_are_not_averaged() -> None:
    model = nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    assert list(Ema(model, 0.9).shadow) == ["bias"]
