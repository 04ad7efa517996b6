import json

import pytest

from cluster.ablate import held_out_corpus
from corpus.tokenizers import load_tokenizer
from manifests import shards
from manifests.errors import RecipeError
from manifests.manifest import read_manifest
from manifests.schemas import token_rows
from tests.conftest import build_local
from trainer.ablation.held_out import HeldOut, documents_of, overlaps

TEXTS = [
    {"text": "The ferry leaves the harbour at noon.", "slice": "travel"},
    {"text": "Übermorgen fährt keine Fähre. 🚢", "slice": "Reise"},
    {"text": "", "slice": "travel"},
    {"text": "No slice is given here. " * 400},
]
CONFIG = """
steps = 8
precision = "fp32"
[model]
layers = 1
width = 16
heads = 2
kv_heads = 1
hidden = 32
[schedule]
warmup_steps = 2
"""


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "trips.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in TEXTS), "utf-8")
    return str(path)


def test_texts_become_validation_rows_in_the_baselines_tokens(sample_corpus, texts, tmp_path):
    baseline = read_manifest(str(sample_corpus))
    folder = held_out_corpus(texts, str(sample_corpus), baseline, str(tmp_path / "out"))
    made = read_manifest(folder)
    assert [source.name for source in made.sources] == ["Reise", "travel", "trips"]
    assert made.packed("train") == []
    tokenizer = load_tokenizer(f"{folder}/{made.tokenizer.path}", made.tokenizer.pretokenizer)
    assert tokenizer.digest == baseline.tokenizer.sha256
    found = {}
    for shard in made.packed("validation"):
        table = shards.read_table(f"{folder}/{shard.path}")
        tokens_of_row = token_rows(table["tokens"], made.tokenizer.token_type).tolist()
        for row, row_tokens in zip(table.to_pylist(), tokens_of_row, strict=True):
            for place, doc_id in enumerate(row["segment_doc"]):
                end = sum(row["segment_length"][: place + 1])
                tokens = row_tokens[end - row["segment_length"][place] : end]
                pieces = found.setdefault((doc_id, shard.source), [])
                pieces.append((row["segment_start"][place], tokens, row["segment_bytes"][place]))
    expected = [(one["text"], len(one["text"].encode()), one.get("slice", "trips")) for one in TEXTS]
    decoded = [
        (
            tokenizer.decode([token for _, tokens, _ in sorted(pieces) for token in tokens]),
            sum(size for _, _, size in pieces),
            source,
        )
        for (_, source), pieces in found.items()
    ]
    assert sorted(decoded) == sorted(expected)
    again = held_out_corpus(texts, str(sample_corpus), baseline, str(tmp_path / "elsewhere"))
    assert read_manifest(again).digest == made.digest
    held_out = HeldOut("trips", folder)
    assert len(documents_of(held_out)) == 4
    assert overlaps([held_out], str(sample_corpus))[0].by_id == frozenset()


def test_a_wrong_line_of_texts_is_named(sample_corpus, tmp_path):
    (tmp_path / "trips.jsonl").write_text('{"text": "one"}\n{"words": "two"}\n', "utf-8")
    with pytest.raises(RecipeError, match=r"trips.jsonl:2: key 'text'"):
        held_out_corpus(
            str(tmp_path / "trips.jsonl"), str(sample_corpus), read_manifest(str(sample_corpus)), str(tmp_path)
        )


@pytest.mark.slow
def test_two_builds_of_one_crawl_are_compared(run, sample_corpus, sample_recipe, texts, tmp_path):
    tokenizer = f"tokenize.tokenizer={sample_corpus}/tokenizer.json"
    build_local(sample_recipe, tmp_path / "b", tokenizer, "gopher_quality.min_words=120")
    (tmp_path / "config.toml").write_text(CONFIG, "utf-8")
    call = ["ablate", sample_corpus, tmp_path / "b", "--config", tmp_path / "config.toml", "--out", tmp_path / "out"]
    code, out, err = run(*call, "--seeds", 2, "--jobs", 2, "--eval", texts)
    assert (code, err.count("done in")) == (0, 6)
    assert "3 arms, 2 seeds, 8 steps each" in out
    assert "random, size of B - A" in out
    assert (tmp_path / "out" / "ablation.txt").read_text("utf-8") == out
    code, printed, err = run(*call, "--seeds", 2, "--eval", texts, "--json")
    result = json.loads(printed)
    assert code == 0
    assert "6 of 6 runs are done" in err
    assert result == json.loads((tmp_path / "out" / "ablation.json").read_text("utf-8"))
    assert [one["name"] for one in result["held_out"]] == ["validation of A", "validation of B", "trips"]
    code, _, err = run("ablate", sample_corpus, sample_corpus, "--out", tmp_path / "same")
    assert code == 1
    assert "are the same corpus" in err
