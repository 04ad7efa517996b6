import os
import re
import subprocess
import sys
from importlib import metadata

import pytest

from cluster import doctor
from cluster.doctor import PACKAGES, Check, examine, shadowed
from corpus.recipe_file import read_recipe
from filters.kernels.cache import kernel_folder
from manifests.errors import InputError, ModelError


def found(name):
    (check,) = [check for check in examine() if check.name == name]
    return check


def test_the_environment_of_these_tests_is_sound():
    assert [check for check in examine() if not check.passed and check.name != "temporary space"] == []
    assert [check.name for check in examine()][1:6] == [f"package {name}" for name in PACKAGES]
    assert found("ray").found == metadata.version("ray")
    assert shadowed() == []


@pytest.mark.parametrize("name", ["manifests", "filters"])
def test_a_package_before_ours_is_told_of_before_it_is_imported(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise SystemExit('imported')")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    call = [sys.executable, "-m", "cluster.cli", "doctor"]
    ended = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"gristmill: package {name} is {tmp_path}/{name}. It stands before gristmill's own in ")
    assert line.endswith("uninstall it, or use an environment of its own.")


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    def version(name):
        if name == "gigatoken":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor.metadata, "version", version)
    assert found("gigatoken") == Check("gigatoken", False, "not installed", "pip install gigatoken")
    assert found("numba") == Check("numba", True, "1.0")


def test_an_unusable_language_model_says_what_to_do(monkeypatch):
    def check(self):
        raise ModelError("lid.176.ftz: is not installed.")

    monkeypatch.setattr("filters.language.Language.check", check)
    assert found("language model") == Check("language model", False, "not usable", "lid.176.ftz: is not installed.")


def test_a_full_disk_and_an_unwritable_cache_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 1 << 62)
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "file"))
    assert not found("temporary space").passed
    assert "TMPDIR" in found("temporary space").remedy
    assert found("kernel cache").found == f"{tmp_path}/file/kernels: not a directory"
    assert not found("kernel cache").passed
    assert "GRISTMILL_CACHE" in found("kernel cache").remedy


def test_a_cache_without_kernels_says_who_compiles_them(monkeypatch):
    monkeypatch.setattr("filters.kernels.cache.kept_kernels", lambda: (0, 0))
    assert found("kernel cache").found.endswith(
        "no kernels yet; the first build compiles them, or `gristmill doctor --warm [RECIPE]`"
    )
    assert found("kernel cache").passed


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [[], ["gopher"]])
def test_every_kernel_that_was_compiled_is_found_again(recipe):
    def warmed():
        call = [sys.executable, "-m", "cluster.cli", "doctor", "--warm", *recipe]
        ended = subprocess.run(call, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()[0]

    assert re.fullmatch(r"kernels: [0-9]+ s of compiling", warmed())
    assert warmed() == "kernels: 0 s of compiling"
    assert re.fullmatch(re.escape(kernel_folder()) + ": [1-9][0-9]+ kernels, [0-9]+ MB", found("kernel cache").found)


def test_a_recipe_to_warm_keeps_its_filters_and_reads_the_sample(sample_recipe, tmp_path):
    sample = read_recipe(str(sample_recipe))
    path = tmp_path / "recipe.toml"
    path.write_text(
        'name = "own"\nshort_circuit = true\n[[source]]\nname = "far"\nformat = "wet"\npaths = ["s3://far/*"]\n'
        '[language]\nkeep = ["sw"]\n[[filter]]\nrule = "madlad"\n[dedup]\nurl = true\n'
    )
    wanted = doctor.on_sample(str(path), sample, str(tmp_path))
    assert [rule.rule for rule in wanted.filter] == ["madlad"]
    assert (wanted.source, wanted.language.keep, wanted.dedup.url) == (sample.source, [], True)
    assert not wanted.short_circuit
    preset = doctor.on_sample("dclm", sample, str(tmp_path))
    assert [rule.semantics for rule in preset.filter if rule.rule == "gopher_quality"] == ["dclm"]


def test_a_name_that_is_no_recipe_is_answered_with_the_presets(sample_recipe, tmp_path):
    sample = read_recipe(str(sample_recipe))
    message = r"^dclmm: there is no such recipe file\. Give a recipe file or a preset: c4, .*dclm, .*gristmill@1"
    with pytest.raises(InputError, match=message):
        doctor.on_sample("dclmm", sample, str(tmp_path))


def test_a_recipe_is_told_only_to_warm(run):
    code, _, err = run("doctor", "gopher")
    assert code == 2
    assert "RECIPE tells --warm whose kernels to compile" in err
