import json

import pytest

from corpus.diff import diff
from manifests.errors import InputError
from manifests.manifest import read_manifest
from tests.conftest import build_local

RECIPE = """
name = "{name}"
[[source]]
name = "s"
format = "jsonl"
paths = ["*.jsonl"]
[[filter]]
rule = "gopher_quality"
min_words = {min_words}
min_stop_words = 0
[tokenize]
tokenizer = "train:300"
"""
TEXT = "the boats leave before the sun is up and the market in the small town opens at six for"


def built(folder, num_lines, min_words):
    """Document n has 19 + n words; a last line cannot be read."""
    folder.mkdir()
    lines = [json.dumps({"text": f"{TEXT}{' boat' * number}."}) for number in range(num_lines)]
    (folder / "a.jsonl").write_text("\n".join([*lines, "no JSON"]))
    (folder / "recipe.toml").write_text(RECIPE.format(name=folder.name, min_words=min_words))
    build_local(folder / "recipe.toml", folder / "out")
    return str(folder / "out")


def test_a_corpus_does_not_differ_from_itself(sample_corpus):
    same = diff(str(sample_corpus), str(sample_corpus))
    manifest = read_manifest(str(sample_corpus))
    assert (same.changes, same.samples) == ([], [])
    assert same.digests == (manifest.digest, manifest.digest)
    assert same.recipe_digests == (manifest.recipe_digest, manifest.recipe_digest)
    assert {row["fate"]: (row["first"], row["second"]) for row in same.counts} == {
        fate: (number, number) for fate, number in manifest.counts["fate"].items()
    }


def test_a_changed_threshold_shows_what_it_drops(tmp_path):
    first, second = built(tmp_path / "a", 12, 20), built(tmp_path / "b", 12, 23)
    found = diff(first, second)
    dropped = {"before": "kept", "after": "gopher_quality.too_few_words", "documents": 3}
    assert found.changes == [dropped]
    assert found.counts == [
        {"fate": "dropped", "first": 1, "second": 4},
        {"fate": "failed", "first": 1, "second": 1},
        {"fate": "kept", "first": 11, "second": 8},
    ]
    assert len(found.samples) == 3
    assert {(row["before"], row["after"]) for row in found.samples} == {("kept", "gopher_quality.too_few_words")}
    assert found.recipe_digests[0] != found.recipe_digests[1]
    back = diff(second, first)
    assert back.changes == [{"before": "gopher_quality.too_few_words", "after": "kept", "documents": 3}]


def test_documents_of_one_corpus_alone_are_absent_in_the_other(tmp_path):
    # The line that cannot be read starts where the other corpus has its fifth document.
    first, second = built(tmp_path / "a", 4, 18), built(tmp_path / "b", 6, 18)
    assert diff(first, second).changes == [
        {"before": "absent", "after": "kept", "documents": 1},
        {"before": "absent", "after": "read.invalid_json", "documents": 1},
        {"before": "read.invalid_json", "after": "kept", "documents": 1},
    ]


def test_a_folder_without_a_manifest_is_named(sample_corpus, tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}/manifest.json: there is no manifest"):
        diff(str(sample_corpus), str(tmp_path))
