"""Builds that are killed, whole or in parts, at any moment: the same command goes on, and the corpus is the same."""

import random
import signal
import subprocess
import sys

import psutil
import pytest

from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.verify import verify
from manifests.manifest import read_manifest
from tests.cluster.test_submit import wait_until
from tests.conftest import build_local, unwatched
from tests.crashes import RECIPE, DyingRunner, Killer, RayNodes, write_recipe
from tests.shared import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")]

NUM_KILLS = 25
TASKS = {
    "score_unit",
    *("collect_equal", "pair_equal", "collect_bands", "pair_bands", "send_facts", "decide", "write_units"),
    *("hash_lines", "find_repeats", "write_removed"),
    "finish_unit",
    "gather_and_pack",
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def digest(recipe, tmp_path_factory):
    """Of the corpus of an undisturbed build."""
    return build_local(recipe, tmp_path_factory.mktemp("whole") / "corpus").digest


def check(out, digest):
    """The corpus is whole and the one that is wanted, and nothing else lies in its folder."""
    manifest = read_manifest(str(out))
    assert manifest.digest == digest
    assert verify(str(out)).problems == []
    listed = {file.path for file in [*manifest.shards, *manifest.files, *manifest.side_files]}
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert there == listed | {"manifest.json"}


def test_a_build_killed_25_times_in_a_row_gives_the_corpus_of_an_undisturbed_one(recipe, digest, tmp_path):
    undisturbed, killer = Killer(tmp_path / "undisturbed"), Killer(tmp_path / "corpus")
    assert undisturbed.build(recipe, 1000, 60.0) == 0
    num_records = undisturbed.look()
    assert num_records > 50
    dice = random.Random(25)
    moments = sorted(dice.sample(range(num_records), NUM_KILLS))
    codes = [killer.build(recipe, moment, dice.uniform(0.0, 0.05)) for moment in moments]
    assert codes == [-signal.SIGKILL] * NUM_KILLS
    assert killer.build(recipe, 1000, 60.0) == 0
    check(tmp_path / "corpus", digest)


def changes(recipe):
    """Ways to build the folder's corpus otherwise: fewer inputs, or keys of every stage."""
    fewer = recipe.with_name("fewer.toml")
    fewer.write_text(RECIPE.replace("*.jsonl", "[0-3].jsonl"), "utf-8")
    yield fewer, ()
    for override in (
        "normalize.lowercase=true",
        "gopher_quality.min_words=45",
        "dedup.minhash.bands=10",
        "dedup.keep=latest",
        "dedup.lines.min_chars=40",
        "tokenize.tokenizer=train:420",
        "tokenize.shards=2",
        "pack.length=32",
    ):
        yield recipe, (override,)
    yield recipe, ()


def test_a_corpus_whose_changed_builds_are_all_killed_is_mended_by_its_own_recipe(recipe, digest, tmp_path):
    killer = Killer(tmp_path / "corpus")
    assert killer.build(recipe, 1000, 60.0) == 0
    dice = random.Random(26)
    ways = list(changes(recipe))
    for path, overrides in [*dice.sample(ways, len(ways)), *dice.sample(ways, len(ways))]:
        killer.build(path, killer.look() + dice.randrange(20), dice.uniform(0.0, 0.05), overrides)
    assert killer.build(recipe, 10_000, 60.0) == 0
    check(tmp_path / "corpus", digest)


def test_workers_killed_in_the_middle_of_tasks_of_every_kind_change_no_byte(recipe, digest, tmp_path, capfd):
    from cluster.ray_data import connect

    with connect(num_cpus=2):
        build(read_recipe(str(recipe)), str(tmp_path / "corpus"), DyingRunner(tmp_path), unwatched)
    check(tmp_path / "corpus", digest)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == TASKS
    told = capfd.readouterr().err.splitlines()
    assert [line for line in told if not line.endswith("; it was done again")] == []
    assert len(told) == len(TASKS)


def build_command(recipe, out, *options):
    return [sys.executable, "-m", "cluster.cli", "build", str(recipe), "--out", str(out), *options]


def test_a_driver_of_ray_that_is_killed_leaves_what_the_local_runner_ends(recipe, digest, tmp_path):
    out = tmp_path / "corpus"
    seen, orphans = Killer(out), []
    for num_records in (4, 20):
        process = subprocess.Popen(build_command(recipe, out, "--num-cpus", "2"), cwd=ROOT, stderr=subprocess.DEVNULL)
        wait_until(lambda num=num_records: seen.look() >= num, "a commit record", 0.002)
        orphans += psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    # Its workers may be at their last tasks for a while.
    ended = subprocess.run(build_command(recipe, out, "--runner", "local"), cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    for process in psutil.wait_procs(orphans, timeout=0)[1]:
        process.kill()  # Ray's agents live on for a minute
    check(out, digest)


def test_a_node_that_is_killed_in_the_middle_of_a_task_changes_no_byte(recipe, digest, tmp_path):
    out = tmp_path / "corpus"
    with RayNodes() as cluster:
        call = build_command(recipe, out, "--address", f"127.0.0.1:{cluster.port}")
        with open(tmp_path / "told", "w") as told:
            process = subprocess.Popen(call, cwd=ROOT, env=cluster.environment, stdout=told, stderr=told)
        cluster.kill_second_when_busy()
        process.wait()
    told = (tmp_path / "told").read_text("utf-8")
    if process.returncode:
        assert "run the same command again" in told.splitlines()[-1]
        build_local(recipe, out)
    else:
        assert "; it was done again" in told
    check(out, digest)
