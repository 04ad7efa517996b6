"""The built-in toxicity model: small, blind to groups, and as good as its card says."""

import json
import os

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from corpus.classifier_metrics import roc_auc
from corpus.classifier_model import train_model
from corpus.toxicity_model import CONFIG, TRAINED, comments, training_lines
from filters.kernels.buffers import text_buffers
from filters.toxicity import Toxicity
from filters.toxicity_model import built_in_path, plain_lines, toxicity_scores
from manifests import shards
from tests.shared import ROOT, shared_data

LIMIT = Toxicity().max_score


def scores(texts):
    return toxicity_scores(text_buffers(pa.array(texts, pa.large_string())), built_in_path())


def records(name):
    with open(shared_data("text", "toxicity", f"{name}.jsonl.zst"), "rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    return [json.loads(line) for line in text.split("\n") if line]


def test_it_is_small_and_the_one_of_its_card():
    card = (ROOT / "docs" / "models" / "toxicity.md").read_text("utf-8")
    assert os.path.getsize(built_in_path()) < 2_000_000
    assert f"SHA-256 {shards.file_digest(built_in_path())}" in card
    assert f"the filter drops above {LIMIT}" in card


@pytest.mark.parametrize("sentence", ["I hate {}.", "Some {} moved here.", "{} are vermin and must be killed."])
def test_groups_score_alike_to_the_last_bit(sentence):
    groups = [
        "women",
        "Muslims",
        "gay people",
        "trans people",
        "Black people",
        "disabled persons",
        "immigrants",
        "Jews",
    ]
    assert len(set(scores([sentence.format(group) for group in groups]).tolist())) == 1


def test_the_score_is_the_mean_over_windows_by_their_words():
    abuse, report = "you pathetic idiot kill yourself " * 10, "the committee met to read the report " * 10
    short = "the committee met to read the report " * 2
    (bad,), (good,), (end,) = scores([abuse]), scores([" ".join(report.split()[:50])]), scores([short])
    assert bad > 0.9 > 0.1 > good
    (both,) = scores([abuse + " ".join(report.split()[:50]) + " " + short])
    assert both == pytest.approx((50 * bad + 50 * good + 14 * end) / 114)


def test_a_text_does_not_depend_on_its_batch():
    texts = ["you idiot", "", "the report of the committee " * 40, "..."]
    assert [scores([text])[0] for text in texts] == scores(texts).tolist()
    assert scores([]).tolist() == []


def test_lines_for_training_are_whole_texts():
    text = text_buffers(pa.array(["I'm here. " * 60, "", "3 Women: 1 elf"], pa.large_string()))
    assert plain_lines(text) == [("i m here " * 60).strip(), "", "_ elf"]


@pytest.mark.shared
def test_harmless_mentions_of_a_group_are_below_the_limit():
    neutral = [r["text"] for r in records("hatecheck_en") if r["functionality"] in ("ident_neutral_nh", "ident_pos_nh")]
    assert len(neutral) == 126
    assert np.count_nonzero(scores(neutral) > LIMIT) == 0


@pytest.mark.shared
def test_swapping_the_names_of_groups_changes_no_score():
    pairs = {}
    for row in records("wikipedia_comments"):
        pairs.setdefault(row["rev_id"], {})[row["variant"]] = row["text"]
    before = scores([pair["nonfuzzed"] for pair in pairs.values()])
    after = scores([pair["fuzzed"] for pair in pairs.values()])
    assert len(before) == 805
    assert np.abs(before - after).max() < 1e-3


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "floor"), [("davidson", 0.91), ("surge", 0.85), ("toxigen", 0.72), ("wikipedia", 0.76)]
)
def test_held_out_abuse_ranks_above_other_texts(name, floor):
    (chosen,) = [one for one in TRAINED if one.name == name]
    found = [one for one in comments(str(shared_data()), chosen) if one.is_held_out]
    assert roc_auc(scores([one.text for one in found]), np.array([one.toxic for one in found])) > floor


@pytest.mark.shared
@pytest.mark.slow
def test_training_it_again_gives_the_same_bytes():
    data = str(shared_data())
    made = train_model(training_lines(data), CONFIG)
    with open(built_in_path(), "rb") as file:
        assert file.read() == made
