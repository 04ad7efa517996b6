"""What was taken out of a corpus stays out, whatever is done with the corpus afterwards."""

import json

import pyarrow.compute as pc
import pytest

from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.run_local import LocalRunner
from corpus.verify import verify
from corpus.whatif import whatif
from manifests import ledger, shards
from manifests.errors import IntegrityError, ManifestMismatch
from manifests.manifest import read_manifest
from tests.conftest import build_local
from tests.corpus.removals import (
    RECIPE,
    by_host,
    contents,
    document,
    encoded,
    lists,
    removed_from,
    text_of,
    write_inputs,
)
from tests.corpus.test_verify import rewritten_ledger


class Stopped(Exception):
    """Ends a build in the middle."""


@pytest.fixture(scope="module")
def first_version(tmp_path_factory):
    """Inputs, a corpus and beside it a second version without `first`: not to be changed."""
    folder = tmp_path_factory.mktemp("removed")
    write_inputs(folder)
    build_local(folder / "recipe.toml", folder / "corpus")
    removed_from(folder / "corpus", None, lists(folder, domains=["first.example"]))
    return folder


@pytest.fixture
def folder(first_version, tmp_path):
    """A copy of all that, to be changed."""
    for path, data in ((path, (first_version / path).read_bytes()) for path in shards.list_files(str(first_version))):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return tmp_path


def counted(folder, out, *overrides):
    """Build with the recipe in the folder; manifest, and of each stage how much was done and used again."""
    counts = {"encode": [0, 0], "pack": [0, 0]}

    def watch(stage, number, total, num_bytes, result):
        if stage in counts:
            counts[stage][bool(result.get("reused"))] += 1

    return build(read_recipe(str(folder / "recipe.toml"), overrides), str(out), LocalRunner(), watch), counts


def reason(out, name):
    return by_host(out)[name]["reason"]


def test_the_same_build_into_the_new_version_changes_nothing(folder):
    before = read_manifest(str(folder / "corpus-v2"))
    manifest, counts = counted(folder, folder / "corpus-v2")
    assert counts == {"encode": [0, 2], "pack": [0, 3]}
    assert manifest.digest == before.digest


CHANGES = ["tokenize.tokenizer='train:400'", "dedup.keep='latest'", "normalize.lowercase=true"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_recipe_does_not_bring_it_back(folder, change):
    manifest, _ = counted(folder, folder / "corpus-v2", change)
    assert reason(folder / "corpus-v2", "first") == "remove.domains"
    assert manifest.counts["fate"]["removed"] == 1
    assert by_host(folder / "corpus-v2")["first"]["doc_id"] not in encoded(folder / "corpus-v2")
    assert manifest.parents == [read_manifest(str(folder / "corpus")).digest]
    assert verify(str(folder / "corpus-v2")).problems == []


def test_a_second_removal_adds_to_the_first(folder):
    before = contents(folder / "corpus-v2")
    _, removal = removed_from(folder / "corpus-v2", None, lists(folder, urls=["exact.example/page"]))
    assert removal.out == str(folder / "corpus-v3")
    found = {name: reason(removal.out, name) for name in ("first", "exact", "near")}
    assert found == {"first": "remove.domains", "exact": "remove.urls", "near": None}
    assert read_manifest(removal.out).parents == [read_manifest(str(folder / "corpus-v2")).digest]
    assert verify(removal.out).problems == []
    assert contents(folder / "corpus-v2") == before


def test_the_next_free_name_is_taken_and_the_same_removal_finds_its_folder_again(folder):
    wanted = lists(folder, domains=["first.example"])
    assert removed_from(folder / "corpus", None, wanted)[1].out == str(folder / "corpus-v2")
    (folder / "corpus-v3").mkdir()
    (folder / "corpus-v3" / "letter.txt").write_text("mine")
    other = lists(folder, domains=["near.example"])
    assert removed_from(folder / "corpus-v2", None, other)[1].out == str(folder / "corpus-v4")


def test_a_removal_from_a_version_that_has_a_newer_one_is_refused(folder):
    other = lists(folder, domains=["near.example"])
    with pytest.raises(ManifestMismatch, match=r"/corpus: \S*/corpus-v2 is a newer version of it"):
        removed_from(folder / "corpus", None, other)
    assert removed_from(folder / "corpus", folder / "branch", other)[1].out == str(folder / "branch")


@pytest.mark.parametrize(
    "moment", [("copy", 1), ("dedup: decide", 1), ("encode", 1), ("encode", 2), ("pack", 1), ("pack", 2)]
)
def test_a_removal_that_was_stopped_goes_on(folder, moment):
    wanted = lists(folder, domains=["near.example", "a1.example", "chain.example"])
    _, whole = removed_from(folder / "corpus", folder / "whole", wanted)

    def stop(stage, number, *event):
        if (stage, number) == moment:
            raise Stopped

    with pytest.raises(Stopped):
        removed_from(folder / "corpus", folder / "new", wanted, watch=stop)
    assert not (folder / "new" / "manifest.json").exists()
    _, removal = removed_from(folder / "corpus", folder / "new", wanted)
    assert (removal.out, removal.digest) == (str(folder / "new"), whole.digest)
    assert removal.readmitted == whole.readmitted
    assert verify(removal.out).problems == []


def test_a_build_that_takes_up_a_stopped_removal_leaves_the_documents_out(folder):
    wanted = lists(folder, domains=["near.example"])
    _, whole = removed_from(folder / "corpus", folder / "whole", wanted)

    def stop(stage, *event):
        raise Stopped

    with pytest.raises(Stopped):
        removed_from(folder / "corpus", folder / "new", wanted, watch=stop)
    manifest, _ = counted(folder, folder / "new")
    assert manifest.digest == whole.digest


def test_a_damaged_list_is_told_and_not_passed_over(folder):
    (path,) = (folder / "corpus-v2" / "removed").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="cannot be made again"):
        removed_from(folder / "corpus-v2", None, lists(folder, domains=["a1.example"]))
    with pytest.raises(IntegrityError, match=r"corpus-v2/removed/\w+\.parquet: damaged .* cannot be made again"):
        counted(folder, folder / "corpus-v2")
    (folder / "corpus-v2" / "removed" / "commit.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"removed/commit\.json: damaged"):
        counted(folder, folder / "corpus-v2")


def test_another_input_file_under_the_same_name_is_refused(folder):
    text = (folder / "a.jsonl").read_text("utf-8")
    (folder / "a.jsonl").write_text("".join(reversed(text.splitlines(keepends=True))), "utf-8")
    with pytest.raises(ManifestMismatch, match=r"s/a\.jsonl: 1 documents were taken out of it, and it is another file"):
        counted(folder, folder / "corpus-v2")


def test_a_lost_tokenizer_is_not_trained_anew_from_what_is_left(folder):
    (folder / "corpus-v2" / "tokenizer.json").unlink()
    with pytest.raises(IntegrityError, match=r"tokenizer\.json: missing.*put back the file of the older corpus"):
        counted(folder, folder / "corpus-v2")
    (folder / "corpus-v2" / "tokenizer.json").write_bytes((folder / "corpus" / "tokenizer.json").read_bytes())
    assert counted(folder, folder / "corpus-v2")[1]["encode"] == [0, 2]


def test_other_thresholds_do_not_bring_it_back(sample_corpus, tmp_path):
    kept = ledger.scan(str(sample_corpus)).filter(fate="kept", component_size=1).collect()["doc_id"][0]
    removed_from(sample_corpus, tmp_path / "new", lists(tmp_path, ids=[kept]))
    before, after = (whatif(str(out), ["gopher_quality.min_words=10"]) for out in (sample_corpus, tmp_path / "new"))
    assert after.total["kept_after"] == before.total["kept_after"] - 1
    assert not any(change["before"] == "remove.ids" for change in after.changes)


def test_a_later_corpus_may_keep_what_was_removed_from_an_older_one(folder, tmp_path):
    later = tmp_path / "later"
    later.mkdir()
    rows = [document("again", text_of(1)), document("known", text_of(101)), document("other", text_of(5))]
    (later / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    removed_from(folder / "corpus", folder / "gone", lists(folder, domains=["first.example"]), near=True)
    found = {}
    for name in ("corpus", "gone"):
        against = f"[dedup]\nagainst = [{str(folder / name)!r}]\nurl = true\n"
        recipe = RECIPE.replace('[dedup]\nkeep = "earliest"\nurl = true\n', f'{against}keep = "earliest"\n')
        (later / "recipe.toml").write_text(recipe, "utf-8")
        build_local(later / "recipe.toml", later / name)
        found[name] = [row["reason"] for row in by_host(later / name).values()]
    assert found == {"corpus": ["dedup.exact", "dedup.exact", None], "gone": [None, "dedup.exact", None]}


def test_a_ledger_that_lost_a_removal_does_not_add_up(folder):
    def forget(table):
        fate = pc.if_else(pc.equal(table["fate"], "removed"), "dropped", table["fate"])
        return table.set_column(table.schema.get_field_index("fate"), table.schema.field("fate"), fate)

    (path,) = (folder / "corpus-v2" / "removed").glob("*.parquet")
    assert rewritten_ledger(folder / "corpus-v2", forget, path.stem) == f"ledger/{path.name}"
    problems = verify(str(folder / "corpus-v2")).problems
    assert f"{folder}/corpus-v2: 1 documents were taken out, the ledger has 0." in problems
