import json

import pytest

from cluster.explaining import explain_document, explain_step
from cluster.removing import remove_documents
from manifests import ledger, shards
from manifests.errors import ManifestMismatch
from manifests.manifest import read_manifest
from tests.corpus.removals import contents, lists
from trainer.config import TrainConfig
from trainer.data import open_data
from trainer.run_files import RunFacts, write_run

NUM_STEPS = 150  # of 4 rows: into the second epoch


def kept(corpus, **equal):
    return ledger.scan(str(corpus)).filter(fate="kept", **equal).collect().to_dicts()


def write_training(folder, corpus, num_steps):
    """What a training run of the corpus leaves of itself."""
    digest = read_manifest(str(corpus)).digest
    config = TrainConfig(global_batch=4, micro_batch=4, seed=5)
    write_run(str(folder), RunFacts(paths=(str(corpus),), digest=digest, config=config))
    (folder / "metrics.jsonl").write_text("".join(f'{{"step": {step}}}\n' for step in range(1, num_steps + 1)), "utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def training(sample_corpus, tmp_path_factory):
    return write_training(tmp_path_factory.mktemp("run"), sample_corpus, NUM_STEPS)


def test_rows_and_steps_are_those_that_held_the_documents(sample_corpus, training, tmp_path):
    wanted = [row["doc_id"] for row in kept(sample_corpus)[3:60:20]]
    result = remove_documents(
        str(sample_corpus), lists(tmp_path, ids=wanted), False, str(tmp_path / "new"), [training], ("local", None)
    )
    for row in result.rows:
        table = shards.read_table(shards.join(str(sample_corpus), row["shard"]), ["segment_doc"])
        assert row["doc_id"] in table["segment_doc"][row["shard_row"]].as_py()
    assert {row["doc_id"] for row in result.rows} == set(wanted)
    (run,) = result.runs
    replayed = {
        (step, document["row"], document["doc_id"])
        for step in range(1, NUM_STEPS + 1)
        for document in explain_step(training, step)
        if document["doc_id"] in wanted
    }
    assert {(each["step"], each["row"], each["doc_id"]) for each in run["steps"]} == replayed
    assert len(run["steps"]) == len(replayed) > 3
    assert [each["step"] for each in run["steps"]] == sorted(each["step"] for each in run["steps"])


def test_a_run_of_an_older_version_is_looked_through_in_its_own_corpus(sample_corpus, training, tmp_path):
    first, second = (row["doc_id"] for row in kept(sample_corpus)[:2])
    call = (False, str(tmp_path / "v2"), [], ("local", None))
    remove_documents(str(sample_corpus), lists(tmp_path, ids=[first]), *call)
    call = (False, str(tmp_path / "v3"), [training], ("local", None))
    result = remove_documents(str(tmp_path / "v2"), lists(tmp_path, ids=[second]), *call)
    (run,) = result.runs
    assert {each["doc_id"] for each in run["steps"]} == {second}
    assert run["steps"][0]["row"] in {document["row"] for document in explain_step(training, run["steps"][0]["step"])}


def test_the_trainer_reads_both_versions(sample_corpus, tmp_path):
    document = kept(sample_corpus)[0]
    remove_documents(
        str(sample_corpus), lists(tmp_path, ids=[document["doc_id"]]), False, str(tmp_path / "new"), [], ("local", None)
    )
    held = {}
    for name, root in (("old", sample_corpus), ("new", tmp_path / "new")):
        stream = open_data([str(root)], TrainConfig(seed=1, global_batch=4)).train
        assert stream.batch(1, 0, 1).tokens.shape == (4, 257)
        rows = range(stream.num_rows)
        held[name] = sum(document["doc_id"] in stream.documents(row)["segment_doc"] for row in rows)
    assert held["old"] > 0
    assert held["new"] == 0
    (record,) = explain_document(str(tmp_path / "new"), document["doc_id"])
    assert (record.row["fate"], record.row["reason"], record.text) == ("removed", "remove.ids", "")


def test_a_run_of_another_corpus_is_refused_before_anything_is_written(sample_corpus, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    write_run(str(run), RunFacts(paths=(str(sample_corpus),), digest="0" * 64, config=TrainConfig()))
    wanted = lists(tmp_path, ids=[kept(sample_corpus)[0]["doc_id"]])
    with pytest.raises(ManifestMismatch, match="the data has changed since"):
        remove_documents(str(sample_corpus), wanted, False, str(tmp_path / "new"), [str(run)], ("local", None))
    assert not (tmp_path / "new").exists()


def test_the_command_tells_what_it_did_and_exits_with_1_for_what_is_not_found(run, sample_corpus, tmp_path):
    document = kept(sample_corpus, component_size=1)[0]
    before = contents(sample_corpus)
    (tmp_path / "urls").write_text(f"{document['url']}\nhttps://none.example/\n", "utf-8")
    call = ["remove", sample_corpus, "--urls", tmp_path / "urls", "--near", "--out", tmp_path / "new"]
    code, out, err = run(*call)
    assert code == 1
    assert "not found: https://none.example/\n" in out
    assert f"{sample_corpus}: 1 document to remove (remove.urls 1)\n" in out
    assert document["doc_id"] in out
    assert "made again: 1 of 5 units, 1 of 1 buckets\n" in out
    assert f"digest {read_manifest(str(tmp_path / 'new')).digest}\n" in out
    assert f"new version {tmp_path}/new\n" in out
    assert err.startswith("take over files: 1/1\n")
    assert contents(sample_corpus) == before

    (tmp_path / "urls").write_text(document["url"], "utf-8")
    code, out, _ = run(*call[:-2], "--out", tmp_path / "again", "--json")
    result = json.loads(out)
    assert code == 0
    assert out.isascii()
    assert (result["not_found"], result["num_removed"]) == ([], {"remove.urls": 1})
    assert result["digest"] == read_manifest(str(tmp_path / "again")).digest

    code, out, _ = run("remove", tmp_path / "new", "--urls", tmp_path / "urls", "--out", tmp_path / "third")
    assert code == 0
    assert "nothing to remove: no new version was written" in out
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("--ids", None, "list: cannot be read"),
        ("--ids", "", "holds no entry"),
        ("--ids", "abc", "'abc' is no document id"),
        ("--domains", "com", "'com' is a public suffix"),
    ],
)
def test_a_bad_list_is_one_line_and_nothing_is_written(run, sample_corpus, tmp_path, name, text, told):
    if text is not None:
        (tmp_path / "list").write_text(text, "utf-8")
    code, out, err = run("remove", sample_corpus, name, tmp_path / "list", "--out", tmp_path / "new")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert told in err
    assert not (tmp_path / "new").exists()
