from cluster import show
from corpus.facts import bounds_of, models
from corpus.recipe_file import make_recipe

SOURCE = {"name": "s", "format": "text", "paths": ["x.txt"]}


def test_the_classifier_inside_the_package_is_among_the_models():
    recipe = make_recipe({"name": "n", "source": [SOURCE], "filter": [{"rule": "toxicity"}]}, "here")
    assert len(models(recipe)["toxicity.model"]) == 64


def bound(**fineweb):
    recipe = make_recipe({"name": "n", "source": [SOURCE], "filter": [{"rule": "fineweb", **fineweb}]}, "here")
    return next(bound for bound in bounds_of(recipe) if bound["column"] == "fineweb.line_punct_ratio")


def test_a_rule_that_rejects_its_limit_says_so():
    inclusive, exclusive = bound(), bound(semantics="fineweb-2024-04")
    assert (inclusive["limit"], inclusive["exclusive"], show.passing_sign(inclusive)) == (0.12, False, ">=")
    assert (exclusive["limit"], exclusive["exclusive"], show.passing_sign(exclusive)) == (0.12, True, ">")
