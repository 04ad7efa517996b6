import torch

from trainer.int8 import SCALE, dequantize, quantize


def test_a_row_is_scaled_so_that_its_largest_weight_is_127() -> None:
    weight = torch.tensor([[1.27, -0.635, 0.0], [0.0, -2.54, 0.02]])
    tensors = quantize({"w": weight})
    assert tensors["w"].tolist() == [[127, -64, 0], [0, -127, 1]]  # -63.5 rounds to even
    torch.testing.assert_close(tensors["w" + SCALE], torch.tensor([0.01, 0.02]))
    torch.testing.assert_close(dequantize(tensors)["w"], torch.tensor([[1.27, -0.64, 0.0], [0.0, -2.54, 0.02]]))


def test_no_weight_moves_by_more_than_half_a_scale() -> None:
    weight = torch.randn(64, 96, generator=torch.Generator().manual_seed(0))
    tensors = quantize({"w": weight})
    error = (dequantize(tensors)["w"] - weight).abs()
    assert bool((error <= 0.5001 * tensors["w" + SCALE][:, None]).all())
    assert float(error.max()) > 0.0


def test_vectors_stay_as_they_are_and_rows_of_zeros_stay_zeros() -> None:
    norm, empty = torch.tensor([0.3, 1.1]), torch.zeros(2, 3)
    found = dequantize(quantize({"norm": norm, "empty": empty}))
    assert torch.equal(found["norm"], norm)
    assert torch.equal(found["empty"], empty)


def test_quantizing_again_changes_nothing() -> None:
    weight = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    once = quantize({"w": weight})
    assert torch.equal(quantize(dequantize(once))["w"], once["w"])
