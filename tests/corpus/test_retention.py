"""A source that loses nearly all its documents to dedup fails the build, with what took them and both ways out."""

import json

import pyarrow as pa
import pytest

from corpus.plan import build
from corpus.recipe import Dedup
from corpus.recipe_file import read_recipe
from corpus.retention import Loss, check_retention, losses
from corpus.run_local import LocalRunner
from manifests import shards
from manifests.errors import GateFailed, RecipeError
from manifests.schemas import DUPLICATES

DECIDING = Dedup(min_documents=10, max_lost_ratio=0.5)


def doc_id(number):
    return f"{number:032x}"


def duplicates(pairs):
    """A unit's table from (document, kept document, older corpus or None); equal numbers are a keeper."""
    rows = [
        {
            "row": row,
            "doc_id": doc_id(document),
            "kept_doc_id": doc_id(kept),
            "kept_in": corpus,
            "kind": "keeper" if document == kept else "near",
            "jaccard": 0.9,
            "component_size": 2,
        }
        for row, (document, kept, corpus) in enumerate(pairs)
    ]
    return pa.Table.from_pylist(rows, schema=DUPLICATES)


def write(out, units):
    """units: unit id -> (source, documents that the filters kept, pairs); returns commit records and entries."""
    commits, files = {}, []
    for unit_id, (source, num_kept, pairs) in units.items():
        path = f"duplicates/{unit_id}.parquet"
        files.append(shards.write_table(f"{out}/{path}", duplicates(pairs), path))
        commits[unit_id] = {"unit": {"source": source}, "fates": {"kept": num_kept, "dropped": 1000}}
    return commits, files


def pairs_of(first, num_lost, kept, corpus=None):
    return [(first + number, kept, corpus) for number in range(num_lost)]


@pytest.mark.parametrize(("num_lost", "num_failures"), [(5, 0), (6, 1)])
def test_the_largest_allowed_share_may_be_lost(tmp_path, num_lost, num_failures):
    units = {"u1": ("a", 100, [(1, 1, None)]), "u2": ("b", 10, pairs_of(100, num_lost, 1))}
    assert len(losses(str(tmp_path), *write(tmp_path, units), DECIDING)) == num_failures


def test_units_of_a_source_are_judged_together(tmp_path):
    few, none = pairs_of(100, 9, 1), []
    units = {"u1": ("a", 100, [(1, 1, None)]), "u2": ("b", 10, few), "u3": ("b", 10, none)}
    assert losses(str(tmp_path), *write(tmp_path, units), DECIDING) == []


def test_the_takers_are_named_the_most_frequent_first(tmp_path):
    old = pairs_of(100, 3, 7, "old@0123456789ab")
    own = [(200, 200, None), *pairs_of(201, 2, 200)]
    units = {
        "u1": ("a", 100, [(1, 1, None), (2, 2, None)]),
        "u2": ("b", 20, [*pairs_of(300, 4, 1), *pairs_of(310, 2, 2), *old, *own]),
    }
    takers = [("source 'a'", 6), ("corpus old@0123456789ab", 3), ("source 'b'", 2)]
    keepers = [(doc_id(1), 4), (doc_id(7), 3), (doc_id(2), 2)]
    assert losses(str(tmp_path), *write(tmp_path, units), DECIDING) == [Loss("b", 20, 11, takers, keepers)]


def test_small_and_accepted_sources_are_not_judged(tmp_path):
    units = {
        "u1": ("a", 100, [(1, 1, None)]),
        "small": ("b", 9, pairs_of(100, 9, 1)),
        "meant": ("c", 10, pairs_of(200, 10, 1)),
    }
    config = DECIDING.model_copy(update={"accept_loss": ["c"]})
    assert losses(str(tmp_path), *write(tmp_path, units), config) == []


def test_tables_of_sources_that_cannot_have_lost_too_much_are_not_read(tmp_path):
    units = {"u1": ("a", 100, pairs_of(100, 50, 1)), "u2": ("b", 10, pairs_of(300, 1, 1))}
    commits, files = write(tmp_path, units)
    shards.remove(f"{tmp_path}/duplicates")
    check_retention(str(tmp_path), commits, files, DECIDING)


def test_many_failures_name_five_and_count_the_rest(tmp_path):
    units = {f"u{n}": (f"s{n}", 10, pairs_of(100 * n, 9, 5)) for n in range(1, 8)}
    with pytest.raises(GateFailed, match=r"'s5' lost 9 of 10 .* And 2 more sources\.") as caught:
        check_retention(str(tmp_path), *write(tmp_path, units), DECIDING)
    assert 'accept_loss = ["s1", "s2", "s3", "s4", "s5", "s6", "s7"]' in str(caught.value)


RECIPE = """
name = "two"
[[source]]
name = "first"
format = "jsonl"
paths = ["first.jsonl"]
[[source]]
name = "mirror"
format = "jsonl"
paths = ["mirror.jsonl"]
[dedup]
keep = "earliest"
[tokenize]
tokenizer = "train:300"
[pack]
length = 16
"""


@pytest.fixture
def mirrored(tmp_path):
    """Two sources of 120 documents; the second has 110 of the first, a year later."""
    for name, year, first in (("first", 2020, 0), ("mirror", 2021, 10)):
        rows = [
            {"text": f"A quiet harbour town wakes early on day {day}.", "date": f"{year}-01-01"}
            for day in range(first, first + 120)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def build_counted(folder, *overrides):
    """Build; returns the manifest and the stages that had anything to do."""
    stages = set()

    def watch(stage, number, total, num_bytes, result):
        if not result.get("reused"):
            stages.add(stage.split(":")[0])

    recipe = read_recipe(f"{folder}/recipe.toml", overrides)
    return build(recipe, f"{folder}/out", LocalRunner(), watch), stages


def test_a_mirror_fails_the_build_before_encoding_and_either_way_out_goes_on_from_there(mirrored):
    message = (
        r"^dedup: source 'mirror' lost 110 of 120 documents \(91\.7%\), as duplicates of documents of source 'first' "
        r"\(110\), most often of [0-9a-f]{32} \(1\).*\. \[dedup\] max_lost_ratio allows 90\.0%\. .*"
        r'set accept_loss = \["mirror"\] in \[dedup\], or raise max_lost_ratio\.'
    )
    with pytest.raises(GateFailed, match=message):
        build_counted(mirrored)
    assert not (mirrored / "out" / "ledger").exists()
    manifest, stages = build_counted(mirrored, 'dedup.accept_loss=["mirror"]')
    assert manifest.counts["kept_source"] == {"first": 120, "mirror": 10}
    assert stages == {"encode", "pack"}
    assert build_counted(mirrored, "dedup.max_lost_ratio=0.95", "dedup.report_component_size=2")[1] == set()


def test_an_accepted_source_that_is_not_there_is_refused(mirrored):
    with pytest.raises(RecipeError, match=r"accept_loss: there is no source 'miror'; did you mean 'mirror'\?"):
        build_counted(mirrored, 'dedup.accept_loss=["miror"]')
    assert not (mirrored / "out").exists()
