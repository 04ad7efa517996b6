import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.base import Filter
from filters.gopher_quality import ENGLISH_STOP_WORDS, GopherQuality
from filters.gopher_repetition import GopherRepetition
from tests.edge_cases import EDGE_TEXTS, batch, check_filter, columns_of, measure, reasons
from tests.reference import datatrove as slow

QUALITY = GopherQuality(semantics="datatrove")
REPETITION = GopherRepetition(semantics="datatrove")
PUBLISHED_QUALITY = GopherQuality(semantics="fineweb-2024-04")
PUBLISHED_REPETITION = GopherRepetition(semantics="fineweb-2024-04")
PIECES = (
    "the", "The", "of", "with", "words", "é", "1", "#", "...", "…", "•", "-", "。", "।", "'", "a-b", " ", " ", "\n",
    "\n\n", "\r", "\u2028", "\u00a0", "😀",
)  # fmt: skip


def _rows(rule: Filter, texts: list[str]) -> list[dict[str, float]]:
    columns, _ = columns_of(rule, batch(texts))
    return [{name: float(values[row]) for name, values in columns.items()} for row in range(len(texts))]


def _check_all(texts: list[str]) -> None:
    for published, quality, repetition in (
        (False, QUALITY, REPETITION),
        (True, PUBLISHED_QUALITY, PUBLISHED_REPETITION),
    ):
        assert _rows(quality, texts) == [
            slow.quality(text, text.split(), ENGLISH_STOP_WORDS, published) for text in texts
        ]
        assert _rows(repetition, texts) == [slow.repetition(text, text.split(), published) for text in texts]


@pytest.mark.parametrize("rule", [QUALITY, REPETITION, PUBLISHED_QUALITY, PUBLISHED_REPETITION])
def test_the_edge_cases_hold(rule: Filter) -> None:
    check_filter(rule)


def test_edge_texts_agree_with_the_slow_twin() -> None:
    _check_all([text for text in EDGE_TEXTS if len(text) < 10_000])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), max_size=3))
def test_any_text_agrees_with_the_slow_twin(texts: list[str]) -> None:
    _check_all(texts)


def test_words_of_punctuation_count_in_ratios_but_not_as_words() -> None:
    text = "one - two ... three"
    assert measure(QUALITY, "num_words", [text]) == [3.0]
    assert measure(QUALITY, "mean_word_chars", [text]) == [11 / 3]
    assert measure(QUALITY, "alphabetic_word_ratio", [text]) == [3 / 5]
    assert measure(QUALITY, "ellipsis_ratio", [text]) == [1 / 5]


def test_blank_lines_count_and_only_two_bullets_do() -> None:
    text = "- one\n\n• two\n* three\n"
    assert measure(QUALITY, "bullet_line_ratio", [text]) == [2 / 4]
    assert measure(GopherQuality(), "bullet_line_ratio", [text]) == [3 / 3]


def test_stop_words_are_in_lower_case_and_different_or_by_the_published_rules_each_copy() -> None:
    texts = ["The of Of", "the the of", "THE AND"]
    assert measure(QUALITY, "num_stop_words", texts) == [1.0, 2.0, 0.0]
    assert measure(PUBLISHED_QUALITY, "num_stop_words", texts) == [1.0, 3.0, 0.0]


def test_short_text_without_repetition_falls_to_its_first_bigram() -> None:
    assert reasons(REPETITION, ["hello world", "hello", "", " \n\n "]) == [
        "gopher_repetition.top_2_gram",
        None,
        "gopher_repetition.empty",
        "gopher_repetition.duplicate_lines",  # the parts before and after the line feeds are a space each
    ]


def test_shares_are_of_the_whole_text_with_white_space() -> None:
    text = "aa\nbb\n\naa\n"
    # Parts between line feeds: aa, bb, aa and an empty one.
    assert measure(REPETITION, "duplicate_line_ratio", [text]) == [1 / 4]
    assert measure(REPETITION, "duplicate_line_char_ratio", [text]) == [2 / 10]


def test_by_the_published_rules_blank_lines_are_copies() -> None:
    text = "aa\n\nbb\n\ncc"
    assert measure(REPETITION, "duplicate_line_ratio", [text]) == [0.0]
    assert measure(PUBLISHED_REPETITION, "duplicate_line_ratio", [text]) == [1 / 5]


def test_paragraphs_give_the_reason_before_lines() -> None:
    text = "\n\n".join(["The same thing again and again."] * 3)
    assert reasons(REPETITION, [text]) == ["gopher_repetition.duplicate_paragraphs"]
    assert reasons(GopherRepetition(), [text]) == ["gopher_repetition.duplicate_paragraphs"]
