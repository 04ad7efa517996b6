"""What a build that was cut does again: only what was not committed, or is no longer as it was."""

import shutil
from collections import Counter

import pytest

from cluster.run import progress
from corpus.dedup import work
from corpus.dedup.signatures import RunWriter
from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.run_local import LocalRunner
from manifests.manifest import read_manifest
from tests.conftest import build_local, unwatched
from tests.corpus.test_damage import flip, lose, replace, truncate
from tests.crashes import write_recipe

pytestmark = pytest.mark.slow

# The tasks of a build of six units, in their order, and how many there are of each with five partitions of duplicates,
# three groups of two units, three buckets.
TASKS = {
    "score": 6,
    "dedup: collect equal": 3,
    "dedup: pair equal": 5,
    "dedup: collect bands": 3,
    "dedup: pair bands": 5,
    "dedup: send facts": 3,
    "dedup: decide": 5,
    "dedup: write units": 3,
    "lines: hash lines": 6,
    "lines: find repeats": 5,
    "lines: write removed": 6,
    "encode": 6,
    "pack": 3,
}


class Cut(Exception):
    """Ends a build."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """The corpus of an undisturbed build: not to be changed."""
    out = tmp_path_factory.mktemp("whole") / "corpus"
    build_local(recipe, out)
    return out


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(work, "GROUP_UNITS", 2)


def build_until(recipe, out, task, count):
    """Build until this many tasks of one kind are committed."""

    def watch(stage, done, total, num_bytes, result):
        if (stage, done) == (task, count):
            raise Cut

    with pytest.raises(Cut):
        build(read_recipe(str(recipe)), str(out), LocalRunner(), watch)


def build_counted(recipe, out, *overrides, watch=unwatched):
    """Build; the manifest, and by kind how many tasks were done and how many were found done."""
    done, reused = Counter(), Counter()

    def count(stage, number, total, num_bytes, result):
        watch(stage, number, total, num_bytes, result)
        (reused if result.get("reused") else done)[stage] += 1

    manifest = build(read_recipe(str(recipe), overrides), str(out), LocalRunner(), count)
    return manifest, done, reused


def stage_of(task):
    return task.split(":")[0]


def moments():
    """In the middle of each kind of tasks, and after the last where a stage ends."""
    yield from ((task, count // 2 + 1) for task, count in TASKS.items())
    yield from (
        (task, TASKS[task]) for task in ("score", "dedup: write units", "lines: write removed", "encode", "pack")
    )


@pytest.mark.parametrize(("task", "count"), list(moments()))
def test_a_cut_build_goes_on_with_the_first_task_that_was_not_committed(recipe, whole, tmp_path, task, count):
    out = tmp_path / "corpus"
    build_until(recipe, out, task, count)
    manifest, done, reused = build_counted(recipe, out)
    place = list(TASKS).index(task)
    before, after = list(TASKS.items())[:place], list(TASKS.items())[place + 1 :]
    # Once it is over, dedup is one committed result, and so is that of lines: what their tasks left is gone.
    whole_stages = {"dedup", "lines"} - {stage_of(task)}
    assert reused == {kind: number for kind, number in before if stage_of(kind) not in whole_stages} | {task: count}
    assert done == {kind: number for kind, number in [(task, TASKS[task] - count), *after] if number}
    assert manifest.digest == read_manifest(str(whole)).digest


@pytest.mark.parametrize(
    ("override", "stays"),
    [("gopher_quality.min_words=45", ["documents", "edits", "scores"]), ("short_circuit=true", ["documents"])],
)
def test_a_unit_that_was_cut_while_it_was_decided_anew_keeps_what_the_change_leaves(
    recipe, whole, tmp_path, monkeypatch, override, stays
):
    def cut(writer):
        raise Cut

    out = shutil.copytree(whole, tmp_path / "corpus")
    kept = [path for name in stays for path in out.glob(f"units/*/{name}.parquet")]
    before = {path: path.stat().st_ino for path in kept}
    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(RunWriter, "finish", cut)
        build_local(recipe, out, override)
    manifest = build_local(recipe, out, override)
    assert {path: path.stat().st_ino for path in kept} == before
    assert manifest.digest == build_local(recipe, tmp_path / "fresh", override).digest


@pytest.mark.parametrize("harm", [truncate, flip, replace, lose])
@pytest.mark.parametrize(
    ("folder", "last", "tables"),
    [
        (
            "duplicates/work",
            "dedup: write units",
            "bands bands-pairs decided exact exact-pairs facts normalized normalized-pairs url url-pairs",
        ),
        ("duplicates/lines/work", "lines: write removed", "keys repeats"),
    ],
    ids=["dedup", "lines"],
)
def test_damaged_intermediate_files_are_named_and_made_again(
    recipe, whole, tmp_path, capsys, folder, last, tables, harm
):
    out = tmp_path / "corpus"
    build_until(recipe, out, last, 2)
    files = sorted((out / folder).glob("*-00000.parquet"))
    assert " ".join(path.name.removesuffix("-00000.parquet") for path in files) == tables
    files += [path for name in ("twins", "members") if (path := out / folder / f"{name}.parquet").exists()]
    expected = {f"{path.relative_to(out)}: {harm(path)}; made again" for path in files}
    kinds = [kind for kind in TASKS if stage_of(kind) == stage_of(last)]
    records = [out / folder / f"{kind.split(': ')[1].replace(' ', '_')}-00001.json" for kind in kinds]
    for path in records:
        harm(path)
    if harm is not lose:
        expected |= {f"{path.relative_to(out)}: damaged (no whole record); made again" for path in records}
    capsys.readouterr()
    with progress() as tell:
        manifest, done, _ = build_counted(recipe, out, watch=tell)
    assert {line for line in capsys.readouterr().err.splitlines() if "made again" in line} == expected
    assert {kind: done[kind] for kind in kinds} == dict.fromkeys(kinds, 2) | {last: TASKS[last] - 1}
    assert manifest.digest == read_manifest(str(whole)).digest


def test_a_damaged_plan_of_dedup_begins_it_anew(recipe, whole, tmp_path):
    out = tmp_path / "corpus"
    build_until(recipe, out, "dedup: decide", 3)
    flip(out / "duplicates" / "work" / "plan.json")
    manifest, done, _ = build_counted(recipe, out)
    assert (done["score"], done["dedup: collect equal"], done["dedup: decide"]) == (0, 3, 5)
    assert manifest.digest == read_manifest(str(whole)).digest


@pytest.mark.parametrize(("task", "kind"), [("dedup: decide", "dedup: pair equal"), ("lines: find repeats",) * 2])
def test_another_number_of_partitions_in_a_cut_stage_begins_it_anew(recipe, whole, tmp_path, task, kind):
    build_until(recipe, tmp_path / "corpus", task, 2)
    manifest, done, _ = build_counted(recipe, tmp_path / "corpus", "dedup.partitions=3")
    assert (done[kind], done[task]) == (3, 3)
    assert files_of(manifest) == files_of(read_manifest(str(whole)))


def files_of(manifest):
    return {file.path: file.sha256 for file in [*manifest.files, *manifest.shards]}
