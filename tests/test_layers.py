"""Imports go down only; ray, torch and numba each have one place."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared import ROOT

ALLOWED = {
    "manifests": set(),
    "filters": {"manifests"},
    "corpus": {"filters", "manifests"},
    "trainer": {"manifests"},
    "cluster": {"corpus", "trainer", "filters", "manifests"},
}
HEAVY = {"ray": "cluster/", "torch": "trainer/", "numba": "filters/kernels/"}


def imported(path):
    """Top-level names that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def sources(package):
    return sorted(Path(ROOT, package).rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_a_layer_imports_only_layers_below(package):
    files = sources(package)
    assert files
    wrong = {
        (str(path.relative_to(ROOT)), name)
        for path in files
        for name in imported(path)
        if name in ALLOWED and name != package and name not in ALLOWED[package]
    }
    assert wrong == set()


@pytest.mark.parametrize(("library", "place"), HEAVY.items())
def test_heavy_libraries_are_imported_in_one_place_only(library, place):
    users = {
        str(path.relative_to(ROOT)) for package in ALLOWED for path in sources(package) if library in imported(path)
    }
    assert users
    assert {user for user in users if not user.startswith(place)} == set()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("manifests.manifest", ("ray", "torch", "numba", "filters")),
        ("filters", ("ray", "torch")),
        ("corpus.plan", ("ray", "torch")),
        ("corpus.whatif", ("ray", "torch", "numba")),
        ("trainer.loop", ("ray", "filters", "corpus")),
        ("cluster.cli", ("ray", "torch")),
    ],
)
def test_importing_a_package_loads_nothing_of_the_layers_above(module, absent):
    code = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
