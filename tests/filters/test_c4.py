from pathlib import Path

import pytest
from pydantic import ValidationError

from filters.base import Documents
from filters.c4 import C4
from manifests.errors import InputError
from tests.edge_cases import batch, check_filter, columns_of, measure, reasons

RULE = C4()
DATATROVE = C4(semantics="datatrove", min_words_per_line=3)
SENTENCES = "The river rises in the hills. It is quite a long one. Boats use it in summer."


def _edited(rule: C4, text: str) -> str:
    texts = columns_of(rule, batch([text]))[1]
    assert texts is not None
    return texts[0]


def test_the_edge_cases_hold() -> None:
    check_filter(RULE)
    check_filter(DATATROVE)
    check_filter(C4(require_terminal_mark=False, min_words_per_line=None, max_word_chars=None))


def test_only_lines_that_end_like_sentences_stay() -> None:
    text = f"Home | About | Contact | News | More\n{SENTENCES}\n\nContinue reading this fine article...\n"
    assert _edited(RULE, text) == SENTENCES
    assert measure(RULE, "num_lines_removed", [text]) == [2.0]
    assert measure(RULE, "num_lines_kept", [text]) == [1.0]
    assert reasons(RULE, [text]) == [None]


def test_each_of_the_four_end_marks_counts_and_no_other() -> None:
    lines = [f"this is a line of words{mark}" for mark in (".", "?", "!", '"', "...", "…", "'", ":", "。", "")]
    assert _edited(RULE, "\n".join(lines)).split("\n") == lines[:4]


def test_the_end_mark_can_be_left_out() -> None:
    lines = "one heading of five words\nanother line with no mark"
    assert _edited(RULE, lines) == ""
    assert _edited(C4(require_terminal_mark=False), lines) == lines


def test_four_words_are_too_few_after_citations_are_gone() -> None:
    text = "one two three four five.\none two three four.\none two three four [5] ."
    assert _edited(RULE, text) == "one two three four five.\none two three four  ."
    assert _edited(RULE, "one two three [4].") == ""
    assert _edited(C4(min_words_per_line=None), "one.") == "one."


def test_citations_are_removed_from_lines_that_stay() -> None:
    text = "It rises[12] in the[edit] hills[] there[citation needed] and[a] falls.\nnot [1] kept"
    assert _edited(RULE, text) == "It rises in the hills there and[a] falls."
    assert measure(RULE, "num_citations_removed", [text]) == [4.0]


def test_white_space_that_a_citation_leaves_at_the_ends_of_a_text_is_stripped() -> None:
    assert _edited(RULE, "[1] This is how it is.\n[2] This is how it is.") == "This is how it is.\n This is how it is."


def test_lines_end_where_python_says_so() -> None:
    assert (
        _edited(RULE, "This is how it is.\rMenu\u2028This is how it was.") == "This is how it is.\nThis is how it was."
    )


def test_the_first_line_that_drops_a_page_gives_the_reason() -> None:
    brace, lorem = "Here we call f() { return 1. }.", "Here is some Lorem Ipsum dolor."
    texts = [f"{SENTENCES}\n{brace}\n{lorem}", f"{SENTENCES}\n{lorem}\n{brace}"]
    assert reasons(RULE, texts) == ["c4.curly_brace", "c4.lorem_ipsum"]


def test_by_datatrove_an_apostrophe_ends_a_line_and_citations_are_words() -> None:
    text = "This is what 'it is called'\nSo [1] [2].\n[citation needed][1] [2]\nNot ended"
    assert _edited(DATATROVE, text) == "This is what 'it is called'\nSo  ."
    assert _edited(C4(min_words_per_line=3), text) == ""
    unended = C4(semantics="datatrove", min_words_per_line=3, require_terminal_mark=False)
    assert _edited(unended, f"{text}\na b c") == "This is what 'it is called'\nSo  .\n \na b c"


def test_a_space_left_by_a_citation_hides_the_end_mark() -> None:
    assert _edited(RULE, "This is how it is. [1]") == ""
    assert _edited(RULE, "This is how it is [1].") == "This is how it is ."


def test_a_word_of_more_than_a_thousand_characters_removes_its_line() -> None:
    fits, long = f"these are some words {'é' * 999}.", f"these are some words {'é' * 1000}."
    assert _edited(RULE, f"{fits}\n{long}") == fits
    assert _edited(C4(max_word_chars=None), long) == long


@pytest.mark.parametrize(
    "phrase",
    ["JavaScript", "Terms of Use", "privacy policy", "Cookie Policy", "uses cookies", "USE OF COOKIES", "use cookies"],
)
def test_lines_from_templates_are_removed_in_any_letter_case(phrase: str) -> None:
    assert _edited(RULE, f"Here we speak of our {phrase}.\n{SENTENCES}") == SENTENCES


def test_pages_fall_for_lorem_ipsum_and_braces_in_whole_lines_only() -> None:
    texts = [
        f"{SENTENCES}\nHere is some Lorem Ipsum dolor.",
        f"{SENTENCES}\nHere we call f() {{ return 1. }}.",
        f"{SENTENCES}\nlorem ipsum\nif (x) {{",
        f"{SENTENCES}\nHere is some javascript { {} }.",
    ]
    assert reasons(RULE, texts) == ["c4.lorem_ipsum", "c4.curly_brace", None, None]
    assert reasons(C4(max_lorem_ipsum_lines=None, max_curly_brace_lines=None), texts) == [None] * 4


def test_pages_keep_at_least_three_sentences() -> None:
    two = "The river rises in the hills. It is quite a long one."
    assert measure(RULE, "num_sentences", [two, SENTENCES, ""]) == [2.0, 3.0, 0.0]
    assert reasons(RULE, [two, SENTENCES, "Home"]) == ["c4.too_few_sentences", None, "c4.no_lines_left"]
    assert reasons(C4(min_sentences=None), [two, "Home"]) == [None, "c4.no_lines_left"]


def test_pages_above_the_length_limit_are_dropped_by_their_length_before_the_edit() -> None:
    text = SENTENCES + "\n" + "é" * 10
    num_chars = len(text)
    assert measure(RULE, "num_chars", [text, "a\nb\n"]) == [float(num_chars), 4.0]
    assert reasons(C4(max_chars=num_chars), [text]) == [None]
    assert reasons(C4(max_chars=num_chars - 1), [text]) == ["c4.too_long"]


def test_the_edit_of_an_edited_text_changes_nothing() -> None:
    text = f"Menu\n{SENTENCES} [1]\n {SENTENCES}\r\n\n{SENTENCES}[2]."
    once = _edited(RULE, text)
    assert once == f"{SENTENCES}\n{SENTENCES}."
    assert _edited(RULE, once) == once


def test_score_gives_the_columns_of_the_edit() -> None:
    documents = Documents(batch([SENTENCES, "Menu"]))
    columns = RULE.score(documents)
    assert columns["num_sentences"].tolist() == [3.0, 0.0]
    assert tuple(columns) == RULE.measures


def test_settings_that_change_the_text_are_part_of_what_is_measured() -> None:
    assert RULE.measuring() == {
        "require_terminal_mark": True,
        "min_words_per_line": 5,
        "max_word_chars": 1000,
        "semantics": "reference",
        "sentences": "native",
        "bad_words": None,
    }


@pytest.fixture
def bad_words(tmp_path: Path) -> str:
    path = tmp_path / "bad.txt"
    path.write_text("heck\ndarn it\n2g\n", "utf-8")
    return str(path)


def test_pages_fall_for_a_bad_word_that_stands_alone_inside_a_line(bad_words: str) -> None:
    rule = C4(bad_words=bad_words)
    lines = [
        "What the Heck is it now?",
        "Oh well, Darn It, we said.",
        "It is 12g34 in all here.",
        '"Heck!" said we to him."',
    ]
    assert measure(rule, "num_bad_words", lines) == [1.0, 1.0, 1.0, 1.0]
    assert reasons(rule, [f"{SENTENCES}\n{line}" for line in lines]) == ["c4.bad_word"] * 4
    assert reasons(C4(bad_words=bad_words, max_bad_words=1), [f"{SENTENCES}\n{lines[0]}"]) == [None]
    assert reasons(RULE, [f"{SENTENCES}\n{lines[0]}"]) == [None]


def test_bad_words_inside_words_at_line_ends_and_in_lines_that_go_do_not_count(bad_words: str) -> None:
    rule = C4(bad_words=bad_words)
    lines = ["Heck of a day is that.", "One checked and hecks follow.", "what the heck", "a darn  it is in here."]
    assert reasons(rule, [f"{SENTENCES}\n{line}\n{SENTENCES}" for line in lines]) == [None] * 4


def test_the_list_of_bad_words_counts_by_its_content_and_must_be_there(bad_words: str, tmp_path: Path) -> None:
    digest = C4(bad_words=bad_words).measuring()["bad_words"]
    assert digest.startswith("sha256:")
    with pytest.raises(InputError, match="missing.txt"):
        C4(bad_words=str(tmp_path / "missing.txt")).check()
    C4(bad_words=bad_words).check()


def test_the_edge_cases_hold_with_a_list_of_bad_words(bad_words: str) -> None:
    check_filter(C4(bad_words=bad_words))


def test_sentences_can_be_counted_by_spacy_line_by_line() -> None:
    rule = C4(semantics="datatrove", sentences="spacy", require_terminal_mark=False, min_words_per_line=1)
    texts = ["Mr. J. Smith met Dr. Jones. Then they left!", "No mark\nNo. Mark.  [1]", "[1][2]", "", "lorem\u2028{"]
    assert measure(rule, "num_sentences", texts) == [2.0, 4.0, 1.0, 0.0, 2.0]
    check_filter(rule)


@pytest.mark.parametrize("wrong", [{"min_sentences": -1}, {"max_word_chars": 0}, {"min_words_per_line": 2.5}])
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        C4(**wrong)


def test_filters_after_the_edit_take_over_the_words_that_it_counted_sentences_by() -> None:
    documents = Documents(batch(["The river rises slowly. It is long.\nno mark", "It was a very long day."]))
    text, _ = C4(sentences="spacy").edit(documents)
    edited = documents.with_text(text)
    assert edited is documents.with_text(text)
    assert edited.words("spacy_en") is documents.with_text(text).words("spacy_en")
    assert edited.text.offsets.tolist() == [0, 35, 58]
