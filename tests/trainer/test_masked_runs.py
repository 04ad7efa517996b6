"""Masked objectives through the whole trainer."""

import math
import os
import shutil
from pathlib import Path

import pytest
import torch

from tests.conftest import build_local
from tests.trainer.synthetic import counting_corpus
from trainer.__main__ import main
from trainer.bert import MaskedBert, PairBert
from trainer.checkpoint import latest_checkpoint, read_model
from trainer.data import open_data
from trainer.objectives.masked import Masking
from trainer.objectives.next_sentence import IS_OTHER, NextSentence
from trainer.run_files import read_metrics, read_run
from trainer.token_losses import IGNORED

SMALL = (
    'objective = "{}"\nsteps = {}\nglobal_batch = 8\nmicro_batch = 4\neval_every = 30\ncheckpoint_every = 30\n'
    'precision = "fp32"\n[optimizer]\nlr = 1e-2\n[schedule]\nwarmup_steps = 2\n'
    "[model]\nlayers = 1\nwidth = 32\nheads = 2\nkv_heads = 2\nhidden = 64\ndropout = 0.1\n"
)


@pytest.fixture(autouse=True)
def one_thread_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command shares the cores of a machine between its workers; these models want one."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(os.cpu_count()))


def run(corpus: Path, out: Path, objective: str, steps: int = 60) -> list[float]:
    """`python -m trainer` in this process; returns the losses."""
    config = Path(f"{out}.toml")
    config.write_text(SMALL.format(objective, steps))
    assert main([str(corpus), "--out", str(out), "--config", str(config)]) == 0
    return [metrics["loss"] for metrics in read_metrics(str(out))]


@pytest.mark.parametrize(("objective", "kind"), [("masked", MaskedBert), ("next_sentence", PairBert)])
def test_a_run_trains_validates_and_goes_on_where_it_stopped(
    tmp_path: Path, objective: str, kind: type[torch.nn.Module]
) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "run"
    counting_corpus(corpus, vocab_size=8)
    losses = run(corpus, out, objective)
    assert len(losses) == 60
    assert sum(losses[-9:]) < sum(losses[:9]) - 2.0
    last = read_metrics(str(out))[-1]
    assert last["validation_loss"] == pytest.approx(losses[-1], abs=0.5)
    assert "validation_bits_per_byte" not in last
    shutil.rmtree(out / "checkpoints/step-00000060")
    assert run(corpus, out, objective) == pytest.approx(losses, abs=1e-5)
    folder = latest_checkpoint(str(out))
    assert folder is not None
    assert folder.endswith("step-00000060")
    assert isinstance(read_model(folder)[0], kind)


def test_a_real_corpus_has_pairs_to_learn_from(sample_recipe: Path, corpus_copy: Path, tmp_path: Path) -> None:
    build_local(sample_recipe, corpus_copy, "pack.length=1024")
    losses = run(corpus_copy, tmp_path / "run", "next_sentence", steps=3)
    assert losses[-1] < losses[0]
    config = read_run(str(tmp_path / "run")).config.model_copy(update={"global_batch": 200})
    data = open_data([str(corpus_copy)], config)
    batch = data.train.batch(1, 0, 1)
    rows = NextSentence(Masking.of(config, data)).sequences(batch)
    labels = []
    for row, sequences in zip(batch.rows.tolist(), rows, strict=True):
        documents = data.train.documents(row)["segment_doc"]
        for pair in sequences:
            a, b = (documents[segment] for segment in pair.segments)
            assert (a == b) == (pair.label != IS_OTHER)
            labels += [pair.label] if pair.label != IGNORED else []
    assert len(labels) > 100
    # Coins are of couples: four standard deviations of 50 or more of them.
    assert sum(labels) / len(labels) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(len(labels) / 2))
