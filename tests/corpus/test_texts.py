"""Line deduplication through a whole build: what is encoded, counted, shown and redone."""

import io
import json

import polars as pl
import pyarrow.parquet as pq
import pytest

from cluster import show
from cluster.explaining import explain_document
from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.report import render
from corpus.run_local import LocalRunner
from corpus.texts import final_texts
from corpus.tokenizers import load_tokenizer
from corpus.verify import verify
from corpus.whatif import whatif
from manifests import ledger, shards
from manifests.manifest import read_manifest
from tests.conftest import build_local

NOTICE = "Subscribe to our newsletter for more stories of this kind."
RECIPE = """
name = "lines"
[[source]]
name = "pages"
format = "jsonl"
paths = ["*.jsonl"]
[language]
keep = []
[[filter]]
rule = "gopher_quality"
min_words = 3
min_stop_words = "off"
min_alphabetic_word_ratio = "off"
[dedup.lines]
min_chars = 12
[tokenize]
tokenizer = "train:300"
[pack]
length = 16
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Three files of pages with the same notice; the last page of each has little else."""
    folder = tmp_path_factory.mktemp("pages")
    for name in "abc":
        texts = [f"The harbour of {name} wakes early.\nBoats leave {name} before the sun is up.\n\n{NOTICE}"]
        texts += [f"{NOTICE}\n\nAt six the market of {name} opens, Nr. {n}{n * 'i'}." for n in range(5)]
        texts += [f"Home\n{NOTICE}\nLog in {name}"]
        rows = [{"text": text, "url": f"https://{name}.example/{n}"} for n, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "recipe.toml").write_text(RECIPE, "utf-8")
    return folder / "recipe.toml"


@pytest.fixture(scope="module")
def corpus(recipe, tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "corpus"
    build_local(recipe, out)
    return out


@pytest.fixture(scope="module")
def rows(corpus):
    return ledger.scan(str(corpus)).collect()


def texts_of(out):
    found = {}
    for unit in read_manifest(str(out)).units:
        for _, batch, text in final_texts(str(out), unit.unit_id):
            found |= dict(zip(batch["doc_id"].to_pylist(), text.to_pylist(), strict=True))
    return found


def test_one_document_has_the_notice_and_the_short_ones_are_dropped(corpus, rows):
    texts = texts_of(corpus)
    assert sum(NOTICE in text for text in texts.values()) == 1
    dropped = rows.filter(pl.col("reason") == "dedup.lines")
    assert set(dropped.select("fate", "stage", "num_tokens").rows()) == {("dropped", "dedup", None)}
    assert {texts[doc_id] for doc_id in dropped["doc_id"]} == {f"Home\nLog in {name}" for name in "abc"}


def test_what_is_encoded_are_the_texts_without_repeats(corpus, rows):
    tokenizer = load_tokenizer(str(corpus / "tokenizer.json"))
    table = pq.read_table(corpus / "tokens" / "part-00000.parquet")
    decoded = dict(zip(table["doc_id"].to_pylist(), map(tokenizer.decode, table["tokens"].to_pylist()), strict=True))
    texts = texts_of(corpus)
    kept = rows.filter(pl.col("fate") == "kept")
    assert decoded == {doc_id: texts[doc_id] for doc_id in kept["doc_id"]}
    assert len(decoded) == 18
    assert sum(NOTICE in text for text in decoded.values()) == 1


def test_the_ledger_counts_what_went_and_what_is_left(corpus, rows):
    texts = texts_of(corpus)
    assert [len(texts[doc_id].encode()) for doc_id in rows["doc_id"]] == rows["num_bytes"].to_list()
    assert rows["num_lines_removed"].sum() == 20
    left = rows["num_bytes"] + rows["num_line_bytes_removed"]
    assert left.to_list() == rows["text.num_bytes"].to_list()
    assert set(rows.filter(pl.col("num_lines_removed") == 0)["num_line_bytes_removed"]) == {0}


def test_files_are_listed_and_verified(corpus):
    manifest = read_manifest(str(corpus))
    listed = [file.path for file in manifest.files if file.path.startswith("duplicates/lines/")]
    assert listed == sorted(f"duplicates/lines/{unit.unit_id}.parquet" for unit in manifest.units)
    assert "duplicates/lines/commit.json" in {file.path for file in manifest.side_files}
    assert verify(str(corpus)).problems == []


def test_the_report_has_the_counts_and_texts_without_repeats(corpus):
    report = json.loads((corpus / "report.json").read_text("utf-8"))
    lines = report["lines"]
    assert (lines["num_lines"], lines["num_documents"], lines["num_dropped"]) == (20, 20, 3)
    assert lines["num_bytes"] == 17 * (len(NOTICE) + 2) + 3 * (len(NOTICE) + 1)
    samples = {group["reason"]: [d["text"] for d in group["documents"]] for group in report["samples"]}
    assert all(text.startswith("Home\nLog in ") for text in samples["dedup.lines"])
    assert "<h2>Repeated lines</h2>" in render(report)


def test_explain_tells_what_a_document_lost(corpus, rows):
    loser = rows.filter((pl.col("num_lines_removed") == 1) & (pl.col("fate") == "kept")).row(0, named=True)
    (found,) = explain_document(str(corpus), loser["doc_id"])
    assert NOTICE not in found.text
    console = show.Console(width=200, file=io.StringIO())
    show.explained(console, [found])
    assert "lines    1 (60 bytes) removed: earlier documents have them" in console.file.getvalue()


def test_whatif_without_a_change_changes_nothing_and_drops_stay(corpus, rows):
    same = whatif(str(corpus), ["gopher_quality.min_words=3"])
    assert same.changes == []
    fewer = whatif(str(corpus), ["gopher_quality.min_words=20"])
    assert fewer.changes == [{"before": "kept", "after": "gopher_quality.too_few_words", "documents": 15}]


def counted(recipe, out, *overrides):
    """Build, and count by stage what was done."""
    done = {}

    def watch(stage, number, total, num_bytes, result):
        done[stage] = done.get(stage, 0) + (not result.get("reused"))

    manifest = build(read_recipe(str(recipe), overrides), str(out), LocalRunner(), watch)
    return manifest, done


def test_another_setting_redoes_lines_and_what_follows_but_neither_scores_nor_documents(recipe, tmp_path):
    first, _ = counted(recipe, tmp_path / "out")
    again, done = counted(recipe, tmp_path / "out")
    assert (again.digest, {stage for stage, number in done.items() if number}) == (first.digest, set())
    other, done = counted(recipe, tmp_path / "out", "dedup.lines.unit='paragraph'")
    worked = {stage for stage, number in done.items() if number}
    assert worked == {"lines: hash lines", "lines: find repeats", "lines: write removed", "encode", "pack"}
    assert done["score"] == 0
    assert other.digest == build_local(recipe, tmp_path / "fresh", "dedup.lines.unit='paragraph'").digest
    assert other.digest != first.digest
    assert verify(str(tmp_path / "out")).problems == []


def test_turned_off_nothing_is_left_of_it(recipe, tmp_path):
    plain = tmp_path / "plain.toml"
    text = recipe.read_text("utf-8").replace("[dedup.lines]\nmin_chars = 12\n", "")
    plain.write_text(text.replace('"*.jsonl"', f'"{recipe.parent}/*.jsonl"'), "utf-8")
    build_local(recipe, tmp_path / "out")
    after = build_local(plain, tmp_path / "out")
    assert after.digest == build_local(plain, tmp_path / "fresh").digest
    assert not [path for path in shards.list_files(str(tmp_path / "out")) if path.startswith("duplicates/lines/")]
    assert ledger.scan(str(tmp_path / "out")).collect()["num_lines_removed"].sum() == 0


def test_a_damaged_file_of_lines_is_made_anew(recipe, tmp_path):
    first = build_local(recipe, tmp_path / "out")
    path = sorted((tmp_path / "out" / "duplicates" / "lines").glob("*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:-9])
    assert build_local(recipe, tmp_path / "out").digest == first.digest
    assert verify(str(tmp_path / "out")).problems == []


def test_a_page_that_an_older_corpus_dropped_is_no_duplicate_of_it(recipe, corpus, tmp_path):
    pages = [f"Home\n{NOTICE}\nLog in b", f"{NOTICE}\n\nAt six the market of b opens, Nr. 1i."]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in pages), "utf-8")
    text = recipe.read_text("utf-8").replace("[dedup.lines]\nmin_chars = 12", f'[dedup]\nagainst = ["{corpus}"]')
    (tmp_path / "new.toml").write_text(text.replace('name = "lines"', 'name = "new"'), "utf-8")
    build_local(tmp_path / "new.toml", tmp_path / "new")
    assert ledger.scan(str(tmp_path / "new")).collect()["fate"].to_list() == ["kept", "duplicate"]
