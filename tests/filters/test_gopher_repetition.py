import pytest
from pydantic import ValidationError

from filters.gopher_repetition import GopherRepetition
from tests.edge_cases import check_filter, measure, reasons

RULE = GopherRepetition()
WORDS = [f"word{number}" for number in range(100, 1000)]  # seven characters each


def test_the_edge_cases_hold() -> None:
    check_filter(RULE)


def test_text_without_repetition_is_kept_and_empty_text_is_not() -> None:
    assert reasons(RULE, [" ".join(WORDS), "hello world", ""]) == [None, None, "gopher_repetition.empty"]


def test_later_copies_of_a_line_are_duplicates() -> None:
    text = "aa\nbb\naa\n\naa\ncccc"
    assert measure(RULE, "duplicate_line_ratio", [text]) == [2 / 5]
    assert measure(RULE, "duplicate_line_char_ratio", [text]) == [4 / 12]
    assert reasons(RULE, [text]) == ["gopher_repetition.duplicate_lines"]


def test_paragraphs_are_lines_between_blank_lines() -> None:
    text = "aa\nbb\n\ncc\n\naa\nbb"
    assert measure(RULE, "duplicate_paragraph_ratio", [text, "aa\naa"]) == [1 / 3, 0.0]
    assert measure(RULE, "duplicate_paragraph_char_ratio", [text, "aa\naa"]) == [4 / 10, 0.0]


def test_three_duplicate_lines_of_ten_pass_and_four_do_not() -> None:
    lines = [" ".join(WORDS[start : start + 5]) for start in range(0, 45, 5)]
    only_lines = GopherRepetition(**{bound.limit: None for bound in RULE.bounds if bound.defect != "duplicate_lines"})
    texts = ["\n".join(["x"] * 4 + lines[:6]), "\n".join(["x"] * 5 + lines[:5])]
    assert measure(only_lines, "duplicate_line_ratio", texts) == [0.3, 0.4]
    assert reasons(only_lines, texts) == [None, "gopher_repetition.duplicate_lines"]


def test_the_top_bigram_must_occur_twice_and_covers_all_its_copies() -> None:
    # "buy now" (6 characters) three times among 18 + 14 characters of words.
    text = "buy now word100 buy now word101 buy now"
    assert measure(RULE, "top_2_gram_char_ratio", [text, "buy now"]) == [18 / 32, 0.0]
    assert measure(RULE, "top_3_gram_char_ratio", [text]) == [0.0]
    assert reasons(RULE, [text]) == ["gopher_repetition.top_2_gram"]


def test_a_run_of_one_word_fills_the_document_and_no_more() -> None:
    for size in (2, 3, 4):
        assert measure(RULE, f"top_{size}_gram_char_ratio", ["spam " * 50]) == [1.0]
    for size in range(5, 11):
        assert measure(RULE, f"duplicate_{size}_gram_char_ratio", ["spam " * 50]) == [1.0]


def test_duplicate_ngrams_cover_every_copy_of_a_passage_once() -> None:
    # Ten words, said again after forty others: 20 of 60 words of equal length.
    passage, others = WORDS[:10], WORDS[10:50]
    text = " ".join([*passage, *others, *passage])
    for size in range(5, 11):
        assert measure(RULE, f"duplicate_{size}_gram_char_ratio", [text]) == [20 / 60]
    assert reasons(RULE, [text]) == ["gopher_repetition.duplicate_5_gram"]


def test_a_passage_of_nine_words_has_no_duplicate_ten_gram() -> None:
    passage, others = WORDS[:9], WORDS[10:60]
    text = " ".join([*passage, *others, *passage])
    assert measure(RULE, "duplicate_9_gram_char_ratio", [text]) == [18 / 68]
    assert measure(RULE, "duplicate_10_gram_char_ratio", [text]) == [0.0]


def test_the_rules_give_their_own_reasons_paragraphs_before_lines() -> None:
    assert RULE.defects() == tuple(
        f"gopher_repetition.{defect}"
        for defect in (
            "empty",
            "duplicate_paragraphs",
            "duplicate_paragraph_chars",
            "duplicate_lines",
            "duplicate_line_chars",
            "top_2_gram",
            "top_3_gram",
            "top_4_gram",
            *(f"duplicate_{size}_gram" for size in range(5, 11)),
        )
    )


def test_the_defaults_are_the_paper_s() -> None:
    limits = [getattr(RULE, bound.limit) for bound in RULE.bounds]
    assert limits == [1, 0.30, 0.20, 0.30, 0.20, 0.20, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.10]


def test_a_single_line_of_many_words_is_measured_in_linear_room() -> None:
    text = " ".join(f"w{number % 70_001}" for number in range(400_000))
    assert measure(RULE, "duplicate_10_gram_char_ratio", [text]) == [1.0]
    assert measure(RULE, "duplicate_line_ratio", [text]) == [0.0]


def test_thresholds_are_no_part_of_what_is_measured() -> None:
    assert GopherRepetition(max_top_2_gram_char_ratio=0.5).measuring() == RULE.measuring()


@pytest.mark.parametrize("wrong", [{"max_top_2_gram_char_ratio": 20.0}, {"max_duplicate_line_ratio": -0.1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        GopherRepetition(**wrong)
