import polars as pl
import pytest

from cluster.explaining import explain_document, explain_step
from corpus.read import read_record
from corpus.recipe_file import read_recipe
from manifests import ledger
from manifests.errors import InputError, ManifestMismatch
from manifests.manifest import read_manifest
from trainer.config import TrainConfig
from trainer.run_files import RunFacts, write_run


def rows(corpus, *conditions, **equal):
    """Ledger rows as dicts."""
    frame = ledger.scan(str(corpus)).filter(*conditions, **equal).collect()
    assert frame.height > 0
    return frame.to_dicts()


def explained(corpus, document):
    (record,) = explain_document(str(corpus), document)
    return record


def test_a_kept_document_passes_every_bound(sample_corpus):
    row = rows(sample_corpus, fate="kept", source="crawl")[0]
    record = explained(sample_corpus, row["doc_id"])
    assert record.row == row
    assert len(record.bounds) > 20
    assert not any(bound["fails"] for bound in record.bounds)
    words = next(bound for bound in record.bounds if bound["column"] == "gopher_quality.num_words")
    assert (words["side"], words["limit"], words["value"]) == ("min", 50.0, row["gopher_quality.num_words"])
    assert 0 < len(record.text) <= 400


def test_a_dropped_document_fails_the_bound_of_its_reason(sample_corpus):
    reasons = pl.col("reason").str.starts_with("gopher") | pl.col("reason").str.starts_with("fineweb")
    for row in rows(sample_corpus, reasons):
        record = explained(sample_corpus, row["doc_id"])
        first = next(bound for bound in record.bounds if bound["fails"])
        assert first["reason"] == row["reason"]


@pytest.mark.parametrize("source", ["crawl", "text"])
def test_offset_and_length_read_the_record_back(sample_corpus, source):
    recipe = read_recipe(f"{sample_corpus}/recipe.toml")
    declared = next(one for one in recipe.source if one.name == source)
    for row in rows(sample_corpus, fate="kept", source=source)[:5]:
        record = explained(sample_corpus, row["doc_id"])
        (again,) = read_record(record.uri, declared, row["offset"], row["length"]).to_pylist()
        assert (again["url"], again["doc_id"]) == (row["url"], row["doc_id"])
        assert record.again == f"the record is there, {len(again['text']):,} characters long"


def test_a_url_names_its_page_and_not_the_request_for_it(sample_corpus):
    row = rows(sample_corpus, fate="kept", source="crawl")[0]
    same_url = rows(sample_corpus, url=row["url"])
    assert {other["reason"] for other in same_url} == {None, "read.record_type"}
    assert explained(sample_corpus, row["url"]).row == row


def test_a_component_is_listed_from_each_of_its_members(sample_corpus):
    loser = rows(sample_corpus, fate="duplicate", duplicate_kind="near")[0]
    from_loser = explained(sample_corpus, loser["doc_id"]).component
    from_keeper = explained(sample_corpus, loser["duplicate_of"]).component
    assert from_loser == from_keeper
    assert len(from_loser) == loser["component_size"]
    assert from_loser[0]["doc_id"] == loser["duplicate_of"]
    assert [member["fate"] for member in from_loser] == ["kept", *["duplicate"] * (loser["component_size"] - 1)]
    (mine,) = [member for member in from_loser if member["doc_id"] == loser["doc_id"]]
    assert (mine["jaccard"], mine["duplicate_kind"]) == (loser["jaccard"], loser["duplicate_kind"])


def test_a_failed_record_tells_its_error_and_fails_again(sample_corpus):
    failed = rows(sample_corpus, fate="failed")
    for row in failed:
        record = explained(sample_corpus, row["doc_id"])
        assert (record.text, record.bounds, record.component) == ("", [], [])
        assert record.row["error"] == row["error"]
        assert record.again != ""


@pytest.mark.parametrize("document", ["0" * 32, "https://nowhere.example/"])
def test_an_unknown_document_is_an_input_error(sample_corpus, document):
    with pytest.raises(InputError, match=f"no record has .*{document}.*32 hex characters"):
        explain_document(str(sample_corpus), document)


def test_an_input_that_is_gone_is_said_to_be(corpus_copy, sample_crawl):
    row = rows(corpus_copy, fate="kept", source="crawl")[0]
    path = corpus_copy / "recipe.toml"
    path.write_text(path.read_text("utf-8").replace(str(sample_crawl), "/nowhere"), "utf-8")
    record = explained(corpus_copy, row["doc_id"])
    assert record.uri == row["file"]
    assert row["file"] in record.again
    assert record.text != ""


def run_of(corpus, folder, digest):
    config = TrainConfig(global_batch=4, micro_batch=4)
    write_run(str(folder), RunFacts(paths=(str(corpus),), digest=digest, config=config))
    (folder / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n', "utf-8")
    return str(folder)


@pytest.mark.parametrize("step", [0, 3])
def test_a_step_that_was_not_done_is_an_error(sample_corpus, tmp_path, step):
    run = run_of(sample_corpus, tmp_path, read_manifest(str(sample_corpus)).digest)
    with pytest.raises(InputError, match=f"has no step {step}; the run has done steps 1 to 2"):
        explain_step(run, step)


def test_a_step_names_documents_with_their_place_in_the_crawl(sample_corpus, tmp_path):
    run = run_of(sample_corpus, tmp_path, read_manifest(str(sample_corpus)).digest)
    documents = explain_step(run, 1)
    assert len({document["row"] for document in documents}) == 4
    kept = {row["doc_id"]: row for row in rows(sample_corpus, fate="kept")}
    for document in documents:
        row = kept[document["doc_id"]]
        assert all(document[name] == row[name] for name in ("source", "file", "offset", "url"))
    assert all(document["num_tokens"] > 0 for document in documents)
    assert explain_step(run, 2) != documents


def test_a_corpus_that_was_built_again_is_not_the_run_s(sample_corpus, tmp_path):
    run = run_of(sample_corpus, tmp_path, "0" * 64)
    with pytest.raises(ManifestMismatch, match="trained on 0000000000000000…: the data has changed since"):
        explain_step(run, 1)
