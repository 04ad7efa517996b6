import json
from pathlib import Path

import pytest

from cluster.evaluating import beside_corpus, evaluate_model
from manifests.errors import InputError, ManifestMismatch, RecipeError
from manifests.manifest import read_manifest
from tests.shared import shared_data
from tests.trainer.synthetic import counting_corpus, small_config
from trainer.checkpoint import latest_checkpoint
from trainer.config import EvaluationConfig
from trainer.context import Context
from trainer.export import export
from trainer.loop import train

GROUPS = {"age", "disability", "ethnicity", "gender", "nationality", "none", "orientation", "religion"}


@pytest.fixture(scope="module")
def trained(sample_corpus, tmp_path_factory):
    """A run of two steps on the sample corpus."""
    out = tmp_path_factory.mktemp("evaluate") / "run"
    shape = {"layers": 1, "width": 8, "heads": 1, "kv_heads": 1, "hidden": 8}
    train([str(sample_corpus)], small_config(steps=2, global_batch=1, model=shape), str(out), Context())
    return out


def write(path: Path, *lines: dict) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_the_validation_rows_of_a_run_are_measured_by_slice_and_written_down(trained):
    found = evaluate_model(str(trained), [], [])
    everything = found["validation"][0]
    assert (found["step"], everything["slice"]) == (2, "all")
    for kind in ("source", "language"):
        rows = [row for row in found["validation"] if row["slice"] == kind]
        assert sum(row["num_targets"] for row in rows) == everything["num_targets"] > 0
    assert json.loads((trained / "evaluation.json").read_text()) == found


def test_a_checkpoint_gives_what_its_run_gives(trained):
    of_run = evaluate_model(str(trained), [], [])
    of_checkpoint = evaluate_model(latest_checkpoint(str(trained)), [], [])
    assert of_checkpoint["validation"] == of_run["validation"]


def test_a_corpus_given_as_data_is_measured_as_the_run_measures_it(trained, sample_corpus):
    found = evaluate_model(str(trained), [str(sample_corpus)], [])
    assert found["data"][str(sample_corpus)] == found["validation"]


def test_texts_choices_and_generation_of_the_command(trained, tmp_path, run):
    texts = write(tmp_path / "t.jsonl", {"text": "The sun rose."}, {"text": "It rained.", "slice": "rain"})
    choices = write(tmp_path / "c.jsonl", {"question": "The sun", "choices": ["rose", "of"], "answer": 0})
    generate = write(tmp_path / "g.jsonl", {"prompt": "The sun", "answer": "rose"})
    arguments = ["--data", texts, "--choices", choices, "--generate", generate, "--max-tokens", "3"]
    code, out, err = run("evaluate", trained, *arguments)
    assert (code, err) == (0, "")
    assert "acc_norm" in out
    assert "exact_match" in out
    code, out, err = run("evaluate", trained, *arguments, "--json")
    results = json.loads(out)["results"]
    assert set(results) == {f"texts {texts}", f"choices {choices}", f"generate {generate}"}
    assert set(results[f"texts {texts}"]["by_slice"]) == {"t.jsonl", "rain"}
    assert len(results[f"generate {generate}"]["predictions"]) == 1


@pytest.mark.shared
@pytest.mark.parametrize(("file", "num_pairs"), [("crows_pairs", 844), ("winobias", 792)])
def test_bias_probes_stand_beside_the_audit_of_the_same_group(trained, run, file, num_pairs):
    path = str(shared_data("text", "bias", f"{file}.jsonl.zst"))
    code, out, _ = run("evaluate", trained, "--bias", path)
    found = json.loads((trained / "evaluation.json").read_text())
    result = found["results"][f"bias {path}"]
    assert code == 0
    assert f"{num_pairs} pairs" in out
    assert sum(row["num_pairs"] for row in result["rows"] if row["by"] == "group") == num_pairs
    assert all(0.0 <= row["more_ratio"] <= 1.0 for row in result["rows"])
    assert set(found["corpus"]) == GROUPS
    rows = beside_corpus(result["rows"], found["corpus"])
    gender = next(row for row in rows if (row["by"], row["value"]) == ("group", "gender"))
    assert gender["corpus num_documents"] == found["corpus"]["gender"]["num_documents"] > 0


def test_names_of_probes_are_matched_with_those_of_the_audit():
    corpus = {"ethnicity": {"num_documents": 7, "mention_ratio": 0.5, "kept_ratio": 1.0, "toxic_ratio": None}}
    rows = beside_corpus([{"by": "group", "value": "race-color"}, {"by": "occupation", "value": "ethnicity"}], corpus)
    assert [row["corpus num_documents"] for row in rows] == [7, None]


def test_what_cannot_be_evaluated_is_told_with_a_remedy(trained, tmp_path):
    with pytest.raises(InputError, match="is no checkpoint, no run"):
        evaluate_model(str(tmp_path), [], [])
    wrong = write(tmp_path / "c.jsonl", {"question": "The sun", "choices": ["rose", "of"]})
    with pytest.raises(RecipeError, match=r"c\.jsonl:1: key 'answer': field required"):
        evaluate_model(str(trained), [], [EvaluationConfig(kind="choices", path=wrong)])


def test_rows_of_another_tokenizer_are_refused(trained, sample_corpus, tmp_path):
    counting_corpus(tmp_path / "other")
    tokenizer = json.loads(Path(sample_corpus, read_manifest(str(sample_corpus)).tokenizer.path).read_text())
    tokenizer["model"]["merges"].pop()
    (tmp_path / "other" / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ManifestMismatch, match="which cuts texts otherwise"):
        evaluate_model(str(trained), [str(tmp_path / "other")], [])


def test_an_exported_model_gives_what_its_run_gives(trained, sample_corpus, tmp_path):
    exported = str(tmp_path / "exported")
    export(str(trained), exported)
    texts = write(tmp_path / "t.jsonl", {"text": "The sun rose over the hills."})
    data = [str(sample_corpus), texts]
    of_run, of_export = (evaluate_model(path, data, []) for path in (str(trained), exported))
    assert of_export["validation"] == []
    for one, other in zip(of_run["data"][data[0]], of_export["data"][data[0]], strict=True):
        assert (one["slice"], one["value"], one["num_targets"]) == (
            other["slice"],
            other["value"],
            other["num_targets"],
        )
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
    by_slice = [found["results"][f"texts {texts}"]["by_slice"]["t.jsonl"] for found in (of_run, of_export)]
    assert by_slice[1] == pytest.approx(by_slice[0], rel=1e-5)
