import pytest
from pydantic import ValidationError

from filters.gopher_quality import GopherQuality
from tests.edge_cases import check_filter, measure, reasons

GOOD = "The old town lies on the river, and most of its houses have been there for two hundred years. "
OPEN = GopherQuality(min_words=None, min_stop_words=None, min_mean_word_chars=None)


def test_the_edge_cases_hold() -> None:
    check_filter(GopherQuality())


def test_running_text_is_kept_and_menus_are_too_short() -> None:
    assert reasons(GopherQuality(), [GOOD * 4, "Home | About | Contact", ""]) == [
        None,
        "gopher_quality.too_few_words",
        "gopher_quality.too_few_words",
    ]


def test_the_number_of_words_may_lie_on_either_bound() -> None:
    rule = GopherQuality(min_words=3, max_words=4, min_mean_word_chars=1.0, min_stop_words=0)
    assert reasons(rule, ["a b", "a b c", "a b c d", "a b c d e"]) == [
        "gopher_quality.too_few_words",
        None,
        None,
        "gopher_quality.too_many_words",
    ]


def test_mean_word_length_is_in_code_points_and_may_be_exactly_three_or_ten() -> None:
    rule = GopherQuality(min_words=1, min_stop_words=0)
    assert measure(rule, "mean_word_chars", ["été à", "😀😀😀", ""]) == [2.0, 3.0, 0.0]
    assert reasons(rule, ["ab abc", "abc", "x" * 10, "x" * 11]) == [
        "gopher_quality.words_too_short",
        None,
        None,
        "gopher_quality.words_too_long",
    ]


def test_hash_signs_and_ellipses_are_counted_for_each_word() -> None:
    texts = ["#one two ##three four", "one... two… three four", ""]
    assert measure(OPEN, "hash_ratio", texts) == [0.75, 0.0, 0.0]
    assert measure(OPEN, "ellipsis_ratio", texts) == [0.0, 0.5, 0.0]
    assert reasons(OPEN, texts) == [
        "gopher_quality.too_many_hashes",
        "gopher_quality.too_many_ellipses",
        "gopher_quality.too_few_alphabetic_words",
    ]


def test_line_shares_leave_blank_lines_out() -> None:
    text = "- one\n\n  • two\n \nthree...\nfour\n"
    assert measure(OPEN, "bullet_line_ratio", [text]) == [0.5]
    assert measure(OPEN, "ellipsis_line_ratio", [text]) == [0.25]


def test_nine_bullet_lines_of_ten_pass_and_ten_do_not() -> None:
    assert reasons(OPEN, ["* item\n" * 9 + "end", "* item\n" * 10]) == [
        "gopher_quality.too_few_alphabetic_words",
        "gopher_quality.too_many_bullet_lines",
    ]


def test_three_ellipsis_lines_of_ten_pass_and_four_do_not() -> None:
    rule = GopherQuality(min_words=None, min_stop_words=None, max_ellipsis_ratio=None)
    texts = ["more...\n" * 3 + "line\n" * 7, "more…\n" * 4 + "line\n" * 6]
    assert reasons(rule, texts) == [None, "gopher_quality.too_many_ellipsis_lines"]


def test_words_with_a_letter_of_any_script_are_alphabetic() -> None:
    assert measure(OPEN, "alphabetic_word_ratio", ["слово 12 word9 --- 語", "1 2", ""]) == [0.6, 0.0, 0.0]


def test_stop_words_are_counted_as_different_words_in_any_letter_case() -> None:
    texts = ["the the the", "The cat AND dog", "nothing here", "to be or that of it"]
    assert measure(GopherQuality(), "num_stop_words", texts) == [1.0, 2.0, 0.0, 4.0]


def test_stop_words_of_another_language_can_be_given() -> None:
    german = GopherQuality(min_words=1, stop_words=["der", "die", "und", "ist"])
    texts = ["Die Katze und der Hund", "The cat and the dog"]
    assert reasons(german, texts) == [None, "gopher_quality.too_few_stop_words"]
    assert german.measuring()["stop_words"] == ["der", "die", "und", "ist"]


def test_zero_threshold_is_not_off() -> None:
    texts = ["one #two three four five six seven eight nine ten " * 6]
    assert measure(GopherQuality(), "hash_ratio", texts) == [0.1]
    assert reasons(GopherQuality(min_stop_words=None), texts) == [None]
    assert reasons(GopherQuality(min_stop_words=None, max_hash_ratio=0.0), texts) == ["gopher_quality.too_many_hashes"]
    assert reasons(GopherQuality(min_stop_words=None, max_hash_ratio=None), texts) == [None]


def test_thresholds_are_no_part_of_what_is_measured() -> None:
    assert GopherQuality(min_words=80).measuring() == GopherQuality().measuring()
    assert "min_words" not in GopherQuality().measuring()


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_words": -1},
        {"max_bullet_line_ratio": 1.5},
        {"min_alphabetic_word_ratio": 80.0},
        {"min_words": "50"},
        {"min_word": 50},
        {"stop_words": ["the", "two words"]},
        {"stop_words": [""]},
        {"stop_words": ["a"] * 65},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        GopherQuality(**wrong)
