import pytest
import torch

from trainer.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (8, 8)])
def test_whole_matrices_are_updated_as_by_torch(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.3}
    optimizers = (Muon([ours], **settings), torch.optim.Muon([theirs], **settings, adjust_lr_fn="match_rms_adamw"))
    for _ in range(3):
        ours.grad = torch.randn(shape, generator=generator)
        theirs.grad = ours.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    assert not torch.equal(ours, start)
    assert torch.equal(ours, theirs)


def test_the_update_is_a_rotation_of_the_size_of_adamws() -> None:
    signs = torch.tensor([1.0, -1.0] * 4)
    parameter = torch.nn.Parameter(torch.zeros(8, 8))
    parameter.grad = torch.diag(signs)
    Muon([parameter], lr=1.0, weight_decay=0.0).step()
    update = -parameter.detach()
    ratio = torch.diagonal(update) * signs / (0.2 * 8**0.5)
    assert 0.68 < float(ratio.min()) <= float(ratio.max()) < 1.22
    assert float((update - torch.diag(torch.diagonal(update))).abs().max()) == 0.0


def test_a_gradient_of_zeros_stays_zeros() -> None:
    assert torch.equal(orthogonal(torch.zeros(3, 5)), torch.zeros(3, 5, dtype=torch.bfloat16))
