"""The same recipe and input give the same bytes on any runner and in any order; a change makes anew what it decides."""

import json
import random
import shutil

import polars as pl
import pytest

from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.run_local import LocalRunner
from manifests import ledger
from manifests.manifest import read_manifest
from tests.conftest import build_local, unwatched
from tests.crashes import write_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """A finished corpus: not to be changed."""
    out = tmp_path_factory.mktemp("whole") / "corpus"
    build_local(recipe, out)
    return out


@pytest.fixture
def copy(whole, tmp_path):
    """One to be changed; files keep their times."""
    return shutil.copytree(whole, tmp_path / "corpus")


class ShuffledRunner(LocalRunner):
    """Runs tasks in random order, some of them twice as retries do, and yields results in another."""

    def __init__(self):
        self._dice = random.Random(4)

    def map(self, task, items):
        results = []
        for item in self._dice.sample(items, len(items)):
            for _ in range(self._dice.choice([1, 1, 2])):
                result = task(item)
            results.append(result)
        return iter(self._dice.sample(results, len(results)))


def test_any_order_of_tasks_and_results_gives_the_same_corpus(recipe, whole, tmp_path):
    manifest = build(read_recipe(str(recipe)), str(tmp_path / "corpus"), ShuffledRunner(), unwatched)
    assert manifest.digest == read_manifest(str(whole)).digest


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("num_cpus", [1, 2, 3])
def test_any_number_of_workers_gives_the_same_corpus(recipe, whole, tmp_path, num_cpus):
    from cluster.ray_data import RayRunner, connect

    with connect(num_cpus=num_cpus):
        manifest = build(read_recipe(str(recipe)), str(tmp_path / "corpus"), RayRunner(), unwatched)
    assert manifest.digest == read_manifest(str(whole)).digest


def test_files_listed_in_any_order_give_the_same_corpus(recipe, whole, tmp_path):
    listed = ", ".join(f'"{number}.jsonl"' for number in (3, 0, 4, 2, 1))
    other = recipe.with_name("listed.toml")
    other.write_text(recipe.read_text("utf-8").replace('"*.jsonl"', listed), "utf-8")
    assert build_local(other, tmp_path / "corpus").digest == read_manifest(str(whole)).digest


DATED = """
name = "dated"
[[source]]
name = "s"
format = "jsonl"
paths = [{paths}]
[dedup]
keep = "earliest"
normalized = true
partitions = 5
[dedup.minhash]
ngram = 3
bands = 20
rows = 5
threshold = 0.6
[tokenize]
tokenizer = "train:400"
"""


def kept_dates(folder, lines, num_files, out):
    """Cut the lines into so many files, build, and return the dates of the documents that are kept."""
    folder.mkdir()
    names = [f"{number}.jsonl" for number in range(num_files)]
    for number, name in enumerate(names):
        (folder / name).write_text("".join(lines[number::num_files]), "utf-8")
    quoted = ", ".join(f'"{name}"' for name in reversed(names))
    (folder / "recipe.toml").write_text(DATED.format(paths=quoted), "utf-8")
    build_local(folder / "recipe.toml", out)
    return set(ledger.scan(str(out), ["date", "fate"]).filter(pl.col("fate") == "kept").collect()["date"])


def test_the_same_documents_are_kept_from_one_file_and_from_many(recipe, tmp_path):
    lines = [
        line for path in sorted(recipe.parent.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines(True)
    ]
    assert len({json.loads(line)["date"] for line in lines}) == len(lines) == 120
    together = kept_dates(tmp_path / "one", lines, 1, tmp_path / "a")
    random.Random(6).shuffle(lines)
    assert kept_dates(tmp_path / "seven", lines, 7, tmp_path / "b") == together
    assert 20 < len(together) < 100


# What the steps of a build leave, in their order.
STEPS = {
    "texts": ["units/*/documents.parquet"],
    "scores": ["units/*/scores.parquet", "units/*/edits.parquet"],
    "decisions": ["units/*/decisions.parquet"],
    "signatures": [f"units/*/{name}.parquet" for name in ("signatures", "bands", "exact", "normalized", "url")],
    "duplicates": ["duplicates/*.parquet"],
    "lines": ["duplicates/lines/*.parquet"],
    "tokenizer": ["tokenizer.json"],
    "ledger": ["ledger/*.parquet"],
    "tokens": ["tokens/*.parquet"],
    "rows": ["packed/**/*.parquet"],
}
NAMES = list(STEPS)
# Change: the steps that are made anew. Files of the others stay as they are.
EDGES = {
    "normalize.lowercase=true": NAMES,
    # Measures of dropped documents are left out; the same tokens come of it.
    "short_circuit=true": [*NAMES[1:7], "ledger"],
    "gopher_quality.min_words=45": NAMES[2:],
    "dedup.minhash.bands=10": NAMES[2:],
    "dedup.minhash.ngram=4": NAMES[2:],
    "dedup.minhash.threshold=0.8": NAMES[4:],
    "dedup.keep=latest": NAMES[4:],
    "dedup.partitions=2": [],
    "dedup.lines.min_chars=60": NAMES[5:],
    "seed=4": NAMES[6:],
    "tokenize.tokenizer=train:420": NAMES[6:],
    "tokenize.shards=2": NAMES[7:],
    "pack.validation_ratio=0.2": NAMES[7:],
    "pack.quality=language.score": NAMES[7:],
    "pack.length=32": NAMES[9:],
}


def marks(out):
    """Inode and time of change of each file, by step and path."""
    found = {}
    for step, patterns in STEPS.items():
        for path in [path for pattern in patterns for path in out.glob(pattern)]:
            found[step, path] = (path.stat().st_ino, path.stat().st_mtime_ns)
    assert {step for step, _ in found} == set(STEPS)
    return found


def build_counted(recipe, out, override):
    """Build; the manifest, and how many results of scoring, encoding and packing were used again."""
    reused = dict.fromkeys(("score", "encode", "pack"), 0)

    def watch(stage, number, total, num_bytes, result):
        if stage in reused:
            reused[stage] += bool(result.get("reused"))

    return build(read_recipe(str(recipe), [override]), str(out), LocalRunner(), watch), reused


@pytest.mark.parametrize(("override", "steps"), EDGES.items(), ids=EDGES)
def test_a_change_makes_anew_what_it_decides_and_nothing_else(recipe, copy, tmp_path, override, steps):
    before = marks(copy)
    manifest, reused = build_counted(recipe, copy, override)
    assert {step for (step, path), mark in marks(copy).items() if before.get((step, path)) != mark} == set(steps)
    assert reused == {
        "score": 0 if "signatures" in steps else 6,
        "encode": 0 if "ledger" in steps else 6,
        "pack": 0 if "rows" in steps else 3,
    }
    assert manifest.digest == build_local(recipe, tmp_path / "fresh", override).digest


def test_another_extractor_reads_pages_again_and_no_other_unit(recipe, copy, tmp_path):
    before = marks(copy)
    manifest, reused = build_counted(recipe, copy, "extract.method=trafilatura")
    (pages,) = [unit.unit_id for unit in manifest.units if unit.source == "crawl"]
    changed = {path for (step, path), mark in marks(copy).items() if before[step, path] != mark}
    assert {path.parent.name for path in changed if "units" in path.parts} == {pages}
    assert copy / "units" / pages / "documents.parquet" in changed
    assert reused["score"] == 5
    assert manifest.digest == build_local(recipe, tmp_path / "fresh", "extract.method=trafilatura").digest
