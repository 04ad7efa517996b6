import math

import numpy as np
import pytest

from tests.trainer.evaluation.models import END_OF_TEXT, language_model, probable, uniform
from trainer.config import ModelConfig
from trainer.evaluation.choices import answer_choices, choice_results, encode_after
from trainer.evaluation.generation import exact_match_results, normalize
from trainer.evaluation.items import AnswerItem, ChoiceItem
from trainer.evaluation.scoring import LanguageModel
from trainer.model import Decoder

A, B, C, BLANK = (ord(char) for char in "abc ")


def test_likelihoods_are_summed_for_acc_and_divided_by_bytes_for_acc_norm() -> None:
    # log-likelihoods: " b" log(1/2); " cc" log(1/4) + log(1/2) = log(1/8), by bytes log(1/8) / 2.
    model = language_model(probable({(BLANK, B): 0.5, (BLANK, C): 0.25, (C, C): 0.5, (A, BLANK): 1.0}))
    item = ChoiceItem(prompt="a", choices=["b", "cc"], answer=0)
    found = answer_choices(model, [item])
    assert (found["acc"].tolist(), found["acc_norm"].tolist()) == ([1.0], [1.0])
    assert found["margin_nats"] == pytest.approx([math.log(0.5 / 0.125)])
    assert found["right_ratio"] == pytest.approx([0.5 / (0.5 + 0.125)])


def test_length_normalization_can_change_the_answer() -> None:
    model = language_model(probable({(BLANK, B): 0.5, (BLANK, C): 0.4, (C, C): 0.9, (A, BLANK): 1.0}))
    item = ChoiceItem(prompt="a", choices=["b", "cccc"], answer=1)
    found = answer_choices(model, [item])
    assert (found["acc"].tolist(), found["acc_norm"].tolist()) == ([0.0], [1.0])


def test_bytes_are_counted_not_characters() -> None:
    e, acute = "é".encode()
    model = language_model(probable({(BLANK, e): 0.2, (e, acute): 1.0 - 1e-6, (BLANK, B): 0.3, (A, BLANK): 1.0}))
    item = ChoiceItem(question="a", choices=["é", "b"], answer=0)
    assert answer_choices(model, [item])["acc_norm"].tolist() == [1.0]  # log(0.2) / 2 > log(0.3)


def test_a_uniform_model_gives_each_of_equally_long_choices_its_share() -> None:
    item = ChoiceItem(prompt="x", choices=["aa", "bb", "cc", "dd"], answer=2)
    found = answer_choices(language_model(uniform()), [item])
    assert found["right_ratio"] == pytest.approx([0.25])
    assert found["margin_nats"] == pytest.approx([0.0], abs=1e-5)


def test_white_space_between_prompt_and_choice_is_predicted_with_the_choice() -> None:
    ids, first = encode_after(language_model(uniform()), ["a", "a ", "a:\n"], ["b", "b", "b"])
    assert ids == [[A, BLANK, B], [A, BLANK, B], [A, ord(":"), ord("\n"), B]]
    assert first == [1, 1, 2]


class Merging:
    """Bytes, but "ab" is one token."""

    def encode(self, texts: list[str]) -> list[list[int]]:
        return [list(text.replace("ab", "\x01").encode()) for text in texts]

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode().replace("\x01", "ab")


def test_a_choice_begins_where_its_tokens_and_those_of_the_prompt_part() -> None:
    model = LanguageModel(uniform(), Merging(), 64, END_OF_TEXT)
    ids, first = encode_after(model, ["xa\u00a0"], ["b"])
    assert first == [2]
    ids, first = encode_after(model, ["x a"], ["b"])
    assert (ids, first) == ([[ord("x"), BLANK, A, BLANK, B]], [3])


def test_results_are_the_same_for_any_number_of_rows_and_order_of_items() -> None:
    items = [
        ChoiceItem(
            prompt="a" * size, choices=["b" * (size % 5 + 1), "c", "d" * size], answer=size % 3, slice=str(size % 2)
        )
        for size in range(1, 30)
    ]
    model = Decoder(ModelConfig(layers=1, width=16, heads=2, kv_heads=1, hidden=16), 257, seed=0)
    results = [answer_choices(language_model(model, 32, rows), items) for rows in (1, 4, 100)]
    backwards = answer_choices(language_model(model, 32), items[::-1])
    for name, column in results[0].items():
        for other in (*(result[name] for result in results[1:]), backwards[name][::-1]):
            assert other == pytest.approx(column, abs=1e-4), name


def test_standard_errors_and_slices() -> None:
    right = ChoiceItem(prompt="a", choices=["b", "c"], answer=0, slice="easy")
    wrong = ChoiceItem(prompt="a", choices=["b", "c"], answer=1)
    found = choice_results(language_model(probable({(BLANK, B): 0.9, (BLANK, C): 0.1})), [right, right, right, wrong])
    assert (found["num_items"], found["acc"]) == (4, 0.75)
    assert found["acc_error"] == pytest.approx(math.sqrt(0.25 / 4))  # values 1, 1, 1, 0: variance 0.75 / 3
    assert (found["by_slice"]["easy"]["num_items"], found["by_slice"]["easy"]["acc"]) == (3, 1.0)
    assert found["right_ratio"] == pytest.approx(np.mean([0.9, 0.9, 0.9, 0.1]))


def test_answers_are_compared_without_case_punctuation_articles_and_white_space() -> None:
    assert normalize(" The  Cat's,\ta  hat! ") == "cats hat"
    assert normalize("Theatre of Athens") == "theatre of athens"


def test_exact_match_counts_continuations_that_are_one_of_the_answers() -> None:
    model = language_model(probable({(A, BLANK): 0.9, (BLANK, B): 0.9, (B, END_OF_TEXT): 0.9, (C, ord("\n")): 0.9}))
    items = [
        AnswerItem(prompt="a", answer=["x", "B."]),
        AnswerItem(prompt="a ", answer="b"),
        AnswerItem(prompt="b", answer="b", slice="empty"),
        AnswerItem(prompt="c", answer="b", slice="empty"),
    ]
    found = exact_match_results(model, items, 5, stop_at_newline=True)
    assert (found["exact_match"], found["predictions"]) == (0.5, [" b", " b", "", ""])
    assert found["by_slice"]["empty"]["exact_match"] == 0.0


def test_a_prompt_that_ends_with_a_line_is_gone_on_from_the_next() -> None:
    model = language_model(probable({(ord("\n"), B): 0.9, (B, END_OF_TEXT): 0.9}))
    found = exact_match_results(model, [AnswerItem(prompt="a:\n", answer="b")], 5, stop_at_newline=True)
    assert found["predictions"] == ["b"]
