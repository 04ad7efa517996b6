"""Losses of a run, from the documents that its steps read to the recipe that filters on them."""

import json
import math
import re
from collections import defaultdict

import pytest

from cluster.explaining import explain_seen, explain_step
from cluster.losses import compact
from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.run_local import LocalRunner
from manifests import ledger, shards
from manifests.errors import InputError
from manifests.schemas import DOCUMENT_LOSSES
from tests.conftest import unwatched
from tests.trainer.synthetic import small_config
from tests.trainer.tiny import run as tune
from tests.trainer.tiny import tuning, write_tokenizer
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.document_losses import read_losses
from trainer.loop import train
from trainer.run_files import read_metrics

STEPS = 12


def config(**changes: object) -> TrainConfig:
    return small_config(steps=STEPS, checkpoint_every=5, **changes)


@pytest.fixture(scope="module")
def a_run(sample_corpus, tmp_path_factory):
    """Three epochs or so of a few rows, by a tiny model."""
    out = tmp_path_factory.mktemp("run") / "run"
    train([str(sample_corpus)], config(), str(out), Context())
    return str(out)


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    """A run on examples."""
    folder = tmp_path_factory.mktemp("chat")
    tune(folder, "chat", tuning("instruction", steps=6, examples={"tokenizer": str(write_tokenizer(folder))}))
    return str(folder / "chat")


def rows_of(run, **equal):
    found = read_losses(run, range(1, STEPS + 1)).to_pylist()
    return [row for row in found if all(row[name] == value for name, value in equal.items())]


def test_a_step_tells_the_loss_of_each_of_its_documents_and_where_they_come_from(sample_corpus, a_run):
    documents = explain_step(a_run, 7)
    expected = rows_of(a_run, step=7)
    assert len(documents) == len(expected) >= 4
    for name in ("row", "doc_id", "segment_start", "num_targets", "loss", "bits_per_byte", "source"):
        assert [document[name] for document in documents] == [row[name] for row in expected]
    total = sum(document["num_targets"] for document in documents)
    mean = sum(document["loss"] * document["num_targets"] for document in documents if document["num_targets"]) / total
    assert mean == pytest.approx(read_metrics(a_run)[6]["loss"], rel=1e-6)
    kept = {row["doc_id"]: row for row in ledger.scan(str(sample_corpus)).collect().to_dicts()}
    for document in documents:
        assert all(document[name] == kept[document["doc_id"]][name] for name in ("file", "offset", "url"))


def test_losses_that_are_not_written_yet_are_left_out(sample_corpus, tmp_path):
    train([str(sample_corpus)], config(losses=False), str(tmp_path), Context())
    documents = explain_step(str(tmp_path), 7)
    assert {(document["loss"], document["num_targets"]) for document in documents} == {(None, None)}
    assert explain_seen(str(tmp_path), documents[0]["doc_id"]).steps[0]["bits_per_byte"] is None


def test_a_document_tells_the_steps_that_read_it_with_its_loss_each_time(a_run):
    by_document = defaultdict(list)
    for row in rows_of(a_run):
        by_document[row["doc_id"]].append(row)
    most = max(by_document, key=lambda document: len(by_document[document]))
    assert len(by_document[most]) > 1
    for document in (most, next(iter(by_document))):
        found = explain_seen(a_run, document)
        assert found.last_step == STEPS
        (record,) = found.documents
        assert (record["doc_id"], record["fate"]) == (document, "kept")
        assert explain_seen(a_run, record["url"]) == found
        for name in ("step", "row", "doc_id", "segment_start", "num_targets", "loss", "bits_per_byte"):
            assert [part[name] for part in found.steps] == [row[name] for row in by_document[document]]


def test_a_document_that_was_dropped_was_read_by_no_step(sample_corpus, a_run):
    dropped = (
        ledger.scan(str(sample_corpus)).filter(fate="dropped", stage="gopher_quality").head(1).collect().to_dicts()
    )
    found = explain_seen(a_run, dropped[0]["doc_id"])
    assert (found.steps, found.documents[0]["reason"]) == ([], dropped[0]["reason"])
    with pytest.raises(InputError, match="no record has doc_id"):
        explain_seen(a_run, "0" * 32)


def test_documents_of_several_corpora_are_explained_in_each(sample_corpus, corpus_copy, tmp_path):
    train([str(sample_corpus), str(corpus_copy)], config(global_batch=16), str(tmp_path / "run"), Context())
    rows = rows_of(str(tmp_path / "run"))
    assert {row["source"] for row in rows} == {"demo-1/crawl", "demo-1/text", "demo-2/crawl", "demo-2/text"}
    losses = [document["loss"] for document in explain_step(str(tmp_path / "run"), 4)]
    assert losses == [row["loss"] for row in rows if row["step"] == 4]
    found = explain_seen(str(tmp_path / "run"), rows[0]["doc_id"])
    assert [record["corpus"] for record in found.documents] == [str(sample_corpus), str(corpus_copy)]
    mine = [row for row in rows if row["doc_id"] == rows[0]["doc_id"]]
    read = [(part["step"], part["row"], part["loss"]) for part in found.steps]
    assert sorted(read) == sorted((row["step"], row["row"], row["loss"]) for row in mine)


def test_examples_are_explained_by_file_and_line(chat):
    documents = explain_step(chat, 3)
    first = documents[0]
    assert first["file"].endswith("/chat.jsonl")
    assert first["doc_id"] == f"chat.jsonl:{first['line']}"
    assert first["num_targets"] == 2
    found = explain_seen(chat, first["doc_id"])
    assert found.documents == [{name: first[name] for name in ("doc_id", "source", "file", "line")}]
    (step,) = [part for part in found.steps if part["step"] == 3]
    assert step["loss"] == first["loss"]
    assert len(found.steps) == 6 * 4 / 4  # a step reads all four rows of two examples
    with pytest.raises(InputError, match="no example is 'chat.jsonl:9'. Give file:line, as chat.jsonl:1"):
        explain_seen(chat, "chat.jsonl:9")


def test_each_document_is_compacted_to_its_last_reading(a_run, tmp_path):
    result = compact(a_run, str(tmp_path / "losses.parquet"))
    table = shards.read_table(str(tmp_path / "losses.parquet"))
    assert table.schema == DOCUMENT_LOSSES
    rows = rows_of(a_run)
    usual = {line["step"]: line["bits_per_byte"] for line in read_metrics(a_run)}
    last = {(row["doc_id"], row["segment_start"]): row for row in rows if row["num_targets"]}
    ids = sorted({doc for doc, _ in last})
    assert table["doc_id"].to_pylist() == ids
    assert (result.num_documents, result.num_steps) == (len(ids), STEPS)
    for found in table.to_pylist():
        parts = [row for (doc, _), row in last.items() if doc == found["doc_id"]]
        nats = sum(part["loss"] * part["num_targets"] for part in parts)
        num_bytes = sum(part["num_bytes"] or 0 for part in parts)
        expected = sum(usual[part["step"]] * (part["num_bytes"] or 0) for part in parts)
        assert found["num_targets"] == sum(part["num_targets"] for part in parts)
        assert found["last_step"] == max(part["step"] for part in parts)
        assert found["loss"] == pytest.approx(nats / found["num_targets"], abs=1e-5)
        assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / num_bytes, abs=1e-5)
        excess = (nats / math.log(2) - expected) / num_bytes
        assert found["excess_bits_per_byte"] == pytest.approx(excess, abs=1e-5)
    again = compact(a_run, str(tmp_path / "again.parquet"))
    assert again.num_documents == result.num_documents
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "losses.parquet").read_bytes()


def test_a_recipe_drops_what_a_run_found_hard(sample_corpus, sample_recipe, a_run, tmp_path):
    compact(a_run, str(tmp_path / "losses.parquet"))
    table = shards.read_table(str(tmp_path / "losses.parquet")).to_pylist()
    excess = sorted(row["excess_bits_per_byte"] for row in table)
    limit = max(0.0, excess[-5])
    hard = {row["doc_id"] for row in table if row["excess_bits_per_byte"] > limit}
    assert len(hard) >= 4
    recipe = tmp_path / "recipe.toml"
    rule = f'[[filter]]\nrule = "trained_loss"\nlosses = "losses.parquet"\nmax_excess_bits_per_byte = {limit}\n\n'
    text = sample_recipe.read_text("utf-8")
    text = re.sub(r'= \["(warc|wet)/', rf'= ["{sample_recipe.parent}/\1/', text)
    text = text.replace('"blocklist.txt"', f'"{sample_recipe.parent}/blocklist.txt"')
    recipe.write_text(text.replace("[dedup]", rule + "[dedup]", 1), "utf-8")
    build(read_recipe(str(recipe)), str(tmp_path / "corpus"), LocalRunner(), unwatched)
    dropped = ledger.scan(str(tmp_path / "corpus")).filter(reason="trained_loss.too_hard").collect()
    assert set(dropped["doc_id"]) == hard
    kept = ledger.scan(str(tmp_path / "corpus")).filter(fate="kept").collect()
    assert set(kept["doc_id"]).isdisjoint(hard)
    assert kept.filter(kept["trained_loss.num_times"] == 0).height > 100  # never read by the run


def test_a_run_without_losses_says_what_to_do(sample_corpus, tmp_path):
    train([str(sample_corpus)], config(losses=False), str(tmp_path), Context())
    with pytest.raises(InputError, match=r"there are no losses\. Name a run whose config has losses = true"):
        compact(str(tmp_path), str(tmp_path / "losses.parquet"))


def test_the_commands_print_for_people_and_as_json(run, a_run, chat, tmp_path):
    document = rows_of(a_run)[0]["doc_id"]
    code, out, err = run("explain", a_run, "--document", document)
    assert (code, err) == (0, "")
    assert "times in steps 1 to 12" in out
    code, out, _ = run("explain", a_run, "--document", document, "--json")
    assert json.loads(out)["steps"][0]["doc_id"] == document
    code, out, _ = run("explain", chat, "--step", 2)
    assert (code, "chat.jsonl:1" in out) == (0, True)
    code, out, _ = run("losses", a_run, "--out", tmp_path / "losses.parquet")
    assert (code, out.startswith(f"{tmp_path}/losses.parquet: ")) == (0, True)
    code, out, _ = run("losses", a_run, "--out", tmp_path / "losses.parquet", "--json")
    assert json.loads(out)["num_steps"] == STEPS
    code, out, err = run("losses", tmp_path, "--out", tmp_path / "losses.parquet")
    assert (code, out) == (1, "")
    assert "there are no losses" in err
