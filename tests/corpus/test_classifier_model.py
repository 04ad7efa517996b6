"""Model files are the same each time and are what the fastText library takes them for."""

import random

import fasttext
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.classifier_model import FastTextConfig, train_model
from manifests.errors import RecipeError

LINES = {
    "mill": [f"grain and flour of the mill number{i}" for i in range(40)],
    "shop": [f"the prize and offer of the day number{i}" for i in range(60)],
}
CONFIGS = [
    {},
    {"ngrams": 1},
    {"ngrams": 3, "dim": 16},
    {"quantize": 60},
    {"quantize": 10},
    {"ngrams": 1, "quantize": 20},
    {"min_count": 5},
]


def loaded(tmp_path, data):
    (tmp_path / "m.bin").write_bytes(data)
    # The wrapper's own predict fails with NumPy 2.
    return fasttext.load_model(str(tmp_path / "m.bin"))


def scores(model, text):
    return {name.removeprefix("__label__"): score for score, name in model.f.predict(text + "\n", -1, 0.0, "strict")}


@pytest.mark.parametrize("settings", CONFIGS)
def test_fasttext_reads_the_file_and_tells_the_classes_apart(tmp_path, settings):
    config = FastTextConfig(**({"dim": 8, "epochs": 20} | settings))
    data = train_model(LINES, config)
    assert train_model(LINES, config) == data
    model = loaded(tmp_path, data)
    assert scores(model, "flour and grain")["mill"] > 0.9
    assert scores(model, "offer of the day")["shop"] > 0.9
    assert set(model.f.getLabels("strict")[0]) == {"__label__mill", "__label__shop"}


def test_a_dense_model_scores_as_fasttext_reads_it(tmp_path):
    """With one word and the end mark the hidden vector is the mean of two rows of the file."""
    model = loaded(tmp_path, train_model(LINES, FastTextConfig(dim=8, ngrams=1)))
    rows, weights = model.get_input_matrix(), model.get_output_matrix()
    words, counts = model.f.getVocab("strict")
    assert dict(zip(words, counts, strict=True))["</s>"] == 100
    assert counts == sorted(counts, reverse=True)
    logits = weights @ (rows[words.index("grain")] + rows[words.index("</s>")]) / 2
    expected = np.exp(logits) / np.exp(logits).sum()
    assert scores(model, "grain")["mill"] == pytest.approx(expected[0], abs=2e-5)


def test_rare_words_are_left_out_but_not_the_end_mark(tmp_path):
    model = loaded(tmp_path, train_model({"a": ["x y x"] * 2, "b": ["z"]}, FastTextConfig(dim=2, min_count=4)))
    assert model.f.getVocab("strict")[0] == ["x", "</s>"]


def test_a_quantized_model_keeps_so_many_features_and_scores_nearly_the_same(tmp_path):
    draw = random.Random(3)
    words = [f"word{i}" for i in range(400)]
    lines = {
        label: [" ".join(draw.choice(words[start : start + 300]) for _ in range(10)) for _ in range(300)]
        for label, start in (("a", 0), ("b", 100))
    }
    small = train_model(lines, FastTextConfig(dim=8, ngrams=1, epochs=20, quantize=10_000))
    dense = loaded(tmp_path, train_model(lines, FastTextConfig(dim=8, ngrams=1, epochs=40)))
    before = [scores(dense, line)["a"] > 0.5 for line in lines["a"] + lines["b"]]
    model = loaded(tmp_path, small)
    after = [scores(model, line)["a"] > 0.5 for line in lines["a"] + lines["b"]]
    assert len(model.f.getVocab("strict")[0]) == 401
    assert sum(one == other for one, other in zip(before, after, strict=True)) > 0.95 * len(before)
    tiny = loaded(tmp_path, train_model(lines, FastTextConfig(dim=8, ngrams=1, quantize=50)))
    assert len(tiny.f.getVocab("strict")[0]) == 50
    assert "</s>" in tiny.f.getVocab("strict")[0]


def test_another_seed_gives_another_model():
    assert train_model(LINES, FastTextConfig(dim=8)) != train_model(LINES, FastTextConfig(dim=8, seed=2))


def test_a_training_that_runs_away_is_told():
    lines = {"a": ["x"] * 50, "b": ["x"] * 50}  # at this rate each step overshoots more than the one before
    with pytest.raises(RecipeError, match=r"ran away with learning_rate = 10\.0 and epochs = 50\. Lower them"):
        train_model(lines, FastTextConfig(dim=2, learning_rate=10.0, epochs=50))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters=" \n\r\t\v\f\0", codec="utf-8"), min_size=1), min_size=1))
def test_odd_words_are_the_words_that_fasttext_finds(tmp_path_factory, words):
    words = [word for word in words if not word.startswith("__label__") and word != "</s>"] or ["x"]
    lines = {"a": [" ".join(words)], "b": ["x"]}
    model = loaded(tmp_path_factory.mktemp("m"), train_model(lines, FastTextConfig(dim=2)))
    assert set(model.f.getVocab("strict")[0]) == {*words, "x", "</s>"}
