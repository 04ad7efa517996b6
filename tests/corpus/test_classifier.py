"""Training is repeatable to the byte, the report is of texts that were not trained on, and bad input is told."""

import json
import random
import re
import tomllib
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.classifier import parse_config, train_classifier
from corpus.classifier_card import card
from corpus.classifier_texts import is_held_out
from filters.fasttext_model import load_model
from filters.kernels.buffers import text_buffers
from filters.quality import Quality
from manifests.digest import digest_bytes
from manifests.errors import InputError, RecipeError

MILL = ["grain", "flour", "stone", "wheel", "rye", "oat", "bran", "sack", "miller", "water"]
SHOP = ["prize", "click", "offer", "cheap", "deal", "win", "cash", "now", "free", "sale"]
COMMON = ["the", "a", "of", "and", "to", "in", "is", "it", "that", "on"]


def texts(words, count, seed):
    """Texts of twelve words, half of them from `words`."""
    draw = random.Random(seed)
    return [" ".join(draw.choice(words if draw.random() < 0.5 else COMMON) for _ in range(12)) for _ in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("classes")
    for name, words, seed in (("mill", MILL, 1), ("shop", SHOP, 2)):
        lines = [json.dumps({"text": text}) for text in texts(words, 300, seed)]
        (made / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return made


def train(folder, out, positive=("mill.jsonl",), negative=("shop.jsonl",), **settings):
    config = parse_config(**({"label": "mill", "negative_label": "shop", "held_out": 0.2, "dim": 8} | settings))
    paths = [[str(folder / name) for name in names] for names in (positive, negative)]
    return train_classifier(*paths, str(out), config)


def test_two_runs_give_the_same_bytes_in_whatever_files_and_order_the_texts_come(folder, tmp_path):
    first = train(folder, tmp_path / "a" / "m.bin")
    lines = (folder / "mill.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "x.jsonl").write_text("".join(reversed(lines[:100])))
    (tmp_path / "y.jsonl").write_text("".join(lines[100:]))
    parts = [str(tmp_path / "y.jsonl"), str(tmp_path / "x.jsonl")]
    second = train(folder, tmp_path / "b" / "m.bin", positive=parts)
    assert (tmp_path / "a" / "m.bin").read_bytes() == (tmp_path / "b" / "m.bin").read_bytes()
    assert {**asdict(first), "files": None} == {**asdict(second), "files": None}
    assert train(folder, tmp_path / "c.bin", seed=2).model_sha256 != first.model_sha256


def test_the_report_is_of_texts_that_are_not_in_the_training(folder, tmp_path):
    report = train(folder, tmp_path / "m.bin")
    held_out = {
        label: sum(is_held_out(text.replace(" ", ""), 0.2, 1) for text in set(texts(words, 300, seed)))
        for label, words, seed in (("mill", MILL, 1), ("shop", SHOP, 2))
    }
    assert {label: counts.num_held_out for label, counts in report.counts.items()} == held_out
    for counts in report.counts.values():
        assert counts.num_read == 300 == counts.num_training + counts.num_held_out + counts.num_repeated
    assert sum(found["num_texts"] for found in report.reliability) == sum(held_out.values())


def test_classes_of_other_words_are_told_apart_and_alike_ones_are_not(folder, tmp_path):
    report = train(folder, tmp_path / "m.bin")
    assert report.roc_auc > 0.99
    assert report.average_precision > 0.99
    assert set(report.telling_words["mill"][:10]) == set(MILL)
    assert set(report.telling_words["shop"][:10]) == set(SHOP)
    for name, seed in (("a", 3), ("b", 4)):
        (tmp_path / f"{name}.txt").write_text("\n".join(texts(COMMON, 600, seed)) + "\n")
    blind = train(tmp_path, tmp_path / "blind.bin", ("a.txt",), ("b.txt",), held_out=0.4)
    assert 0.4 < blind.roc_auc < 0.6


def test_the_written_model_is_one_that_the_filters_take(folder, tmp_path):
    report = train(folder, tmp_path / "m.bin", wanted_keep=0.25)
    path = str(tmp_path / "m.bin")
    model = load_model(path)
    assert set(model.labels) == {"mill", "shop"}
    assert model.label_scores(text_buffers(pa.array(["grain and flour\nof the mill"])), "mill")[0] > 0.9
    assert report.model_sha256 == digest_bytes(Path(path).read_bytes())
    assert json.loads(Path(f"{path}.json").read_text()) == asdict(report)


def test_the_threshold_is_for_the_wanted_share_of_the_negative_texts(folder, tmp_path):
    report = train(folder, tmp_path / "m.bin", wanted_keep=0.25)
    (rate,) = [rate for rate in report.thresholds if rate["wanted_ratio"] == 0.25]
    found = report.confusion
    negative = found["false_positive"] + found["true_negative"]
    assert rate["threshold"] == found["threshold"]
    assert rate["kept_negative_ratio"] == found["false_positive"] / negative
    assert abs(found["false_positive"] - 0.25 * negative) <= 1
    assert train(folder, tmp_path / "n.bin").confusion["threshold"] == 0.5


def test_a_quantized_model_is_smaller_and_as_repeatable(folder, tmp_path):
    whole = train(folder, tmp_path / "m.bin")
    small = train(folder, tmp_path / "m.ftz", quantize=1000)
    assert small.model_bytes < whole.model_bytes / 4
    assert small.roc_auc > 0.98
    assert train(folder, tmp_path / "n.ftz", quantize=1000).model_sha256 == small.model_sha256


def test_the_card_says_the_figures_and_the_lines_of_a_recipe(folder, tmp_path):
    report = train(folder, tmp_path / "m.bin", wanted_keep=0.1)
    text = card(report)
    assert f"ROC AUC {report.roc_auc:.4f}" in text
    lines = tomllib.loads(text.partition("```toml\n")[2].partition("```")[0])["filter"][0]
    assert lines.pop("rule") == Quality.rule
    rule = Quality.model_validate({**lines, "models": {"mill": str(tmp_path / "m.bin")}})
    rule.check()
    assert list(rule.min_scores) == ["mill"]
    assert 0.0 <= report.confusion["threshold"] - rule.min_scores["mill"] < 1e-6
    assert re.search(r"\| mill +\| 0 +\| 300 +\|", text)
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"held_out": 1.0}, "'held_out' is 1.0: input should be less than 1"),
        ({"label": "two words"}, "'label' is 'two words'"),
        ({"label": "same", "negative_label": "same"}, "both classes have the label 'same'"),
        ({"dim": 7}, "'dim' is 7: input should be a multiple of 2"),
    ],
)
def test_settings_out_of_range_are_refused_before_reading(tmp_path, settings, message):
    with pytest.raises(RecipeError, match=message):
        train(tmp_path, tmp_path / "m.bin", ("absent.jsonl",), ("absent.jsonl",), **settings)


def test_too_few_texts_are_refused_with_the_counts(folder, tmp_path):
    (tmp_path / "few.txt").write_text("one\ntwo\nthree\none\n")
    with pytest.raises(InputError, match=r"class 'mill' has \d texts to train on and \d held out, of 4 read \(1 repea"):
        train(folder, tmp_path / "m.bin", positive=[str(tmp_path / "few.txt")])
    with pytest.raises(InputError, match=r"class 'mill' has 0 texts to train on and 0 held out, .* in both classes"):
        train(folder, tmp_path / "m.bin", negative=("mill.jsonl",))
    assert not (tmp_path / "m.bin").exists()


def test_a_remote_target_is_refused(folder):
    with pytest.raises(RecipeError, match="fastText writes and reads local files only"):
        train(folder, "s3://models/m.bin")
