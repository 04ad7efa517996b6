import pytest

from manifests.errors import RecipeError
from trainer.precision import choose_precision


def test_auto_is_bf16_where_every_worker_multiplies_it_and_fp32_where_none_does() -> None:
    assert choose_precision("auto", None, [1, 1]) == "bf16"
    assert choose_precision("auto", None, [0, 0]) == "fp32"


def test_auto_is_what_the_run_began_in() -> None:
    assert choose_precision("auto", "fp32", [1, 1]) == "fp32"
    assert choose_precision("auto", "fp32", [1, 0]) == "fp32"
    assert choose_precision("auto", "bf16", [1, 1]) == "bf16"


def test_a_precision_that_is_asked_for_is_taken_on_any_machine() -> None:
    assert choose_precision("bf16", None, [0, 1]) == "bf16"
    assert choose_precision("fp32", None, [1, 1]) == "fp32"


def test_workers_of_which_auto_would_differ_are_refused() -> None:
    message = r'"auto" is fp32 on workers \[1, 2\].*bf16 on the other workers\. Set precision = "bf16".*or "fp32"'
    with pytest.raises(RecipeError, match=message):
        choose_precision("auto", None, [1, 0, 0])


def test_a_worker_that_cannot_go_on_as_the_run_began_is_refused() -> None:
    message = r'"auto" is fp32 on workers \[0\].*the run began in bf16\. Set precision = "bf16", which they emulate'
    with pytest.raises(RecipeError, match=message):
        choose_precision("auto", "bf16", [0])
