"""What a run tells of its steps."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests import shards
from manifests.manifest import write_manifest
from tests.trainer.crashes import Crash, crash_at
from tests.trainer.synthetic import END_OF_TEXT, Segments, counting_corpus, counting_row, make_corpus, small_config
from tests.trainer.test_events import steps as event_steps
from tests.trainer.workers import train_together
from trainer.__main__ import progress_line
from trainer.context import Context
from trainer.data import documents_of_step, open_data
from trainer.loop import train
from trainer.run_files import read_metrics

POISON = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    counting_corpus(tmp_path / "corpus")
    return str(tmp_path / "corpus")


def test_a_metrics_line_has_every_figure(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(steps=2), str(tmp_path / "run"), Context())
    line = read_metrics(str(tmp_path / "run"))[0]
    assert set(line) == {
        "step", "samples", "loss", "grad_norm", "lr", "num_targets", "tokens_per_second", "step_seconds",
        "loader_wait_seconds", "memory_bytes", "bits_per_byte", "loss_by_source", "model_flops_per_second",
    }  # fmt: skip
    assert line["memory_bytes"] > 1 << 20
    # 4 rows of 31 to 33 tokens; 2,304 weights (q 256, k and v 128 each, o 256, three of 512) and 64 * 16 of the output.
    data = open_data([corpus], small_config())
    lengths = data.train.batch(1, 0, 1).segment_length
    flops = lengths.sum() * 6 * (2304 + 1024) + 12 * 16 * (lengths * (lengths + 1) // 2).sum()
    assert line["model_flops_per_second"] * line["step_seconds"] == pytest.approx(flops)


def with_slices(folder: Path) -> str:
    """A corpus whose even documents are English of decile 9, and of whose odd ones nothing is known."""
    manifest = counting_corpus(folder)
    entries = []
    for shard in manifest.shards:
        table = shards.read_table(str(folder / shard.path))
        for name, value in (("segment_language", 0), ("segment_quality", 9)):
            field = table.schema.field(name)
            cells = pa.array([[value, -1]] * len(table), field.type)
            table = table.set_column(table.schema.get_field_index(name), field, cells)
        entry = shards.write_table(str(folder / shard.path), table)
        entries.append(shard.model_copy(update={"sha256": entry.sha256, "bytes": entry.bytes}))
    packing = manifest.packing.model_copy(update={"languages": ["en"]})
    write_manifest(str(folder), manifest.model_copy(update={"shards": entries, "packing": packing}))
    return str(folder)


def spiked_corpus(folder: Path) -> None:
    """Rows that count, and one of which nothing could be foretold."""
    rows = [counting_row(row, 32, 64) for row in range(400)]
    noise = (*np.random.default_rng(0).integers(1, 64, 32).tolist(), END_OF_TEXT)
    rows[200] = Segments(((POISON, 1, noise),))
    make_corpus(folder, [rows], [], 32, 64)


def poisoned_step(folder: Path, config: Any) -> int:
    data = open_data([str(folder)], config)
    found = [
        step
        for step in range(1, config.steps + 1)
        if any(POISON in row["segment_doc"] for row in documents_of_step(data, step))
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("num_workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_spike_names_the_poisoned_document_and_its_source(tmp_path: Path, num_workers: int) -> None:
    spiked_corpus(tmp_path / "corpus")
    config = small_config(steps=100, checkpoint_every=100, report_every=1000, seed=2, optimizer={"lr": 0.02})
    told: list[dict[str, Any]] = []
    if num_workers == 1:
        train([str(tmp_path / "corpus")], config, str(tmp_path / "run"), Context(report=told.append))
    else:
        train_together(num_workers, str(tmp_path / "corpus"), config, tmp_path / "run")
    step = poisoned_step(tmp_path / "corpus", config)
    lines = read_metrics(str(tmp_path / "run"))
    assert [line["step"] for line in lines if "spike" in line] == [step]
    line = lines[step - 1]
    worst, *others = line["spike"]["documents"]
    assert (worst["doc_id"], worst["source"], worst["num_targets"]) == (POISON, "odd", 32)
    assert worst["loss"] > 4.0
    assert len(others) == 4
    assert line["loss_by_source"]["odd"] > line["loss_by_source"]["even"]
    if num_workers == 1:
        assert told == [line, lines[-1]]
        text = progress_line(line).splitlines()
        assert text[1].startswith(
            f"  spike: loss {line['loss']:.4f}, usual {line['spike']['usual_loss']:.4f}; by source odd"
        )
        assert text[2].startswith(f"  {POISON}  loss {worst['loss']:.4f} over 32 targets, from token 0, source odd")
        assert text[-1] == f"  all documents of the step: gristmill explain RUN --step {step}"


def test_event_files_have_every_step_once_after_a_crash(corpus: str, tmp_path: Path) -> None:
    with pytest.raises(Crash):
        train([corpus], small_config(), str(tmp_path / "run"), crash_at(12))
    assert event_steps(str(tmp_path / "run")) == list(range(1, 13))
    train([corpus], small_config(), str(tmp_path / "run"), Context())
    assert event_steps(str(tmp_path / "run")) == list(range(1, 21))


@pytest.mark.slow
def test_slices_and_figures_of_workers_are_those_of_one(tmp_path: Path) -> None:
    corpus = with_slices(tmp_path / "corpus")
    config = small_config(steps=3, micro_batch=1)
    train([corpus], config, str(tmp_path / "one"), Context())
    train_together(3, corpus, config, tmp_path / "three")
    for line, expected in zip(*(read_metrics(str(tmp_path / name)) for name in ("three", "one")), strict=True):
        assert set(line) == set(expected)
        assert set(line["loss_by_language"]) == {"en", "unknown"}
        for name in ("loss_by_source", "loss_by_language", "loss_by_quality"):
            assert line[name] == pytest.approx(expected[name], abs=1e-5)
        assert line["loss_by_quality"]["9"] == line["loss_by_source"]["even"]
        assert line["bits_per_byte"] == pytest.approx(expected["bits_per_byte"], abs=1e-5)
        flops = [each["model_flops_per_second"] * each["step_seconds"] for each in (line, expected)]
        assert flops[0] == pytest.approx(flops[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute of a Tensor:UserWarning")
def test_a_compiled_run_tells_how_many_graphs_were_compiled(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(steps=3, compile=True, losses=False), str(tmp_path / "run"), Context())
    counts = [line["num_compiled_graphs"] for line in read_metrics(str(tmp_path / "run"))]
    assert counts[0] > 0
    assert counts == [counts[0]] * 3
