"""Corpora that are built against older ones, from recipe to manifest."""

import json
import random
import shutil

import polars as pl
import pyarrow.parquet as pq
import pytest

from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.removal import remove, select
from corpus.removal_lists import read_lists
from corpus.run_local import LocalRunner
from corpus.verify import verify
from manifests import ledger
from manifests.errors import InputError, IntegrityError, ManifestMismatch, RecipeError
from manifests.manifest import read_manifest

RECIPE = """
name = "{name}"
[[source]]
name = "news"
format = "jsonl"
paths = [{paths}]
[dedup]
keep = "earliest"
url = true
against = [{against}]
[dedup.minhash]
threshold = 0.6
bands = 20
rows = 5
[tokenize]
tokenizer = "train:300"
[pack]
length = 64
"""


def write_snapshots(folder):
    """Three files of dated documents: new ones, copies, edits and recrawls of those before."""
    generator = random.Random(5)
    words = [f"{first}{second}" for first in ("ba", "co", "du", "fi", "ge") for second in ("lan", "mor", "nis", "pur")]
    texts = [" ".join(generator.choice(words) for _ in range(60)) for _ in range(30)]
    for number in range(3):
        lines = []
        for place in range(40):
            text = generator.choice(texts[: 10 * (number + 1)]).split()
            for _ in range(generator.choice([0, 0, 1, 4])):
                text[generator.randrange(60)] = "edited"
            url = f"http://news.example/{generator.randrange(60)}"
            date = f"20{22 + number}-{1 + place % 12:02}-01"
            lines.append(json.dumps({"id": f"{number}-{place}", "text": " ".join(text), "url": url, "date": date}))
        (folder / f"{number}.jsonl").write_text("\n".join(lines) + "\n")


def recipe(folder, name, files, against=()):
    quoted = ", ".join(f'"{file}.jsonl"' for file in files)
    older = ", ".join(f'"{path}"' for path in against)
    path = folder / f"{name}.toml"
    path.write_text(RECIPE.format(name=name, paths=quoted, against=older))
    return path


def build_at(path, out, *overrides):
    return build(read_recipe(str(path), overrides), str(out), LocalRunner(), lambda *event: None)


def kept_urls(out):
    frame = ledger.scan(str(out), ["file", "offset", "fate"]).collect()
    return set(frame.filter(pl.col("fate") == "kept").select("file", "offset").iter_rows())


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    """Folder with corpora "0", "1", "2", each built against those before, and their recipes."""
    folder = tmp_path_factory.mktemp("increments")
    write_snapshots(folder)
    for number in range(3):
        against = [f"{older}/manifest.json" if older else "0" for older in range(number)]
        build_at(recipe(folder, str(number), [number], against), folder / str(number))
    return folder


def test_three_snapshots_one_by_one_keep_what_all_at_once_keep(one_by_one, tmp_path):
    for number in range(3):
        shutil.copy(one_by_one / f"{number}.jsonl", tmp_path)
    build_at(recipe(tmp_path, "all", [0, 1, 2]), tmp_path / "all")
    together = set.union(*(kept_urls(one_by_one / str(number)) for number in range(3)))
    assert together == kept_urls(tmp_path / "all")
    assert 30 < len(together) < 100


def test_the_owner_of_a_dropped_document_is_named(one_by_one):
    out = one_by_one / "2"
    frame = ledger.scan(str(out)).filter(pl.col("duplicate_in").is_not_null()).collect()
    names = {f"{number}@{read_manifest(str(one_by_one / number)).digest[:12]}": number for number in ("0", "1")}
    assert set(frame["duplicate_in"].unique()) == set(names)
    for row in frame.iter_rows(named=True):
        (keeper,) = ledger.find(str(one_by_one / names[row["duplicate_in"]]), row["duplicate_of"])
        assert keeper["fate"] == "kept"


def test_the_manifest_names_its_parents_by_digest(one_by_one):
    parents = read_manifest(str(one_by_one / "2")).parents
    assert parents == [read_manifest(str(one_by_one / number)).digest for number in ("0", "1")]
    assert verify(str(one_by_one / "2")).problems == []


def test_the_digest_does_not_depend_on_where_the_older_corpus_lies(one_by_one, tmp_path):
    shutil.copytree(one_by_one / "0", tmp_path / "moved")
    shutil.copy(one_by_one / "1.jsonl", tmp_path)
    made = build_at(recipe(tmp_path, "1", [1], [tmp_path / "moved"]), tmp_path / "1")
    assert made.digest == read_manifest(str(one_by_one / "1")).digest


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("dedup.minhash.ngram=4", ["ngram = 5", "ngram = 4"]),
        ("dedup.minhash.seed=9", ["seed = 1", "seed = 9"]),
        ("dedup.minhash.bands=10", ["bands = 20", "bands = 10"]),
        ("dedup.normalized=true", ["normalized = false", "normalized = true"]),
    ],
)
def test_a_corpus_that_was_signed_otherwise_is_refused_with_both_settings(one_by_one, tmp_path, override, shown):
    with pytest.raises(ManifestMismatch) as raised:
        build_at(one_by_one / "1.toml", tmp_path / "out", override)
    assert all(text in str(raised.value) for text in [*shown, str(one_by_one / "0")])
    assert not (tmp_path / "out" / "units").exists()


def test_another_threshold_policy_or_number_of_partitions_is_no_obstacle(one_by_one, tmp_path):
    overrides = ("dedup.minhash.threshold=0.9", "dedup.keep=latest", "dedup.partitions=3")
    made = build_at(one_by_one / "1.toml", tmp_path / "out", *overrides)
    assert made.counts["fate"]["kept"] > 0


def test_a_missing_run_of_an_older_corpus_is_named_with_the_command_that_makes_it(one_by_one, tmp_path):
    shutil.copytree(one_by_one / "0", tmp_path / "0")
    shutil.copy(one_by_one / "1.jsonl", tmp_path)
    (gone,) = (tmp_path / "0" / "units").glob("*/bands.parquet")
    gone.unlink()
    path = recipe(tmp_path, "1", [1], ["0"])
    with pytest.raises(InputError, match=r"bands.parquet: is missing.*`gristmill build \S*/0/recipe.toml --out \S*/0`"):
        build_at(path, tmp_path / "1")


def test_the_command_that_is_named_makes_the_run_again(one_by_one, tmp_path):
    shutil.copytree(one_by_one, tmp_path / "all")
    digest = read_manifest(str(tmp_path / "all" / "0")).digest
    (gone,) = (tmp_path / "all" / "0" / "units").glob("*/bands.parquet")
    gone.unlink()
    build_at(tmp_path / "all" / "0" / "recipe.toml", tmp_path / "all" / "0")
    assert gone.exists()
    assert read_manifest(str(tmp_path / "all" / "0")).digest == digest


def test_an_older_corpus_that_is_not_there_is_an_error_before_anything_is_read(one_by_one, tmp_path):
    shutil.copy(one_by_one / "1.jsonl", tmp_path)
    with pytest.raises(InputError, match=r"^\[dedup\] against: .*nowhere/manifest\.json: there is no manifest"):
        build_at(recipe(tmp_path, "1", [1], ["nowhere"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_folder_that_is_built_is_refused_as_an_older_corpus(one_by_one, tmp_path):
    shutil.copytree(one_by_one / "0", tmp_path / "0")
    before = (tmp_path / "0" / "manifest.json").read_bytes()
    with pytest.raises(RecipeError, match="is the folder that this build writes"):
        build_at(one_by_one / "0.toml", tmp_path / "0", f"dedup.against=['{tmp_path}/0/manifest.json']")
    assert (tmp_path / "0" / "manifest.json").read_bytes() == before


def test_an_older_corpus_is_named_once(one_by_one, tmp_path):
    twice = f"dedup.against=['{one_by_one}/0', '{one_by_one}/0/manifest.json']"
    with pytest.raises(RecipeError, match="is named twice"):
        build_at(one_by_one / "1.toml", tmp_path / "out", twice)


def test_a_run_of_an_older_corpus_with_other_content_is_found_and_named(one_by_one, tmp_path):
    shutil.copytree(one_by_one / "0", tmp_path / "0")
    (changed,) = (tmp_path / "0" / "units").glob("*/exact.parquet")
    pq.write_table(pq.read_table(changed).slice(0, 0), changed)
    with pytest.raises(IntegrityError, match=r"exact.parquet: is not as that corpus's manifest says.*`gristmill build"):
        build_at(one_by_one / "1.toml", tmp_path / "out", f"dedup.against=['{tmp_path}/0']")


def test_members_of_a_component_of_an_older_corpus_are_told_from_ours_with_the_same_ids(one_by_one):
    out = str(one_by_one / "1")
    row = ledger.scan(out).filter(pl.col("duplicate_in").is_not_null()).collect().row(0, named=True)
    members = ledger.component(out, row["duplicate_of"], row["duplicate_in"])
    assert row["doc_id"] in [member["doc_id"] for member in members]
    assert {member["fate"] for member in members} == {"duplicate"}


@pytest.mark.parametrize("quality", ["language.label", "doc_id"])
def test_quality_is_a_number(one_by_one, tmp_path, quality):
    overrides = ("dedup.keep=best_quality", f"dedup.quality={quality}")
    with pytest.raises(RecipeError, match="is no score"):
        build_at(one_by_one / "0.toml", tmp_path / "out", *overrides)


def test_a_lost_list_of_removed_documents_of_an_older_corpus_is_an_error(one_by_one, tmp_path):
    shutil.copytree(one_by_one / "0", tmp_path / "0")
    (tmp_path / "ids").write_text(ledger.scan(str(tmp_path / "0")).select("doc_id").collect().item(0, 0))
    selection = select(str(tmp_path / "0"), read_lists(str(tmp_path / "ids"), None, None), near=False)
    older = remove(selection, str(tmp_path / "0-v2"), LocalRunner(), lambda *event: None).out
    build_at(one_by_one / "1.toml", tmp_path / "fine", f"dedup.against=['{older}']")
    (lost,) = (tmp_path / "0-v2" / "removed").glob("*.parquet")
    lost.unlink()
    with pytest.raises(IntegrityError, match=r"removed/\w+.parquet: is not as that corpus's manifest says"):
        build_at(one_by_one / "1.toml", tmp_path / "out", f"dedup.against=['{older}']")
