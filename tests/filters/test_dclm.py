"""The Gopher rules with `semantics = "dclm"`, against DCLM's definitions spelled out in tests/reference/dclm.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.base import Filter
from filters.gopher_quality import ENGLISH_STOP_WORDS, GopherQuality
from filters.gopher_repetition import GopherRepetition
from tests.edge_cases import EDGE_TEXTS, batch, check_filter, columns_of, measure, reasons
from tests.reference import dclm as slow

QUALITY = GopherQuality(semantics="dclm")
REPETITION = GopherRepetition(semantics="dclm")
PIECES = st.sampled_from(
    [
        *("the", "The", "tHE", "be", "OF", "have", "bed", "K\u212a", "x1", "1x", "_a", "été", "中文", "𝔘", "٣", "²"),
        *(" ", "\n", "\n\n", "\t", "\r", "\x1f", "\x85", "\u2028", "\u3000", "\0"),
        *("...", ". . .", ". ", ".", "…", "#", "•", "●", "*", "-", "(", "\u0301"),
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)
NUM_EXAMPLES = 300


def _rows(texts: list[str], rule: Filter) -> list[dict[str, float]]:
    columns, _ = columns_of(rule, batch(texts))
    return [{name: float(values[row]) for name, values in columns.items()} for row in range(len(texts))]


def _repetition(texts: list[str]) -> list[dict[str, float]]:
    return _rows(texts, REPETITION)


def test_the_edge_cases_hold() -> None:
    check_filter(QUALITY)
    check_filter(REPETITION)


def test_quality_measures_equal_the_slow_ones_on_the_edge_cases() -> None:
    texts = [text[:5000] for text in EDGE_TEXTS]
    assert _rows(texts, QUALITY) == [slow.quality(text, str.split) for text in texts]


@settings(max_examples=NUM_EXAMPLES, deadline=None)
@given(TEXTS)
def test_quality_measures_equal_the_slow_ones_on_odd_texts(text: str) -> None:
    assert _rows([text], QUALITY) == [slow.quality(text, str.split)]


@settings(max_examples=NUM_EXAMPLES, deadline=None)
@given(TEXTS)
def test_repetition_measures_equal_the_slow_ones_on_odd_texts(text: str) -> None:
    assert _repetition([text]) == [slow.repetition(text, str.split)]


@settings(max_examples=NUM_EXAMPLES, deadline=None)
@given(TEXTS)
def test_measures_equal_those_of_dclm_s_own_tokenizers(text: str) -> None:
    assert _rows([text], GopherQuality(semantics="dclm", words="fasttext")) == [slow.quality(text)]
    assert _rows([text], GopherRepetition(semantics="dclm", words="uax29")) == [slow.repetition(text)]


def test_repetition_measures_equal_the_slow_ones_on_the_edge_cases() -> None:
    texts = [text[:2000] for text in EDGE_TEXTS]
    assert _repetition(texts) == [slow.repetition(text, str.split) for text in texts]


def test_symbols_of_both_kinds_are_counted_together() -> None:
    text = "#a b... c . . . d… e f"
    rule = GopherQuality(semantics="dclm", max_symbol_ratio=0.4, min_words=None, min_mean_word_chars=None)
    assert measure(rule, "symbol_ratio", [text]) == [4 / 9]
    assert reasons(rule.model_copy(update={"max_hash_ratio": None, "max_ellipsis_ratio": None}), [text]) == [
        "gopher_quality.too_many_symbols"
    ]


def test_every_occurrence_of_a_stop_word_counts_in_any_letter_case() -> None:
    assert measure(QUALITY, "num_stop_words", ["the the", "tHE oF", "them", ""]) == [2.0, 2.0, 0.0, 0.0]


def test_stop_words_may_be_long_or_beyond_ascii() -> None:
    rule = GopherQuality(semantics="dclm", stop_words=["à", "straßenverkehrsordnung", "être"])
    texts = ["À la Straßenverkehrsordnung", "Être ÊTRE être", "a"]
    assert measure(rule, "num_stop_words", texts) == [2.0, 3.0, 0.0]
    assert measure(GopherQuality(semantics="dclm", stop_words=[]), "num_stop_words", texts) == [0.0, 0.0, 0.0]


def test_words_count_when_they_start_with_a_letter_or_a_number() -> None:
    assert measure(QUALITY, "num_words", ["a (b) 1c ٣ _d - 中 \u0301e"]) == [4.0]


def test_all_copies_of_a_line_count() -> None:
    text = "aa\nbb\naa\ncccc"
    assert _repetition([text])[0]["duplicate_line_ratio"] == 2 / 4
    assert _repetition([text])[0]["duplicate_line_char_ratio"] == 4 / 10


def test_paragraphs_are_cut_at_two_line_feeds_exactly() -> None:
    found = _repetition(["a\n \na\n\nb\n\n\nb", "one", " \n\n "])
    assert [row["duplicate_paragraph_ratio"] for row in found] == [2 / 3, 0.0, 1.0]


def test_overlapping_copies_of_the_top_bigram_count_in_full() -> None:
    assert _repetition(["spam " * 10])[0]["top_2_gram_char_ratio"] == 9 * 8 / 40


@pytest.mark.parametrize("limit", [0.3, 0.9])
def test_shares_of_lines_pass_as_dclm_s_products_do(limit: float) -> None:
    # DCLM compares a count with limit * lines, we the share with the limit.
    num_lines = np.arange(1, 3000)[:, np.newaxis]
    counts = np.rint(num_lines * limit) + np.arange(-1, 2)
    assert np.array_equal(counts > limit * num_lines, counts / num_lines > limit)


def test_shares_of_alphabetic_words_pass_as_dclm_s_complements_do() -> None:
    num_words = np.arange(1, 3000)[:, np.newaxis]
    without = np.clip(np.rint(num_words * 0.2) + np.arange(-1, 2), 0, num_words)
    assert np.array_equal(without / num_words <= 0.2, (num_words - without) / num_words >= 0.8)


def test_the_slow_stop_words_are_the_rule_s() -> None:
    assert list(slow.STOP_WORDS) == ENGLISH_STOP_WORDS
