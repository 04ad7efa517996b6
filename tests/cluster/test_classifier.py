"""`gristmill classifier train` on the command line."""

import json

import pytest


@pytest.fixture
def train(run):
    return lambda *arguments: run("classifier", "train", *arguments)


@pytest.fixture
def classes(tmp_path):
    for name, word in (("good", "grain"), ("bad", "prize")):
        (tmp_path / f"{name}.txt").write_text("".join(f"{word} number{i} of many\n" for i in range(200)))
    return ["--positive", tmp_path / "good.txt", "--negative", tmp_path / "bad.txt", "--held-out", "0.3", "--dim", "4"]


def test_the_report_is_printed_and_lies_beside_the_model(train, classes, tmp_path):
    code, out, err = train(*classes, "--out", tmp_path / "m.bin", "--label", "hq")
    assert (code, err) == (0, "")
    assert "ROC AUC 1.0000" in out
    assert 'labels = { hq = "hq" }' in out
    assert (tmp_path / "m.bin.md").read_text() == out.removesuffix("\n")
    code, out, err = train(*classes, "--out", tmp_path / "m.bin", "--label", "hq", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads((tmp_path / "m.bin.json").read_text())


def test_library_errors_are_one_line_and_wrong_calls_exit_with_two(train, classes, tmp_path):
    code, out, err = train(*classes, "--out", tmp_path / "m.bin", "--held-out", "2")
    assert (code, out) == (1, "")
    assert err.startswith("gristmill: classifier train: key 'held_out' is 2.0")
    assert err.count("\n") == 1
    assert train("--out", tmp_path / "m.bin")[0] == 2
    assert train("--help")[0] == 0
