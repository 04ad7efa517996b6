"""Models of the transformers library, whole and with LoRA, shared out over workers by FSDP2."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.tiny import run, tuning, write_hugging_face
from tests.trainer.workers import train_together
from trainer.checkpoint import list_checkpoints
from trainer.context import Context
from trainer.loop import train
from trainer.run_files import read_metrics

FAMILIES = [("gpt2", "instruction"), ("llama", "preference"), ("t5", "translation"), ("bert", "classification")]
NO_DROPOUT = {"gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}}


def losses(out: Path) -> list[float]:
    return [metrics["loss"] for metrics in read_metrics(str(out))]


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, {"rank": 2}])
@pytest.mark.parametrize(("family", "objective"), FAMILIES)
def test_shared_out_models_learn_as_whole_ones_and_go_on_whole(
    lora: dict[str, Any] | None, family: str, objective: str, tmp_path: Path
) -> None:
    # Biases of keys have no gradient but rounding, which Adam makes as large as any other: sums in another order show.
    close = 5e-4 if (family, lora) == ("bert", None) else 2e-5
    init = write_hugging_face(tmp_path / family, family, **NO_DROPOUT.get(family, {}))
    config = tuning(objective, init=init, lora=lora, steps=6, checkpoint_every=3, report_every=1)
    run(tmp_path, "alone", config)
    shared = config.model_copy(update={"parallel": config.parallel.model_copy(update={"shard": True})})
    train_together(2, str(tmp_path / "alone.jsonl"), shared, tmp_path / "shared")
    assert losses(tmp_path / "shared") == pytest.approx(losses(tmp_path / "alone"), abs=close)
    assert abs(losses(tmp_path / "alone")[-1] - losses(tmp_path / "alone")[0]) > 20 * close  # it does learn
    shutil.rmtree(list_checkpoints(str(tmp_path / "shared"))[-1])
    train([str(tmp_path / "alone.jsonl")], config, str(tmp_path / "shared"), Context())  # from step 3, in one process
    assert losses(tmp_path / "shared") == pytest.approx(losses(tmp_path / "alone"), abs=close)
