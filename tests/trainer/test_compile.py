from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from tests.trainer.synthetic import counting_corpus, small_config
from trainer.attention import Path as AttentionPath
from trainer.config import ModelConfig
from trainer.context import Context
from trainer.loop import train
from trainer.model import Decoder

# Dynamo looks at gradients of all that comes into a graph; the compiler's own modules use what torch calls old.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor:UserWarning", "ignore:`torch.jit:DeprecationWarning"
)
CONFIG = ModelConfig(layers=3, width=64, heads=4, kv_heads=2, hidden=32)


def num_graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def batches() -> list[tuple[Tensor, Tensor]]:
    """Tokens and segments of four batches of one shape with 1 to 24 documents a row."""
    generator = torch.Generator().manual_seed(0)
    tokens = [torch.randint(0, 50, (2, 24), generator=generator) for _ in range(4)]
    segments = [torch.arange(24).div(length, rounding_mode="floor").expand(2, 24) for length in (24, 7, 3, 1)]
    return list(zip(tokens, segments, strict=True))


@pytest.mark.parametrize("path", ["mask", "flex"])
def test_layers_are_compiled_once_whatever_the_documents(path: AttentionPath) -> None:
    # What makes a graph anew is decided before a backend sees it, so one that writes no kernels will do.
    model = Decoder(CONFIG, vocab_size=50, seed=1)
    compiled = Decoder(CONFIG, vocab_size=50, seed=1)
    compiled.attention = path
    for layer in compiled.model.layers:
        layer.compile(backend="aot_eager")
    before = num_graphs()
    for tokens, segment in batches():
        with torch.set_grad_enabled(path != "flex"):  # which has no gradients on a CPU
            torch.testing.assert_close(compiled(tokens, segment), model(tokens, segment), rtol=0, atol=1e-6)
        assert num_graphs() - before == 1  # for all three layers


@pytest.mark.slow  # half a minute of a C++ compiler
def test_a_compiled_run_has_the_losses_of_the_same_run_not_compiled(tmp_path: Path) -> None:
    counting_corpus(tmp_path / "corpus", num_validation=0)
    losses: dict[bool, list[float]] = {False: [], True: []}
    graphs: list[int] = []
    for is_compiled, found in losses.items():

        def report(metrics: dict[str, Any], found: list[float] = found) -> None:
            found.append(metrics["loss"])
            graphs.append(num_graphs())

        config = small_config(compile=is_compiled, steps=8)
        train([str(tmp_path / "corpus")], config, str(tmp_path / f"run-{is_compiled}"), Context(report=report))
    assert len(losses[False]) == 8
    assert losses[True] == pytest.approx(losses[False], rel=0, abs=1e-5)
    # One graph for the layer and one for the cross entropy, in the first step.
    assert [number - graphs[0] for number in graphs] == [0] * 8 + [2] * 8
