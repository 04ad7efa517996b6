from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer.synthetic import counting_corpus, small_config
from trainer.context import Context
from trainer.draws import draw
from trainer.dropout import Dropout, dropout_seeds, kept
from trainer.loop import train
from trainer.run_files import read_metrics

CPU = torch.device("cpu")
FIRST = torch.tensor(0)
SAMPLES = np.array([0, 7, -1])


def test_what_stays_is_told_by_the_draws_for_sample_place_and_number() -> None:
    found = kept(dropout_seeds(5, SAMPLES, CPU), torch.tensor(3), torch.Size([4, 6]), 0.25)
    counters = np.arange(24)[None]
    draws = draw("dropout 5", SAMPLES.clip(0)[:, None], np.array([[3]]), counters)
    assert found.tolist() == ((draws >> np.uint64(40)) >= 2**22).reshape(3, 4, 6).tolist()


def test_a_quarter_goes_and_the_rest_is_scaled_in_training_alone() -> None:
    module, x = Dropout(0.25), torch.ones(3, 100, 200)
    seeds = dropout_seeds(0, SAMPLES, CPU)
    dropped = module(x, seeds, FIRST)
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3])
    # 60,000 draws: five standard deviations are 0.009.
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.009)
    assert not torch.equal(dropped, module(x, seeds, FIRST + 1))
    assert torch.equal(module.eval()(x, seeds, FIRST), x)
    assert torch.equal(module.train()(x, None, FIRST), x)


@pytest.mark.parametrize("changes", [{"micro_batch": 1}, {"micro_batch": 3}, {"activation_checkpointing": True}])
def test_the_same_is_dropped_whatever_the_micro_batches(tmp_path: Path, changes: dict[str, object]) -> None:
    counting_corpus(tmp_path / "corpus")
    shape = {"layers": 2, "width": 16, "heads": 2, "kv_heads": 1, "hidden": 32, "dropout": 0.3}
    losses = []
    for name, more in (("plain", {"micro_batch": 4}), ("changed", {"micro_batch": 4, **changes})):
        config = small_config(**{"model": shape, "steps": 6, **more})
        train([str(tmp_path / "corpus")], config, str(tmp_path / name), Context())
        losses.append([line["loss"] for line in read_metrics(str(tmp_path / name))])
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
    config = small_config(model={**shape, "dropout": 0.0}, steps=6, micro_batch=4)
    train([str(tmp_path / "corpus")], config, str(tmp_path / "none"), Context())
    assert [line["loss"] for line in read_metrics(str(tmp_path / "none"))] != pytest.approx(losses[0], abs=1e-3)
