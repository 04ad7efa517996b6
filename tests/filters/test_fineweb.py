import pytest
from pydantic import ValidationError

from filters.fineweb import FineWeb
from tests.edge_cases import EDGE_TEXTS, check_filter, measure, reasons
from tests.reference import datatrove as slow

RULE = FineWeb()
PUBLISHED = FineWeb(semantics="fineweb-2024-04")
PROSE = "This is a long enough line of prose, and it ends like a sentence does"


def _prose(num_lines: int, num_ended: int) -> str:
    return "\n".join(f"{PROSE} {number}{'.' if number < num_ended else ''}" for number in range(num_lines))


def test_the_edge_cases_hold() -> None:
    check_filter(RULE)
    check_filter(PUBLISHED)


def test_prose_is_kept_and_a_list_of_links_is_not() -> None:
    links = "\n".join(f"Read the article number {number} on this site" for number in range(20))
    assert reasons(RULE, [_prose(10, 10), links, "", " \n\t\n"]) == [
        None,
        "fineweb.few_line_ends",
        "fineweb.empty",
        "fineweb.empty",
    ]


def test_twelve_ended_lines_of_a_hundred_pass_and_eleven_do_not() -> None:
    texts = [_prose(100, 12), _prose(100, 11)]
    assert measure(RULE, "line_punct_ratio", texts) == [0.12, 0.11]
    assert reasons(RULE, texts) == [None, "fineweb.few_line_ends"]


def test_white_space_and_quotation_marks_after_the_mark_hide_it() -> None:
    assert measure(RULE, "line_punct_ratio", ['Yes.\nNo. \n"Yes."\nはい。\n\n \n']) == [0.5]


def test_a_line_of_thirty_code_points_is_short_and_blank_lines_do_not_count() -> None:
    text = "é" * 30 + ".\n" + "é" * 30 + "\n\n \n" + "x" * 29
    assert measure(RULE, "short_line_ratio", [text]) == [2 / 3]


def test_the_length_of_short_lines_can_be_set() -> None:
    text = "12345\n123456"
    assert measure(FineWeb(short_line_chars=5), "short_line_ratio", [text]) == [0.5]
    assert measure(FineWeb(short_line_chars=6), "short_line_ratio", [text]) == [1.0]
    assert FineWeb(short_line_chars=5).measuring()["short_line_chars"] == 5


def test_two_short_lines_of_three_pass_and_three_of_four_do_not() -> None:
    texts = [
        f"{PROSE}.\nshort one here and so on.\nshort two is not the same.",
        f"{PROSE}.\nOne a b.\nTwo a b.\nThree.",
    ]
    assert measure(RULE, "short_line_ratio", texts) == [2 / 3, 3 / 4]
    assert reasons(RULE, texts) == [None, "fineweb.short_lines"]


def test_copies_after_the_first_count_against_all_characters_but_line_feeds() -> None:
    text = "aaaa\nbb\naaaa\n\naaaa \n"
    assert measure(RULE, "duplicate_line_char_ratio", [text]) == [4 / 15]


def test_line_feeds_are_counted_for_each_word() -> None:
    assert measure(RULE, "line_feed_ratio", ["one two\nthree\n\n", "\n\n", "word"]) == [1.0, 0.0, 0.0]
    rule = FineWeb(max_short_line_ratio=None)
    assert reasons(rule, ["One two three.\nFour.\nFive six seven.\nSix eight nine.\n"]) == ["fineweb.list"]


def test_zero_threshold_is_not_off() -> None:
    text = f"{PROSE}.\n{PROSE}, too.\n" + f"{PROSE}.\n" * 2
    assert reasons(RULE, [text]) == ["fineweb.duplicate_lines"]
    assert reasons(FineWeb(max_duplicate_line_char_ratio=None), [text]) == [None]
    assert reasons(FineWeb(max_duplicate_line_char_ratio=0.0), [text]) == ["fineweb.duplicate_lines"]


def test_the_published_rules_have_five_marks_and_count_blank_lines() -> None:
    text = "Yes.\nNo. \n\"Yes.\"\nはい。\n\n \nIt's'\nWhat?!\n"
    assert measure(PUBLISHED, "line_punct_ratio", [text, ""]) == [4 / 9, 0.0]
    assert measure(PUBLISHED, "short_line_ratio", [f"{PROSE}.\n\nshort\n{PROSE}"]) == [0.5]


def test_the_published_rules_drop_a_document_at_a_limit_too() -> None:
    twelve = _prose(100, 12)
    assert [reasons(rule, [twelve]) for rule in (RULE, PUBLISHED)] == [[None], ["fineweb.few_line_ends"]]
    short = f"{PROSE}.\n" + "".join(f"{'x' * number}.\n" for number in range(3)) + PROSE + " and more."
    assert measure(RULE, "short_line_ratio", [short]) == measure(PUBLISHED, "short_line_ratio", [short]) == [0.6]
    limits = {"max_short_line_ratio": 0.6, "max_line_feed_ratio": 1.0}
    rules = FineWeb(**limits), FineWeb(**limits, semantics="fineweb-2024-04")
    assert [reasons(rule, [short]) for rule in rules] == [[None], ["fineweb.short_lines"]]
    copies = f"{PROSE}.\n{'x' * 31}.\n" * 2
    share = measure(RULE, "duplicate_line_char_ratio", [copies])[0]
    rules = tuple(
        FineWeb(max_duplicate_line_char_ratio=share, semantics=semantics)
        for semantics in ("datatrove", "fineweb-2024-04")
    )
    assert share == 0.5
    assert [reasons(rule, [copies]) for rule in rules] == [[None], ["fineweb.duplicate_lines"]]


def test_line_feeds_at_their_limit_pass_under_both_semantics() -> None:
    text = f"{PROSE}.\n{PROSE}, too."
    share = measure(RULE, "line_feed_ratio", [text])[0]
    assert share == 1 / 31
    rules = (FineWeb(max_line_feed_ratio=share, semantics=name) for name in ("datatrove", "fineweb-2024-04"))
    assert [reasons(rule, [text]) for rule in rules] == [[None], [None]]


def test_measures_agree_with_the_slow_twin() -> None:
    texts = [text for text in EDGE_TEXTS if len(text) < 10_000]
    for text in texts:
        expected = slow.fineweb(text, text.split())
        assert {name: measure(RULE, name, [text])[0] for name in RULE.measures} == expected


@pytest.mark.parametrize("wrong", [{"min_line_punct_ratio": 12.0}, {"max_short_line_ratio": 67.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        FineWeb(**wrong)
