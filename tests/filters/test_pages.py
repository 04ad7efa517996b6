from pathlib import Path

import pytest

from filters import pages
from manifests.errors import RecipeError

DOCS = Path(__file__).parents[2] / "docs" / "filters"
WHY = ["Why such documents are removed", "Known harm", "Kept", "Dropped", "Definitions", "Parameters", "Sources"]


@pytest.mark.parametrize("rule", pages.RULES)
def test_every_page_follows_the_template(rule: str) -> None:
    first, *others = pages.labels(rule)
    assert first in ("What it measures", "What it does")
    assert others == WHY


@pytest.mark.parametrize("rule", pages.RULES)
def test_the_pages_in_docs_are_those_of_the_code(rule: str) -> None:
    """`make docs` writes them anew."""
    assert (DOCS / f"{rule}.md").read_text("utf-8") == pages.page(rule)


def test_docs_have_no_page_of_a_filter_that_is_gone() -> None:
    assert sorted(file.stem for file in DOCS.glob("*.md")) == sorted(pages.RULES)


def test_a_page_tells_key_default_and_reason_of_each_threshold() -> None:
    row = "| `gopher_quality.num_words` | below `min_words` | `50` | `gopher_quality.too_few_words` |"
    assert row in pages.page("gopher_quality")


def test_off_types_and_choices_are_said_as_a_recipe_says_them() -> None:
    assert "| `model` | `text or off` | off |" in pages.page("language")
    assert '| `words` | `"whitespace"' in pages.page("gopher_quality")


def test_an_unknown_rule_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'fineweb'"):
        pages.page("finweb")
