from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.base import Documents
from filters.refinedweb import RefinedWeb
from tests.edge_cases import EDGE_TEXTS, batch, check_filter, check_twin, edited, measure, reasons
from tests.reference.refinedweb import corrected

RULE = RefinedWeb()
DCLM = RefinedWeb(semantics="dclm")
PROSE = "The river rises in the hills and boats use it in summer, as they did long ago."
PIECES = st.sampled_from(
    [
        *("\n", "\n", "\n\n", " ", "  ", "\t", "\x1f", "\x85", "\u2028", "\u3000", "\r", "\0"),
        *(
            "items in cart",
            "Items In Cart",
            "ıtems İn cart",
            "itemſ in cart",
            "Read more",
            "READ MORE",
            "...",
            "…",
            " a",
        ),
        *(
            "Sign-in",
            "SİGN-ın",
            "ſign-in",
            "likes",
            "Likes",
            "views",
            "bookmarKs",
            "lİkes",
            "comments",
            "12",
            "3.4",
            "1,2",
        ),
        *(
            "k",
            "K",
            "\u212a",
            "M",
            "b",
            "٣",
            "²",
            "_",
            "!",
            "(",
            "ABC",
            "Ab",
            "ÀÉ",
            "word",
            "word word",
            "w " * 8,
            "语",
            "😀",
        ),
    ]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join)


def _same(texts: list[str]) -> None:
    check_twin(RULE, texts, partial(corrected, as_dclm=False))
    check_twin(DCLM, texts, partial(corrected, as_dclm=True))


def test_the_edge_cases_hold() -> None:
    check_filter(RULE)
    check_filter(DCLM)


@settings(max_examples=500, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_texts_and_counts_equal_those_of_the_regular_expressions(texts: list[str]) -> None:
    _same(texts)


def test_edge_cases_equal_the_regular_expressions() -> None:
    texts = [text[:3000] for text in EDGE_TEXTS]
    _same(texts)


def test_lines_of_capitals_digits_counters_and_single_words_go() -> None:
    text = f"HOME NEWS CONTACT US\n{PROSE}\n2019\n3.4k likes!\n\nShare\n{PROSE}"
    assert edited(RULE, text) == f"{PROSE}\n\n{PROSE}"
    for name in ("num_uppercase_lines", "num_numeric_lines", "num_counter_lines", "num_short_lines"):
        assert measure(RULE, name, [text]) == [1.0]
    assert measure(RULE, "num_lines_kept", [text]) == [3.0]


def test_half_of_a_line_may_be_capitals() -> None:
    assert edited(RULE, "AB cd e") == "AB cd e"
    assert edited(RULE, "ABCD ef g") == "ABCD ef g"
    assert edited(RULE, "ABCDE f g") == ""
    assert edited(RefinedWeb(max_uppercase_ratio=1.0), "ABCDE F G") == "ABCDE F G"


def test_the_first_line_is_judged_without_the_blanks_before_it() -> None:
    rule = RefinedWeb(min_words_per_line=0)
    assert edited(rule, "  2019\na b\n  2019\nc d") == "a b\n  2019\nc d"


@pytest.mark.parametrize("line", ["3 likes", "- 1,234 Views -", "12.5K followers", "(7 downloads)", "3\u3000shares"])
def test_counters_are_numbers_of_known_things(line: str) -> None:
    assert edited(RULE, f"{PROSE}\n{line}") == PROSE


@pytest.mark.parametrize("line", ["3 likes of it", "three likes", "3likes", "3 apples", "a 3 likes", "3 kk likes"])
def test_other_lines_with_numbers_stay(line: str) -> None:
    assert edited(RULE, f"{PROSE}\n{line}\n{PROSE}").count("\n") == 1 + (len(line.split()) > 1)


def test_phrases_are_cut_out_of_short_lines_only() -> None:
    text = (
        f"You have 2 items in cart now\n{PROSE} Read more...\nThe news of today Read more...\nSign-in to read\nSign-in"
    )
    assert edited(RefinedWeb(min_words_per_line=0), text) == (
        f"You have 2 now\n{PROSE} Read more...\nThe news of today\nto read"
    )
    assert measure(RefinedWeb(min_words_per_line=0), "num_phrase_lines", [text]) == [4.0]
    assert edited(RefinedWeb(max_phrase_line_words=0), "a Read more...") == "a Read more..."


def test_dclm_takes_the_dots_of_read_more_for_any_character() -> None:
    text = f"{PROSE}\nyou can read more now"
    assert edited(DCLM, text) == f"{PROSE}\nyou can read more now"
    assert edited(DCLM, f"{PROSE}\nyou can read more it") == f"{PROSE}\nyou can"
    assert edited(RULE, f"{PROSE}\nyou can read more it") == f"{PROSE}\nyou can read more it"


def test_pages_may_lose_one_word_of_twenty_and_no_more() -> None:
    nineteen, eighteen = "word " * 18 + "word", "word " * 17 + "word"
    assert measure(RULE, "removed_word_ratio", [f"{nineteen}\nShare", f"{eighteen}\nShare", ""]) == [0.05, 1 / 19, 1.0]
    assert reasons(RULE, [f"{nineteen}\nShare", f"{eighteen}\nShare", "Share", ""]) == [
        None,
        "refinedweb.too_many_words_removed",
        "refinedweb.no_lines_left",
        "refinedweb.no_lines_left",
    ]


def test_score_gives_the_columns_of_the_edit() -> None:
    columns = RULE.score(Documents(batch([PROSE, "Share"])))
    assert columns["num_lines_kept"].tolist() == [1.0, 0.0]
    assert tuple(columns) == RULE.measures


def test_settings_that_change_the_text_are_part_of_what_is_measured() -> None:
    assert RefinedWeb(max_removed_word_ratio=0.5, min_lines_kept=None).measuring() == RULE.measuring()
    assert RefinedWeb(min_words_per_line=3).measuring() != RULE.measuring()


@pytest.mark.parametrize("wrong", [{"max_uppercase_ratio": 1.5}, {"min_words_per_line": -1}, {"semantics": "paper"}])
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        RefinedWeb(**wrong)
