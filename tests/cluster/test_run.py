"""What a build says besides its progress."""

import os

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


def test_a_build_that_finds_no_kernels_says_so_first(capsys, monkeypatch, sample_recipe, tmp_path):
    overrides = ["pack.length=128"]
    build_corpus(str(sample_recipe), str(tmp_path / "warm"), "local", None, None, overrides)
    assert "no compiled kernels yet" not in capsys.readouterr().err
    monkeypatch.setattr("cluster.run.kept_kernels", lambda: (0, 0))
    build_corpus(str(sample_recipe), os.fspath(tmp_path / "warm"), "local", None, None, overrides)
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "no compiled kernels yet: compiling them takes up to a minute"
