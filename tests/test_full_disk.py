"""A disk that fills up in the middle of a build: what the user sees, and that the same command then finishes."""

import resource
import subprocess
import sys

import pytest

from manifests.manifest import read_manifest
from tests.shared import ROOT


def build(recipe, out, limit=resource.RLIM_INFINITY):
    """Run the command with a limit on the size of a file, which the kernel enforces as it does a full disk."""
    call = [sys.executable, "-m", "cluster.cli", "build", str(recipe), "--out", str(out), "--runner", "local"]
    restrict = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # noqa: E731
    done = subprocess.run(call, cwd=ROOT, preexec_fn=restrict, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_build_that_runs_out_of_space_says_so_and_is_finished_by_the_same_command(
    sample_recipe, sample_corpus, tmp_path
):
    out = tmp_path / "corpus"
    code, told = build(sample_recipe, out, limit=80_000)
    last = told.strip().splitlines()[-1]
    assert code == 1
    assert last.startswith(f"gristmill: {out}/")
    assert "cannot be written: File too large" in last
    assert "run the same command again: finished work is kept" in last
    assert "Traceback" not in told
    assert not list(out.rglob("*.tmp"))
    code, told = build(sample_recipe, out)
    assert code == 0, told
    assert read_manifest(str(out)).digest == read_manifest(str(sample_corpus)).digest
