"""Quality: scores of named models, and which of them rejects."""

import math

import pytest
from pydantic import ValidationError

from corpus.facts import bounds_of, models
from corpus.recipe import Recipe
from filters.quality import Quality
from manifests.errors import ModelError
from tests.edge_cases import check_filter, measure, reasons
from tests.filters.fasttext_files import write_model

ONE_WORD = 1 / (1 + math.exp(-4))  # the score of a text whose words all speak for a label


@pytest.fixture
def paths(tmp_path):
    """`plain` likes explanations, `learned` likes formulas; 4 apart, so that one word alone scores 0.982."""
    plain = {"because": (2.0, -2.0), "gas": (2.0, -2.0), "cheap": (-2.0, 2.0)}
    learned = {"lemma": (2.0, -2.0), "because": (-2.0, 2.0)}
    return {
        "plain": write_model(tmp_path / "plain.bin", plain, {"hq": (1.0, 0.0), "cc": (0.0, 1.0)}),
        "learned": write_model(tmp_path / "learned.bin", learned, {"edu": (1.0, 0.0), "other": (0.0, 1.0)}),
    }


LABELS = {"plain": "hq", "learned": "edu"}
TEXTS = ["because gas", "cheap cheap", "because\ncheap", "lemma", ""]


def test_passes_the_edge_cases(paths):
    check_filter(Quality(models=paths, labels=LABELS, min_scores={"plain": 0.5, "learned": 0.1}))


def test_each_model_scores_its_own_label(paths):
    rule = Quality(models=paths, labels=LABELS)
    assert measure(rule, "plain", TEXTS) == pytest.approx([ONE_WORD, 1 - ONE_WORD, 0.5, 0.0, 0.0], abs=2e-5)
    assert measure(rule, "learned", TEXTS) == pytest.approx([1 - ONE_WORD, 0.0, 1 - ONE_WORD, ONE_WORD, 0.0], abs=2e-5)
    other = Quality(models={"plain": paths["plain"]}, labels={"plain": "cc"})
    assert measure(other, "plain", TEXTS[:2]) == pytest.approx([1 - ONE_WORD, ONE_WORD], abs=2e-5)


def test_the_first_model_that_fails_gives_the_reason(paths):
    rule = Quality(models=paths, labels=LABELS, min_scores={"learned": 0.5, "plain": 0.4})
    assert reasons(rule, TEXTS) == [
        *("quality.low_learned", "quality.low_learned", "quality.low_learned", "quality.low_plain"),
        "quality.low_learned",
    ]


def test_a_model_without_a_limit_only_measures(paths):
    assert reasons(Quality(models=paths, labels=LABELS), TEXTS) == [None] * 5
    only_plain = Quality(models=paths, labels=LABELS, min_scores={"plain": 0.4})
    assert reasons(only_plain, TEXTS) == [None, "quality.low_plain", None, "quality.low_plain", "quality.low_plain"]


def test_min_scores_are_inclusive_and_zero_keeps_all(paths):
    (score,) = measure(Quality(models=paths, labels=LABELS), "plain", ["because cheap gas"])
    at_limit = Quality(models=paths, labels=LABELS, min_scores={"plain": score})
    assert reasons(at_limit, ["because cheap gas"]) == [None]
    assert reasons(Quality(models=paths, labels=LABELS, min_scores={"plain": 0.0}), TEXTS) == [None] * 5


def test_thresholds_are_no_part_of_what_is_measured(paths):
    rule = Quality(models=paths, labels=LABELS, min_scores={"plain": 0.4})
    assert rule.measuring() == Quality(models=paths, labels=LABELS).measuring()
    assert rule.measuring() != Quality(models=paths, labels={**LABELS, "plain": "cc"}).measuring()
    assert rule.measuring()["models"]["plain"].startswith("sha256:")


def test_the_order_of_models_in_a_recipe_decides_nothing(paths):
    limits = {"plain": 1.0, "learned": 1.0}
    rule = Quality(models=paths, labels=LABELS, min_scores=limits)
    turned = Quality(models=dict(reversed(paths.items())), labels=LABELS, min_scores=limits)
    assert list(paths) == ["plain", "learned"]
    assert reasons(rule, ["cheap"]) == reasons(turned, ["cheap"]) == ["quality.low_learned"]
    assert list(rule.column_types()) == list(turned.column_types())


def test_a_recipe_knows_columns_limits_and_model_files(paths):
    entry = {"rule": "quality", "models": paths, "labels": LABELS, "min_scores": {"plain": 0.4}}
    source = {"name": "s", "format": "text", "paths": ["*.txt"]}
    recipe = Recipe.model_validate({"name": "r", "source": [source], "filter": [entry]})
    (rule,) = recipe.filter
    assert list(rule.column_types()) == ["quality.learned", "quality.plain"]
    assert [bound for bound in bounds_of(recipe) if bound["column"].startswith("quality")] == [
        {"column": "quality.plain", "side": "min", "limit": 0.4, "exclusive": False, "reason": "quality.low_plain"}
    ]
    assert sorted(name for name in models(recipe) if name.startswith("quality")) == [
        "quality.models.learned",
        "quality.models.plain",
    ]


def test_an_unknown_label_is_an_error_that_names_the_known_ones(paths):
    with pytest.raises(
        ModelError, match=r"plain\.bin: label 'hg' is none of its 2 labels; did you mean 'hq'\?.*hq, cc"
    ):
        Quality(models={"plain": paths["plain"]}, labels={"plain": "hg"}).check()


def test_names_must_match(paths):
    with pytest.raises(
        ValidationError, match=r"min_scores has 'plane', which is no name in models; did you mean 'plain'"
    ):
        Quality(models=paths, labels=LABELS, min_scores={"plane": 0.1})
    with pytest.raises(ValidationError, match=r"the model 'learned' has no label\. Add labels\.learned"):
        Quality(models=paths, labels={"plain": "hq"})
    with pytest.raises(ValidationError, match="should match pattern"):
        Quality(models={"a.b": paths["plain"]}, labels={"a.b": "hq"})
    with pytest.raises(ValidationError, match="at least 1 item"):
        Quality(models={}, labels={})
