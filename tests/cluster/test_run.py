"""What a build says besides its progress."""

import sys

import pytest

from cluster.run import build_corpus, tell_compiling
from filters.kernels.cache import kernel_folder


def test_compiling_is_told_where_it_took_long(capsys):
    tell_compiling(0.4)
    tell_compiling(37.6)
    line = f"compiled kernels for this machine in 38 s, once: they are kept in {kernel_folder()}\n"
    assert capsys.readouterr().err == line


def test_without_a_folder_nothing_is_said_to_be_kept(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "file"))
    tell_compiling(37.6)
    assert capsys.readouterr().err == "compiled kernels for this machine in 38 s\n"


@pytest.mark.parametrize(("num_kernels", "said"), [(0, True), (12, False)])
def test_a_build_that_finds_no_kernels_says_so_first(capsys, monkeypatch, sample_recipe, num_kernels, said):
    monkeypatch.setattr("cluster.run.kept_kernels", lambda: (num_kernels, 0))
    monkeypatch.setattr("cluster.run.build_from", lambda *recipe_out_runner_watch: print("built", file=sys.stderr))
    build_corpus(str(sample_recipe), "corpus", "local", None, None, [])
    before = capsys.readouterr().err.split("built\n")[0]
    assert before == ("no compiled kernels yet: compiling them takes up to a minute\n" if said else "")
