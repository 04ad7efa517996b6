from pathlib import Path

import pytest

from manifests.errors import InputError
from tests.trainer.synthetic import small_config
from trainer.run_files import MetricsLog, RunFacts, read_metrics, read_run, write_run


def test_the_description_of_a_run_comes_back(tmp_path: Path) -> None:
    facts = RunFacts(paths=("s3://bucket/corpus",), digest="d", config=small_config())
    write_run(str(tmp_path), facts)
    assert read_run(str(tmp_path)) == facts


def test_a_local_manifest_is_found_from_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run("run", RunFacts(paths=("corpus",), digest="d", config=small_config()))
    assert read_run("run").paths == (str(tmp_path / "corpus"),)


def test_a_folder_without_a_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no training run"):
        read_run(str(tmp_path))


def test_steps_that_a_crash_has_undone_are_dropped_from_the_metrics(tmp_path: Path) -> None:
    log = MetricsLog(str(tmp_path), 0)
    for step in (1, 2, 3):
        log.append({"step": step})
    MetricsLog(str(tmp_path), 2).append({"step": 3, "again": True})
    assert read_metrics(str(tmp_path)) == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}]


def test_a_last_line_that_is_not_whole_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step"')
    assert read_metrics(str(tmp_path)) == [{"step": 1}]


def test_the_metrics_behind_a_step_can_be_asked_for(tmp_path: Path) -> None:
    log = MetricsLog(str(tmp_path), 0)
    for step in (1, 2, 3):
        log.append({"step": step})
    assert [metrics["step"] for metrics in read_metrics(str(tmp_path), 1)] == [2, 3]
    assert read_metrics(str(tmp_path), 3) == []
    assert [metrics["step"] for metrics in read_metrics(str(tmp_path))] == [1, 2, 3]
