import pytest
import torch
from torch import Tensor

from trainer.attention import Layout, Path, attend, attention_path, positions_in_segment
from trainer.config import ModelConfig
from trainer.model import Decoder

# On a CPU it is the reference here, and for nothing else.
pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
CONFIG = ModelConfig(layers=2, width=64, heads=4, kv_heads=2, hidden=48)
SEGMENT = torch.tensor([[0] * 5 + [1] * 6 + [2] * 3 + [-1] * 2, [0] * 9 + [1] * 7])
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")),
]


def attended(path: Path, device: str, segment: Tensor, dtype: torch.dtype, backward: bool) -> list[Tensor]:
    """Output of seeded queries, keys and values, and with `backward` their gradients."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(*segment.shape, heads, CONFIG.head_width) for heads in (4, 2, 2)]
    made = [torch.randn(shape, generator=generator).to(device, dtype).requires_grad_(backward) for shape in shapes]
    # Compiled as in a layer where that makes the kernel that training uses.
    run = torch.compile(attend) if path == "flex" and device == "cuda" else attend
    out = run(made[0], made[1], made[2], Layout(segment.to(device), CONFIG, path))
    if backward:
        out.float().square().sum().backward()
    return [x.detach().float().cpu() for x in (out, *(x.grad for x in made if x.grad is not None))]


def long_segments() -> Tensor:
    """Rows of 384 tokens, three blocks of flex attention, with documents of 1 to 190 tokens and padding."""
    lengths = [[190, 1, 90, 63, 40], [7, 150, 3, 140, 84]]
    rows = [torch.repeat_interleave(torch.arange(5), torch.tensor(row)) for row in lengths]
    rows[1][300:] = -1
    return torch.stack(rows)


def test_positions_start_again_with_each_segment() -> None:
    segment = torch.tensor([[0, 0, 0, 1, 1, -1], [0, 1, 1, 1, 2, 2]])
    assert positions_in_segment(segment).tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 1, 2, 0, 1]]


def test_attention_weights_by_hand() -> None:
    # Equal keys: each token takes the mean of the values up to it in its own document.
    segment = torch.tensor([[0, 0, 1, 1]])
    value = torch.tensor([1.0, 3.0, 10.0, 20.0]).view(1, 4, 1, 1).expand(1, 4, 1, 8)
    keys = torch.zeros(1, 4, 1, 8)
    config = ModelConfig(width=8, heads=1, kv_heads=1)
    out = attend(keys, keys, value, Layout(segment, config, "documents"))
    assert out[0, :, 0, 0].tolist() == [1.0, 2.0, 10.0, 15.0]


@pytest.mark.parametrize("segment", [SEGMENT, long_segments()], ids=["short", "long"])
@pytest.mark.parametrize("device", DEVICES)
def test_one_mask_over_rows_equals_one_call_for_each_document(device: str, segment: Tensor) -> None:
    documents, mask = (attended(path, device, segment, torch.float32, True) for path in ("documents", "mask"))
    assert len(documents) == 4  # output and three gradients
    torch.testing.assert_close(documents, mask, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("segment", [SEGMENT, long_segments()], ids=["short", "long"])
@pytest.mark.parametrize("device", DEVICES)
def test_flex_attention_equals_one_mask_over_rows(device: str, segment: Tensor) -> None:
    # flex_attention has no gradients on a CPU.
    flex, mask = (attended(path, device, segment, torch.float32, device != "cpu") for path in ("flex", "mask"))
    torch.testing.assert_close(flex, mask, rtol=1e-3, atol=1e-3 if device == "cuda" else 1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_flex_attention_equals_the_mask_in_bf16_on_an_accelerator() -> None:
    flex, mask = (attended(path, "cuda", long_segments(), torch.bfloat16, True) for path in ("flex", "mask"))
    assert len(flex) == 4
    for one, other in zip(flex, mask, strict=True):
        assert float((one - other).norm() / other.norm()) < 1e-2


@pytest.mark.parametrize(
    ("device_type", "compiled", "head_width", "path"),
    [
        ("cpu", False, 64, "documents"),
        ("cpu", True, 64, "mask"),
        ("cuda", False, 64, "mask"),
        ("cuda", True, 128, "flex"),
        ("cuda", True, 8, "mask"),
        ("mps", False, 64, "mask"),
    ],
)
def test_each_device_has_its_path(device_type: str, compiled: bool, head_width: int, path: Path) -> None:
    assert attention_path(device_type, compiled, head_width) == path


@torch.no_grad()
def test_a_decoder_has_the_same_logits_by_every_path() -> None:
    model = Decoder(CONFIG, vocab_size=50, seed=1)
    tokens = torch.randint(0, 50, SEGMENT.shape, generator=torch.Generator().manual_seed(3))
    found = []
    for model.attention in ("documents", "mask", "flex"):
        found.append(model(tokens, SEGMENT))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(found[2], found[0], rtol=0, atol=1e-6)
