"""`gristmill classifier train` on the command line."""

import json
import sys

import pytest

from cluster import cli


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["gristmill", "classifier", "train", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def classes(tmp_path):
    for name, word in (("good", "grain"), ("bad", "prize")):
        (tmp_path / f"{name}.txt").write_text("".join(f"{word} number{i} of many\n" for i in range(200)))
    return ["--positive", tmp_path / "good.txt", "--negative", tmp_path / "bad.txt", "--held-out", "0.3", "--dim", "4"]


def test_the_report_is_printed_and_lies_beside_the_model(run, classes, tmp_path):
    code, out, err = run(*classes, "--out", tmp_path / "m.bin", "--label", "hq")
    assert (code, err) == (0, "")
    assert "ROC AUC 1.0000" in out
    assert 'labels = { hq = "hq" }' in out
    assert (tmp_path / "m.bin.md").read_text() == out.removesuffix("\n")
    code, out, err = run(*classes, "--out", tmp_path / "m.bin", "--label", "hq", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads((tmp_path / "m.bin.json").read_text())


def test_library_errors_are_one_line_and_wrong_calls_exit_with_two(run, classes, tmp_path):
    code, out, err = run(*classes, "--out", tmp_path / "m.bin", "--held-out", "2")
    assert (code, out) == (1, "")
    assert err.startswith("gristmill: classifier train: key 'held_out' is 2.0")
    assert err.count("\n") == 1
    assert run("--out", tmp_path / "m.bin")[0] == 2
    assert run("--help")[0] == 0
