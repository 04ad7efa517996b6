import math

import pytest
import torch
from torch import Tensor

from trainer import model as decoder
from trainer.config import ModelConfig
from trainer.model import Decoder
from trainer.token_losses import IGNORED, chunked_losses, cross_entropy, num_chunks

HIDDEN = torch.randn(37, 8, generator=torch.Generator().manual_seed(0))
WEIGHT = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
TARGET = torch.randint(0, 50, (37,), generator=torch.Generator().manual_seed(2)).index_fill(
    0, torch.tensor([0, 9, 10, 36]), IGNORED
)


def losses_and_gradients(num: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    hidden, weight = HIDDEN.clone().requires_grad_(), WEIGHT.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        values = chunked_losses(lambda x: x @ weight.T, hidden, TARGET, num, cross_entropy)
    # Unequal factors: a chunk must not assume that all targets count alike.
    (values * torch.linspace(0.5, 2.0, 37)).sum().backward()
    assert hidden.grad is not None
    assert weight.grad is not None
    return [values.detach(), hidden.grad, weight.grad]


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [5.0, 5.0], [1.0, 2.0]])
    found = cross_entropy(logits, torch.tensor([1, 0, IGNORED]))
    torch.testing.assert_close(found, torch.tensor([math.log(4 / 3), math.log(2), 0.0]))


@pytest.mark.parametrize("num", [2, 4, 16, 64])
def test_chunks_give_the_losses_and_gradients_of_all_tokens_at_once(num: int) -> None:
    whole, chunked = losses_and_gradients(1), losses_and_gradients(num)
    torch.testing.assert_close(chunked, whole, rtol=1e-5, atol=1e-6)


def test_gradients_of_chunks_are_added_up_in_fp32_under_autocast() -> None:
    exact = losses_and_gradients(1)[2]
    whole, chunked = (losses_and_gradients(num, torch.bfloat16)[2] for num in (1, 32))
    errors = [float((found - exact).norm() / exact.norm()) for found in (whole, chunked)]
    assert 0.0 < errors[1] < 1.5 * errors[0] < 1e-2


def test_the_number_of_chunks_is_the_smallest_power_of_two_that_fits() -> None:
    assert [num_chunks(tokens, 10, 100) for tokens in (0, 1, 10, 11, 20, 21, 41, 80, 81)] == [
        1,
        1,
        1,
        2,
        2,
        4,
        8,
        8,
        16,
    ]
    assert num_chunks(16_384, 50_304) == 8


@pytest.mark.parametrize("tied", [True, False])
def test_a_decoder_asked_for_losses_gives_those_of_its_logits(tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Decoder(ModelConfig(layers=1, width=16, heads=2, kv_heads=1, hidden=16, tied=tied), vocab_size=50, seed=1)
    tokens = torch.randint(0, 50, (2, 24), generator=torch.Generator().manual_seed(3))
    segment = torch.arange(24).div(7, rounding_mode="floor").expand(2, 24)
    target = tokens.roll(-1, dims=1).masked_fill(segment == 2, IGNORED)
    cross_entropy(model(tokens, segment).flatten(0, 1), target.flatten()).sum().backward()
    expected = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    monkeypatch.setattr(decoder, "num_chunks", lambda num_tokens, vocab_size: 8)
    values = model(tokens, segment, target)
    assert values.shape == (2, 24)
    values.sum().backward()
    torch.testing.assert_close([parameter.grad for parameter in model.parameters()], expected, rtol=1e-5, atol=1e-6)
