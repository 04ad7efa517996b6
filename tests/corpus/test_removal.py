"""Documents leave a corpus; what they held back comes in; the old version stays."""

import json

import polars as pl
import pytest

from corpus.removal import select
from corpus.texts import final_texts
from corpus.verify import verify
from manifests import ledger, shards
from manifests.digest import unit_id
from manifests.errors import InputError, IntegrityError, ManifestMismatch
from manifests.manifest import read_manifest
from tests.conftest import build_local
from tests.corpus.removals import by_host, contents, encoded, lists, removed_from, write_inputs


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus, and beside it its inputs: not to be changed."""
    folder = tmp_path_factory.mktemp("removal")
    write_inputs(folder)
    build_local(folder / "recipe.toml", folder / "corpus")
    return folder / "corpus"


def ids(corpus, *names):
    rows = by_host(corpus)
    return [rows[name]["doc_id"] for name in names]


def fates(out):
    """What became of the documents that are not alone."""
    rows = by_host(out)
    return {name: rows[name]["reason"] for name in ("first", "exact", "near", "chain-a", "chain-b", "chain-c")}


def test_the_corpus_has_duplicates_of_each_kind(corpus):
    found = {"first": None, "exact": "dedup.exact", "near": "dedup.near"}
    assert fates(corpus) == {**found, "chain-a": None, "chain-b": "dedup.exact", "chain-c": None}


def test_without_a_keeper_the_next_best_comes_in_and_the_rest_are_its_duplicates(corpus, tmp_path):
    before = contents(corpus)
    first, exact = ids(corpus, "first", "exact")
    _, removal = removed_from(corpus, tmp_path / "new", lists(tmp_path, ids=[first]))
    assert fates(tmp_path / "new") == {**fates(corpus), "first": "remove.ids", "exact": None}
    rows = by_host(tmp_path / "new")
    assert (rows["near"]["duplicate_of"], rows["near"]["component_size"]) == (exact, 2)
    assert (rows["first"]["fate"], rows["first"]["stage"]) == ("removed", "remove")
    assert [row["doc_id"] for row in removal.readmitted] == [exact]
    assert removal.readmitted[0] == {
        "doc_id": exact,
        "url": "https://exact.example/page",
        "reason": "dedup.exact",
        "duplicate_of": first,
    }
    assert removal.displaced == []
    assert encoded(tmp_path / "new") == encoded(corpus) - {first} | {exact}
    assert contents(corpus) == before
    assert verify(str(corpus)).problems == verify(str(tmp_path / "new")).problems == []
    assert read_manifest(str(tmp_path / "new")).parents == [read_manifest(str(corpus)).digest]


def test_near_takes_the_whole_component(corpus, tmp_path):
    wanted = lists(tmp_path, ids=ids(corpus, "near"))
    selection, removal = removed_from(corpus, tmp_path / "new", wanted, near=True)
    found = {"first": "remove.near", "exact": "remove.near", "near": "remove.ids"}
    assert {name: fates(tmp_path / "new")[name] for name in found} == found
    (keeper,) = ids(corpus, "first")
    asked = dict(selection.documents.select("doc_id", "asked").iter_rows())
    assert asked == dict(
        zip(ids(corpus, "near", "first", "exact"), [*ids(corpus, "near"), keeper, keeper], strict=True)
    )
    assert (removal.readmitted, removal.displaced) == ([], [])


def test_what_comes_in_may_push_out_what_was_no_duplicate_of_the_removed(corpus, tmp_path):
    _, removal = removed_from(corpus, tmp_path / "new", lists(tmp_path, ids=ids(corpus, "chain-a")))
    found = {"chain-a": "remove.ids", "chain-b": None, "chain-c": "dedup.url"}
    assert {name: fates(tmp_path / "new")[name] for name in found} == found
    b, c = ids(corpus, "chain-b", "chain-c")
    assert [row["doc_id"] for row in removal.readmitted] == [b]
    (went,) = removal.displaced
    assert (went["doc_id"], went["reason"], went["duplicate_of"]) == (c, "dedup.url", b)


def test_a_removed_duplicate_leaves_tokens_and_rows_as_they_are(corpus, tmp_path):
    _, removal = removed_from(corpus, tmp_path / "new", lists(tmp_path, ids=ids(corpus, "near")))
    assert by_host(tmp_path / "new")["near"]["fate"] == "removed"
    assert by_host(tmp_path / "new")["first"]["component_size"] == 2
    assert removal.done == {"encode": (2, 2), "pack": (0, 3)}  # the ledger of its keeper's unit tells it too
    old, new = read_manifest(str(corpus)), read_manifest(str(tmp_path / "new"))
    assert new.shards == old.shards
    assert new.digest != old.digest


def test_one_document_costs_its_unit_and_its_bucket(corpus, tmp_path):
    _, removal = removed_from(corpus, tmp_path / "new", lists(tmp_path, ids=ids(corpus, "a3")))
    assert removal.done == {"encode": (1, 2), "pack": (1, 3)}
    old, new = read_manifest(str(corpus)), read_manifest(str(tmp_path / "new"))
    assert new.tokenizer == old.tokenizer
    before = {shard.path: shard.sha256 for shard in old.shards if shard.kind == "tokens"}
    after = {shard.path: shard.sha256 for shard in new.shards if shard.kind == "tokens"}
    assert sum(before[path] != after[path] for path in before) == 1
    same = [path for path in before if before[path] == after[path]]
    assert all((corpus / path).samefile(tmp_path / "new" / path) for path in same)


def test_deciles_that_move_have_all_rows_packed_again_but_none_gathered(tmp_path):
    write_inputs(tmp_path)
    build_local(tmp_path / "recipe.toml", tmp_path / "old", "pack.quality=text.num_bytes")
    _, removal = removed_from(tmp_path / "old", tmp_path / "new", lists(tmp_path, ids=ids(tmp_path / "old", "a3")))
    assert removal.done == {"encode": (1, 2), "pack": (3, 3)}
    old, new = read_manifest(str(tmp_path / "old")), read_manifest(str(tmp_path / "new"))
    assert old.packing.quality_edges != new.packing.quality_edges
    tokens = [shard.path for shard in old.shards if shard.kind == "tokens"]
    assert sum((tmp_path / "old" / path).samefile(tmp_path / "new" / path) for path in tokens) == 2
    build_local(tmp_path / "recipe.toml", tmp_path / "new", "pack.quality=text.num_bytes")
    assert read_manifest(str(tmp_path / "new")).shards == new.shards
    assert verify(str(tmp_path / "new")).problems == []


def test_a_page_that_the_filters_dropped_is_removed_by_its_url(sample_corpus, tmp_path):
    dropped = (
        ledger.scan(str(sample_corpus)).filter(pl.col("reason").str.starts_with("fineweb")).collect().row(0, named=True)
    )
    wanted = lists(tmp_path, urls=[dropped["url"].replace("https://", "http://www.") + "#top"])
    selection, removal = removed_from(sample_corpus, tmp_path / "new", wanted)
    assert selection.documents["doc_id"].to_list() == [dropped["doc_id"]]  # not the request with the same URL
    (row,) = ledger.find(str(tmp_path / "new"), dropped["doc_id"])
    assert (row["fate"], row["reason"], row["num_bytes"]) == ("removed", "remove.urls", dropped["num_bytes"])
    assert removal.done["pack"] == (0, 1)
    assert verify(str(tmp_path / "new")).problems == []


def test_a_domain_goes_with_all_hosts_below_it_and_no_text_of_it_is_in_the_report(sample_corpus, tmp_path):
    rows = ledger.scan(str(sample_corpus)).filter(pl.col("reason").ne_missing("read.record_type")).collect()
    domain = rows.filter(fate="kept")["url"].drop_nulls()[0].split("/")[2]
    mine = rows.filter(pl.col("url").str.contains(rf"//([^/]*\.)?{domain}/"))
    selection, _ = removed_from(sample_corpus, tmp_path / "new", lists(tmp_path, domains=[domain.upper()]))
    assert set(selection.documents["doc_id"]) == set(mine["doc_id"])
    manifest = read_manifest(str(tmp_path / "new"))
    assert manifest.counts["fate"]["removed"] == manifest.counts["reason"]["remove.domains"] == mine.height > 2
    assert sum(manifest.counts["fate"].values()) == sum(unit.num_records for unit in manifest.units)
    report = (tmp_path / "new" / "report.json").read_text("utf-8")
    assert f"{mine.height}" in report
    assert not any(doc_id in report for doc_id in mine["doc_id"])
    assert verify(str(tmp_path / "new")).problems == []


def test_the_new_version_is_what_a_whole_build_with_the_list_gives(corpus, tmp_path):
    removed_from(corpus, tmp_path / "new", lists(tmp_path, ids=ids(corpus, "first", "a1", "b7")))
    digest = read_manifest(str(tmp_path / "new")).digest
    for folder in ("tokens", "packed", "ledger", "duplicates"):
        shards.remove(str(tmp_path / "new" / folder))
    assert build_local(corpus.parent / "recipe.toml", tmp_path / "new").digest == digest


def test_inputs_and_files_that_the_recipe_names_may_be_gone(tmp_path):
    write_inputs(tmp_path)
    build_local(tmp_path / "recipe.toml", tmp_path / "trained")
    (tmp_path / "given.json").write_bytes((tmp_path / "trained" / "tokenizer.json").read_bytes())
    build_local(tmp_path / "recipe.toml", tmp_path / "corpus", f"tokenize.tokenizer={str(tmp_path / 'given.json')!r}")
    for name in ("a.jsonl", "b.jsonl", "given.json"):
        (tmp_path / name).unlink()
    removed_from(tmp_path / "corpus", tmp_path / "new", lists(tmp_path, ids=ids(tmp_path / "corpus", "first")))
    old, new = read_manifest(str(tmp_path / "corpus")), read_manifest(str(tmp_path / "new"))
    assert (new.tokenizer, new.recipe_digest, new.units) == (old.tokenizer, old.recipe_digest, old.units)
    assert verify(str(tmp_path / "new")).problems == []


def test_a_gate_that_holds_no_more_does_not_keep_documents_in(tmp_path):
    write_inputs(tmp_path)
    gate = '[[audit.gate]]\nslice = "all"\nrule = "dedup"\nmax_drop_ratio = 0.1\nmin_documents = 10\n'
    with (tmp_path / "recipe.toml").open("a", encoding="utf-8") as file:
        file.write(gate)
    build_local(tmp_path / "recipe.toml", tmp_path / "corpus")  # 3 duplicates of 30 documents
    removed_from(tmp_path / "corpus", tmp_path / "new", lists(tmp_path, ids=ids(tmp_path / "corpus", "a1", "a2")))
    report = json.loads((tmp_path / "new" / "report.json").read_text("utf-8"))
    assert [gate["met"] for gate in report["gates"]] == [False]
    assert verify(str(tmp_path / "new")).problems == []


def test_files_are_copied_where_there_are_no_links_and_the_digest_is_the_same(corpus, tmp_path):
    wanted = lists(tmp_path, ids=ids(corpus, "first"))
    _, local = removed_from(corpus, tmp_path / "new", wanted)
    build_local(corpus.parent / "recipe.toml", "memory://removal/corpus")
    before = contents("memory://removal/corpus")
    _, remote = removed_from("memory://removal/corpus", None, wanted)
    assert remote.out == "memory://removal/corpus-v2"
    assert remote.digest == local.digest
    assert contents("memory://removal/corpus") == before
    _, crossed = removed_from("memory://removal/corpus", tmp_path / "crossed", wanted)
    assert crossed.digest == local.digest


def test_lines_that_a_removed_document_held_go_back_to_the_next_that_has_them(tmp_path):
    write_inputs(tmp_path)
    line = "All rights of this page are reserved by its owners."
    for name in "ab":
        path = tmp_path / f"{name}.jsonl"
        path.write_text(
            path.read_text("utf-8").replace('0"}', f'0\\n{line}"}}').replace('5"}', f'5\\n{line}"}}'), "utf-8"
        )
    corpus, new = tmp_path / "corpus", tmp_path / "new"
    build_local(tmp_path / "recipe.toml", corpus, 'dedup.lines={unit="line"}')
    holders = [text_with(corpus, line)]
    assert len(holders[0]) == 1
    removed_from(corpus, new, lists(tmp_path, ids=holders[0]))
    holders.append(text_with(new, line))
    assert len(holders[1]) == 1
    assert holders[0] != holders[1]
    assert verify(str(new)).problems == []


def text_with(out, line):
    """Ids of kept documents that have the line in the end."""
    kept = encoded(out)
    found = []
    for name in ("a.jsonl", "b.jsonl"):
        for _, batch, text in final_texts(str(out), unit_id("s", name)):
            pairs = zip(batch["doc_id"].to_pylist(), text.to_pylist(), strict=True)
            found += [doc_id for doc_id, final in pairs if doc_id in kept and line in final]
    return found


def test_what_is_not_found_is_told_and_what_was_removed_before_is_found(corpus, tmp_path):
    (known,) = ids(corpus, "a1")
    wanted = lists(
        tmp_path, ids=[known, "0" * 32], urls=["https://none.example/"], domains=["first.example", "no.example"]
    )
    selection, _ = removed_from(corpus, tmp_path / "new", wanted)
    assert selection.not_found == ["0" * 32, "https://none.example/", "no.example"]
    assert selection.documents.select("doc_id", "reason", "asked").rows() == [
        (known, "remove.ids", known),
        (*ids(corpus, "first"), "remove.domains", "first.example"),
    ]
    again = select(str(tmp_path / "new"), wanted, near=True)
    assert again.documents.height == 0
    assert again.not_found == selection.not_found


def test_to_remove_everything_is_refused(corpus, tmp_path):
    with pytest.raises(InputError, match="none would be left"):
        select(
            str(corpus),
            lists(tmp_path, domains=[f"{name}.example" for name in by_host(corpus)] + ["chain.example"]),
            False,
        )


@pytest.mark.parametrize("name", ["letter.txt", "recipe.toml"])
def test_a_folder_with_other_files_is_refused_and_left_alone(corpus, tmp_path, name):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / name).write_text("mine")
    with pytest.raises(ManifestMismatch, match="new: holds other files"):
        removed_from(corpus, tmp_path / "new", lists(tmp_path, ids=ids(corpus, "first")))
    assert contents(tmp_path / "new").keys() == {name}
    before = contents(corpus)
    with pytest.raises(ManifestMismatch, match="corpus: holds other files"):
        removed_from(corpus, corpus, lists(tmp_path, ids=ids(corpus, "first")))
    assert contents(corpus) == before


def test_a_corpus_that_is_not_finished_is_refused(corpus_copy, tmp_path):
    (corpus_copy / "manifest.json").unlink()
    with pytest.raises(InputError, match="there is no manifest"):
        select(str(corpus_copy), lists(tmp_path, ids=["0" * 32]), False)


def test_a_record_of_a_unit_that_is_damaged_is_named_before_anything_is_written(corpus_copy, tmp_path):
    unit = read_manifest(str(corpus_copy)).units[1].unit_id
    path = corpus_copy / "units" / unit / "commit.json"
    path.write_text(path.read_text("utf-8").replace("1", "2"), "utf-8")
    kept = ledger.scan(str(corpus_copy)).filter(fate="kept").collect()["doc_id"][0]
    with pytest.raises(IntegrityError, match=rf"units/{unit}/commit\.json: is missing or not as it was written"):
        removed_from(corpus_copy, tmp_path / "new", lists(tmp_path, ids=[kept]))
    assert not (tmp_path / "new").exists()


def test_a_corpus_that_is_built_again_meanwhile_gives_no_new_version(tmp_path):
    write_inputs(tmp_path)
    build_local(tmp_path / "recipe.toml", tmp_path / "corpus")

    def build_again(stage, *event):
        if stage == "copy":
            build_local(tmp_path / "recipe.toml", tmp_path / "corpus", "pack.length=32")

    wanted = lists(tmp_path, ids=ids(tmp_path / "corpus", "a1"))
    with pytest.raises(InputError, match="corpus: was built again meanwhile. Remove .*new and run this again"):
        removed_from(tmp_path / "corpus", tmp_path / "new", wanted, watch=build_again)
    assert not (tmp_path / "new" / "manifest.json").exists()
