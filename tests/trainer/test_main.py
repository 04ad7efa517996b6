import os
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.lock import locked
from tests.trainer.synthetic import counting_corpus
from trainer.__main__ import main, progress_line
from trainer.run_files import read_metrics

SMALL = (
    "steps = 4\nreport_every = 2\n[schedule]\nwarmup_steps = 1\n"
    "[model]\nlayers = 1\nwidth = 16\nheads = 2\nkv_heads = 1\nhidden = 16\n"
)
NO_RAY = "import sys; sys.modules['ray'] = None; from trainer.__main__ import main; sys.exit(main(sys.argv[1:]))"


def test_it_trains_where_ray_cannot_be_imported(tmp_path: Path) -> None:
    counting_corpus(tmp_path / "corpus")
    (tmp_path / "t.toml").write_text(SMALL)
    arguments = [str(tmp_path / "corpus"), "--out", str(tmp_path / "run"), "--config", str(tmp_path / "t.toml")]
    done = subprocess.run([sys.executable, "-c", NO_RAY, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["step 2", "step 4"]
    assert "bits per byte" in lines[1]
    assert len(read_metrics(str(tmp_path / "run"))) == 4


def test_a_library_error_is_one_line_on_stderr_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counting_corpus(tmp_path / "corpus")
    with locked(str(tmp_path / "run")):
        assert main([str(tmp_path / "corpus"), "--out", str(tmp_path / "run")]) == 1
    assert f"process {os.getpid()}" in capsys.readouterr().err
    assert read_metrics(str(tmp_path / "run")) == []


def test_a_wrong_call_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["corpus"])
    assert stopped.value.code == 2
    assert "--out" in capsys.readouterr().err


def test_a_progress_line_shows_validation_only_where_there_is_one() -> None:
    metrics = {"step": 3, "loss": 2.5, "grad_norm": 0.5, "lr": 0.001, "tokens_per_second": 12345.6}
    plain = "step 3  loss 2.5000  grad norm 0.500  lr 1.00e-03  12,346 tokens/s"
    assert progress_line(metrics) == plain
    masked = {**metrics, "validation_loss": 2.25}
    assert progress_line(masked) == f"{plain}  validation loss 2.2500"
    validated = {**masked, "validation_bits_per_byte": 1.125}
    assert progress_line(validated) == f"{plain}  validation loss 2.2500  1.1250 bits per byte"
