"""Real pages in WARC and WET form, and broken archives, through the whole build. Needs ../shared/data/web."""

import json

import polars as pl
import pytest

from corpus.plan import build
from corpus.read import read_record
from corpus.recipe_file import read_recipe
from corpus.run_local import LocalRunner
from corpus.verify import verify
from manifests import ledger
from manifests.manifest import read_manifest
from tests.conftest import unwatched
from tests.shared import shared_data

pytestmark = [pytest.mark.shared, pytest.mark.slow]

RECIPE = """
name = "real"
preset = "datatrove@0.10"
seed = 3

[[source]]
name = "pages"
format = "warc"
paths = ["{web}/warc/real-0003.warc.gz", "{web}/warc/real-0007.warc.gz"]

[[source]]
name = "texts"
format = "wet"
paths = ["{web}/wet/*.warc.wet.gz"]

[[filter]]
rule = "url"
domains = ["{web}/blocklists/drogue.domains.txt.zst", "{web}/blocklists/dating.domains.txt.zst"]

[[filter]]
rule = "toxicity"

[tokenize]
tokenizer = "train:2000"
[pack]
length = 512
"""


@pytest.fixture(scope="module")
def web():
    return shared_data("web", "warc").parent


@pytest.fixture(scope="module")
def recipe(web, tmp_path_factory):
    path = tmp_path_factory.mktemp("real") / "recipe.toml"
    path.write_text(RECIPE.format(web=web), "utf-8")
    return read_recipe(str(path))


@pytest.fixture(scope="module")
def corpus(recipe, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("real-corpus") / "corpus")
    build(recipe, out, LocalRunner(), unwatched)
    return out


def test_every_record_of_both_forms_is_accounted_for(web, corpus):
    manifest = read_manifest(corpus)
    counts = ledger.scan(corpus).group_by("source", "fate").len().collect()
    pages = [json.loads(line) for line in read_pages(web)]
    in_warc = sum(page["warc"] in ("real-0003.warc.gz", "real-0007.warc.gz") for page in pages)
    by_source = {facts.name: facts.num_records for facts in manifest.sources}
    assert by_source == {"pages": in_warc + 2, "texts": len(pages) + 8}  # and a warcinfo record in each file
    assert counts["len"].sum() == sum(by_source.values())
    assert manifest.counts["fate"].get("failed", 0) == 0
    assert manifest.counts["fate"]["kept"] > 500
    assert verify(corpus).problems == []


def read_pages(web):
    import zstandard

    with zstandard.open(web / "pages.jsonl.zst", "rt", encoding="utf-8", newline="\n") as file:
        yield from file


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_ray_with_one_and_two_cpus_gives_the_digest_of_the_local_runner(recipe, corpus, tmp_path):
    from cluster.ray_data import RayRunner, connect

    digests = {}
    for num_cpus in (1, 2):
        with connect(num_cpus=num_cpus):
            digests[num_cpus] = build(recipe, str(tmp_path / str(num_cpus)), RayRunner(), unwatched).digest
    expected = read_manifest(corpus).digest
    assert digests == {1: expected, 2: expected}


def test_a_page_is_found_by_url_and_read_again_from_its_offset(recipe, corpus):
    from cluster.explaining import explain_document

    kept = ledger.scan(corpus).filter((pl.col("fate") == "kept") & (pl.col("source") == "pages")).collect()
    assert kept.height > 50
    for url in kept["url"].head(5):
        found = [record for record in explain_document(corpus, url) if record.row["source"] == "pages"]
        assert found
        for record in found:
            row = record.row
            again = read_record(record.uri, recipe.source[0], row["offset"], row["length"]).to_pylist()[0]
            assert (again["doc_id"], again["url"], again["error"]) == (row["doc_id"], url, None)
            assert len(again["text"]) > 100


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "checksums.sha256")


@pytest.mark.parametrize("folder", ["malformed", "samples"])
def test_every_odd_archive_ends_as_ledger_rows(web, folder, tmp_path):
    files = [path for path in files_in(web / folder) if path.name != "INDEX.jsonl"]
    assert len(files) > 45
    source = '[[source]]\nname = "odd"\nformat = "warc"\npaths = [{}]\n'
    seed = '[[source]]\nname = "seed"\nformat = "text"\npaths = ["seed.txt"]\n'
    (tmp_path / "seed.txt").write_text("A plain text, so that there is something to train a tokenizer on. " * 20)
    paths = json.dumps(str(web / folder / "**"))
    text = f'name = "odd"\n{source.format(paths)}{seed}[tokenize]\ntokenizer = "train:270"\n[pack]\nlength = 64\n'
    (tmp_path / "recipe.toml").write_text(text, "utf-8")
    out = str(tmp_path / "corpus")
    build(read_recipe(str(tmp_path / "recipe.toml")), out, LocalRunner(), unwatched)
    rows = ledger.scan(out).filter(pl.col("source") == "odd").collect()
    seen = set(rows["file"])
    assert {str(path.relative_to(web / folder)) for path in files} <= seen
    assert rows.filter((pl.col("fate") == "failed") & pl.col("error").is_null()).height == 0
    assert rows.filter((pl.col("fate") != "kept") & pl.col("reason").is_null()).height == 0
    assert verify(out).problems == []
