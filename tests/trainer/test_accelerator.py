"""What only a CUDA device can show; `make bench-gpu` has the speeds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.synthetic import counting_corpus, small_config
from trainer.context import Context
from trainer.data import open_data
from trainer.loop import train
from trainer.model import Decoder
from trainer.objectives.causal import Causal
from trainer.parallel import Grid
from trainer.passes import WholePasses

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
MODEL = {"layers": 2, "width": 64, "heads": 2, "kv_heads": 1, "hidden": 64}


def losses_to(found: list[float]) -> Callable[[dict[str, Any]], None]:
    return lambda metrics: found.append(metrics["loss"])


def test_a_run_on_an_accelerator_has_the_losses_of_the_cpu(tmp_path: Path) -> None:
    counting_corpus(tmp_path / "corpus")
    losses: dict[str, list[float]] = {}
    for device, is_compiled in (("cpu", False), ("cuda", False), ("cuda", True)):
        found = losses.setdefault(f"{device} {is_compiled}", [])
        context = Context(device=torch.device(device), report=losses_to(found))
        config = small_config(model=MODEL, compile=is_compiled, steps=8)
        train([str(tmp_path / "corpus")], config, str(tmp_path / f"run-{device}-{is_compiled}"), context)
    assert len(losses["cpu False"]) == 8
    assert losses["cuda False"] == pytest.approx(losses["cpu False"], rel=0, abs=1e-3)
    assert losses["cuda True"] == pytest.approx(losses["cpu False"], rel=0, abs=1e-3)


def test_the_host_does_not_wait_for_the_device_inside_the_passes_of_a_step(tmp_path: Path) -> None:
    counting_corpus(tmp_path / "corpus")
    device = torch.device("cuda")
    config = small_config(model=MODEL)
    data = open_data([str(tmp_path / "corpus")], config)
    model = Decoder(config.model, data.vocab_size, 0).to(device)
    model.compile_parts("cuda")
    autocast = torch.autocast("cuda", dtype=torch.bfloat16)
    passes = WholePasses(model, Causal(), Grid(), device, autocast, 0)
    parts = [data.train.batch(step, 0, 1) for step in (1, 2)]
    first = passes.run(parts, 1).by_segment.sum(dim=1)  # compiles, and pins memory for the first time
    torch.cuda.set_sync_debug_mode("error")
    try:
        second = passes.run(parts, 2).by_segment.sum(dim=1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(second, first, rtol=1e-3, atol=0)
