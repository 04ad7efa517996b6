"""The kernel cache: who finds what another process compiled, and what is never used."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from filters.kernels import cache
from filters.kernels.cache import kernel_folder, why_unusable
from tests.shared import ROOT

KERNELS = ROOT / "filters" / "kernels"
HELPER = "from filters.kernels.jit import kernel\n\n\n@kernel\ndef step(x):\n    return x + 1\n"
OUTER = (
    "from filters.kernels.helper import step\nfrom filters.kernels.jit import kernel\n\n\n"
    "@kernel\ndef run(x):\n    return step(x)\n"
)
PROGRAM = (
    "import sys; from filters.kernels.jit import compile_seconds; from filters.kernels.outer import run\n"
    "found = [run(eval(value)) for value in sys.argv[1:]]\n"
    "print(*found, 'compiled' if compile_seconds() > 0 else 'loaded')\n"
)


@pytest.fixture
def checkout(tmp_path):
    """A package `filters` with the real decorator and cache, and two kernels, one inlined into the other."""
    return make_checkout(tmp_path / "one")


def make_checkout(folder):
    kernels = folder / "filters" / "kernels"
    kernels.mkdir(parents=True)
    for path in (folder / "filters" / "__init__.py", kernels / "__init__.py"):
        path.touch()
    for name in ("jit.py", "cache.py"):
        shutil.copy(KERNELS / name, kernels)
    (kernels / "helper.py").write_text(HELPER)
    (kernels / "outer.py").write_text(OUTER)
    return folder


def start(checkout, home, *values):
    env = {**os.environ, "PYTHONPATH": str(checkout), "GRISTMILL_CACHE": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    call = [sys.executable, "-c", PROGRAM, *values]
    return subprocess.Popen(call, cwd=checkout, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process):
    out, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (0, "")
    return out.strip()


def run(checkout, home, *values):
    return said(start(checkout, home, *(values or ["1"])))


@pytest.mark.slow
def test_a_kernel_is_compiled_once_for_all_processes_and_checkouts(checkout, tmp_path):
    home = tmp_path / "cache"
    assert run(checkout, home) == "2 compiled"
    assert run(checkout, home) == "2 loaded"
    assert run(make_checkout(tmp_path / "two"), home) == "2 loaded"
    assert list(checkout.rglob("*.nbc")) == []


@pytest.mark.slow
def test_a_change_in_an_inlined_kernel_of_another_file_is_noticed(checkout, tmp_path):
    home, helper = tmp_path / "cache", checkout / "filters" / "kernels" / "helper.py"
    assert run(checkout, home) == "2 compiled"
    helper.write_text(HELPER.replace("x + 1", "x + 9"))
    assert run(checkout, home) == "10 compiled"
    helper.write_text(HELPER)
    assert run(checkout, home) == "2 loaded"


@pytest.mark.slow
def test_a_change_elsewhere_compiles_nothing_anew(checkout, tmp_path):
    home = tmp_path / "cache"
    assert run(checkout, home) == "2 compiled"
    (checkout / "filters" / "kernels" / "other.py").write_text("from filters.kernels.helper import step\n")
    assert run(checkout, home) == "2 loaded"


@pytest.mark.slow
def test_processes_that_compile_for_several_types_at_once_do_not_mix_them_up(checkout, tmp_path):
    home = tmp_path / "cache"
    processes = [start(checkout, home, value) for value in ("1", "0.5", "1j")]
    assert [said(process) for process in processes] == ["2 compiled", "1.5 compiled", "(1+1j) compiled"]
    assert run(checkout, home, "1", "0.5", "1j") == "2 1.5 (1+1j) loaded"


def test_the_folder_is_for_its_user_alone(checkout, tmp_path):
    run(checkout, tmp_path / "cache")
    assert (tmp_path / "cache" / "kernels").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("home", ["a_file/cache", "open"])
def test_without_a_usable_folder_every_process_compiles(checkout, tmp_path, home):
    (tmp_path / "a_file").touch()
    (tmp_path / "open" / "kernels").mkdir(parents=True)
    (tmp_path / "open" / "kernels").chmod(0o777)
    for _ in range(2):
        assert run(checkout, tmp_path / home) == "2 compiled"
    assert list(tmp_path.rglob("*.nbc")) == []


def test_why_a_folder_is_not_used(tmp_path, monkeypatch):
    (tmp_path / "a_file").touch()
    assert why_unusable(str(tmp_path / "a_file" / "kernels")) == "not a directory"
    assert why_unusable("cache/kernels") == "it is not an absolute path"
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o770)
    assert why_unusable(str(tmp_path / "open")) == "other users can write to it"
    assert why_unusable(str(tmp_path / "private")) is None
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    assert why_unusable(str(tmp_path / "shared" / "kernels")) == f"other users can replace {tmp_path / 'shared'}"
    monkeypatch.setattr(cache.os, "geteuid", lambda: os.getuid() + 1)
    assert why_unusable(str(tmp_path / "of_another")) == "it belongs to another user"


def test_the_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("GRISTMILL_CACHE", "/somewhere")
    assert kernel_folder() == "/somewhere/kernels"
    monkeypatch.setenv("GRISTMILL_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert kernel_folder() == "/caches/gristmill/kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kernel_folder() == os.path.expanduser("~/.cache/gristmill/kernels")


def test_kernels_depend_on_nothing_of_ours_but_what_their_digest_covers():
    """The digest finds imports by a pattern: it must see every one, and kernels import from their package alone."""
    num_imports = 0
    for path in sorted(KERNELS.glob("*.py")):
        source = path.read_text("utf-8")
        froms = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        plain = [
            name.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for name in node.names
        ]
        ours = [node.module for node in froms if re.match(r"(filters|manifests|corpus)\b", node.module or "")]
        assert [name for name in plain if name.startswith("filters")] == [], path.name
        assert sorted(ours) == sorted(f"filters.kernels.{name}" for name in cache._IMPORTED.findall(source)), path.name
        num_imports += len(ours)
    assert num_imports > 50
    assert Path(cache._SOURCES) == KERNELS
