"""Losses of documents: what is kept of each segment, and that nothing is lost or doubled by crashes."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests import shards
from tests.trainer.crashes import Crash, crash_at
from tests.trainer.synthetic import Segments, counting_corpus, make_corpus, small_config
from tests.trainer.tiny import run as tune
from tests.trainer.tiny import tuning, write_tokenizer
from tests.trainer.workers import Group, train_together
from trainer.checkpoint import latest_checkpoint
from trainer.context import Context
from trainer.data import open_data
from trainer.document_losses import SCHEMA, LossLog, drop_after, loss_files, read_losses
from trainer.loop import train
from trainer.run_files import read_metrics

PARTS = [
    Segments((("long", 0, (1, 2, 3)), ("a", 1, (4, 0)))),
    Segments((("b", 1, (5, 0)),)),
]


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    counting_corpus(tmp_path / "corpus")
    return str(tmp_path / "corpus")


def rows(out: Path | str, last_step: int = 20) -> list[dict[str, Any]]:
    """All rows, with what they are known by first."""
    found = read_losses(str(out), range(1, last_step + 1)).to_pylist()
    return sorted(found, key=lambda row: (row["step"], row["row"], row["doc_id"]))


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Assert that rows are equal, but for the rounding of losses."""
    names = [name for name in SCHEMA.names if name not in ("loss", "bits_per_byte")]
    assert [[row[name] for name in names] for row in found] == [[row[name] for name in names] for row in expected]
    assert [row["loss"] for row in found] == pytest.approx([row["loss"] for row in expected], abs=1e-4)


def names(out: Path) -> list[str]:
    return [Path(uri).name for uri in loss_files(str(out))]


def test_each_segment_of_a_step_is_a_row(tmp_path: Path) -> None:
    make_corpus(tmp_path / "corpus", [PARTS[:1], PARTS[1:]], [], 8, 16)
    data = open_data([str(tmp_path / "corpus")], small_config(global_batch=2))
    batch = data.train.batch(3, 0, 1)
    order = batch.rows.tolist()
    sums = {0: [[2.0, 3.0], [2, 1], [6.0, 0.0]], 1: [[0.0], [0], [0.0]]}
    log = LossLog(str(tmp_path / "run"), data, 4)
    log.append(3, batch, np.concatenate([np.array(sums[row]) for row in order], axis=1))
    log.flush()
    log.flush()  # nothing was kept since: no second file
    assert names(tmp_path / "run") == ["0000000003-0000000003-00004.parquet"]
    assert shards.read_table(loss_files(str(tmp_path / "run"))[0]).schema == SCHEMA
    a, long, b = rows(tmp_path / "run")
    assert (long["step"], long["row"], long["doc_id"], long["source"]) == (3, 0, "long", "even")
    assert (long["num_targets"], long["num_bytes"], long["loss"]) == (2, 6.0, 1.0)
    assert long["bits_per_byte"] == pytest.approx(2 / math.log(2) / 6)
    assert (a["doc_id"], a["source"], a["loss"], a["num_bytes"], a["bits_per_byte"]) == ("a", "odd", 3.0, None, None)
    assert (b["num_targets"], b["loss"], b["language"], b["quality"]) == (0, None, None, None)


def test_the_losses_of_documents_add_up_to_those_of_steps(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(), str(tmp_path / "run"), Context())
    assert names(tmp_path / "run") == [f"{first:010d}-{first + 4:010d}-00000.parquet" for first in (1, 6, 11, 16)]
    found = rows(tmp_path / "run")
    for line in read_metrics(str(tmp_path / "run")):
        of_step = [row for row in found if row["step"] == line["step"]]
        nats, num_targets = (sum(row[name] * times for row, times in pairs) for name, pairs in (
            ("loss", [(row, row["num_targets"]) for row in of_step]), ("num_targets", [(row, 1) for row in of_step]),
        ))  # fmt: skip
        assert num_targets == line["num_targets"]
        assert nats / num_targets == pytest.approx(line["loss"], rel=1e-6)
        bits = nats / math.log(2) / sum(row["num_bytes"] for row in of_step)
        assert bits == pytest.approx(line["bits_per_byte"], rel=1e-6)
        even = [row for row in of_step if row["source"] == "even"]
        total = sum(row["loss"] * row["num_targets"] for row in even) / sum(row["num_targets"] for row in even)
        assert total == pytest.approx(line["loss_by_source"]["even"], rel=1e-6)
    documents = (
        open_data([corpus], small_config()).train.segments(np.array([found[0]["row"]]))["segment_doc"].to_pylist()
    )
    assert [row["doc_id"] for row in found[:2]] == documents


def test_without_the_key_nothing_is_kept(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(losses=False, steps=2), str(tmp_path / "run"), Context())
    assert loss_files(str(tmp_path / "run")) == []
    assert read_losses(str(tmp_path / "run"), [1, 2]).num_rows == 0


def test_steps_that_a_crash_has_undone_are_written_once(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(), str(tmp_path / "straight"), Context())
    with pytest.raises(Crash):
        train([corpus], small_config(), str(tmp_path / "stopped"), crash_at(12))
    train([corpus], small_config(), str(tmp_path / "stopped"), Context())
    same(rows(tmp_path / "stopped"), rows(tmp_path / "straight"))


def test_files_after_the_last_checkpoint_go_when_the_run_goes_on(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(), str(tmp_path / "run"), Context())
    whole = rows(tmp_path / "run")
    folder = latest_checkpoint(str(tmp_path / "run"))
    assert folder is not None
    shards.remove(folder)  # as if the crash had come after the losses and before the checkpoint
    drop_after(str(tmp_path / "run"), 15)
    assert {row["step"] for row in rows(tmp_path / "run")} == set(range(1, 16))
    train([corpus], small_config(), str(tmp_path / "run"), Context())
    same(rows(tmp_path / "run"), whole)


def test_only_the_steps_that_are_asked_for_are_read(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(), str(tmp_path / "run"), Context())
    assert set(read_losses(str(tmp_path / "run"), [19, 3])["step"].to_pylist()) == {3, 19}
    assert read_losses(str(tmp_path / "run"), [21]).num_rows == 0
    assert read_losses(str(tmp_path / "nowhere"), [1]).schema == SCHEMA


def test_examples_are_known_by_file_and_line(tmp_path: Path) -> None:
    config = tuning("instruction", steps=6, checkpoint_every=3, examples={"tokenizer": str(write_tokenizer(tmp_path))})
    tune(tmp_path, "chat", config)
    found = rows(tmp_path / "chat", 6)
    assert {row["doc_id"] for row in found} == {f"chat.jsonl:{line}" for line in range(1, 9)}
    assert {row["num_targets"] for row in found} == {2}  # the answer and the end of text
    assert all(row["num_bytes"] > 0 for row in found)


def test_pairs_and_labels_are_no_text_and_have_no_bits_per_byte(tmp_path: Path) -> None:
    config = tuning("preference", steps=5, examples={"tokenizer": str(write_tokenizer(tmp_path))})
    tune(tmp_path, "pairs", config)
    found = rows(tmp_path / "pairs", 5)
    assert {row["num_targets"] for row in found} == {0, 1}  # one of the two sides stands for the pair
    assert {row["bits_per_byte"] for row in found} == {None}
    assert "bits_per_byte" not in read_metrics(str(tmp_path / "pairs"))[0]


def test_losses_of_any_file_system_are_read(corpus: str) -> None:
    train([corpus], small_config(steps=6), "memory://with-losses", Context())
    assert len(rows("memory://with-losses", 6)) == 6 * 8


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [{}, {"tensor": 2, "pipeline": 2}])
def test_workers_write_the_losses_of_one(corpus: str, tmp_path: Path, parallel: dict[str, int]) -> None:
    model = {"layers": 2, "width": 16, "heads": 4, "kv_heads": 2, "hidden": 32}
    settings = {"model": model, "micro_batch": 1, "steps": 10}
    train([corpus], small_config(**settings), str(tmp_path / "one"), Context())
    train_together(4, corpus, small_config(**settings, parallel=parallel), tmp_path / "four")
    same(rows(tmp_path / "four"), rows(tmp_path / "one"))
    assert len(names(tmp_path / "four")) == 2 * (1 if parallel else 4)


@pytest.mark.slow
def test_workers_that_are_killed_and_go_on_as_others_count_every_segment_once(corpus: str, tmp_path: Path) -> None:
    config = small_config(steps=30, checkpoint_every=3, eval_every=30, micro_batch=1)
    train([corpus], config, str(tmp_path / "alone"), Context())
    out = tmp_path / "killed"
    num_killed = 0
    for number, num_workers in enumerate((3, 1, 2, 4)):
        group = Group(num_workers, corpus, config, out)
        while group.is_alive() and number < 3 and len(read_metrics(str(out))) < 7 * number + 5:
            time.sleep(0.01)
        num_killed += group.kill() if number < 3 else 0
        codes = group.join()
    assert num_killed >= 3
    assert codes == [0, 0, 0, 0]
    same(rows(out, 30), rows(tmp_path / "alone", 30))


def test_a_table_of_losses_needs_nothing_of_ours_to_be_read(corpus: str, tmp_path: Path) -> None:
    train([corpus], small_config(steps=2), str(tmp_path / "run"), Context())
    table = pa.parquet.read_table(tmp_path / "run" / "losses")
    assert table.group_by("doc_id").aggregate([("loss", "mean")]).num_rows == 16
