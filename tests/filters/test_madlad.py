import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.base import SpanDefinition
from filters.kernels.buffers import text_buffers
from filters.kernels.madlad import KINDS, Kind, SentenceRules, count_questionable, find_sentences
from filters.language import Language
from filters.madlad import Madlad
from filters.words import find_words
from manifests.errors import ModelError
from tests.edge_cases import EDGE_TEXTS, batch, check_filter, columns_of, measure, reasons
from tests.reference import madlad as slow
from tests.reference.word_break import words as uax29_words
from tests.shared import shared_data

PUBLISHED = SentenceRules(12, 0.5, 20, 500, 0.2)
TIGHT = SentenceRules(2, 0.5, 3, 25, 0.2)
CUTS: dict[SpanDefinition, Callable[[str], list[str]]] = {"uax29": uax29_words, "whitespace": str.split}
PLAIN = "The river rises in the hills. "
GERMAN = "Der Fluss entspringt in den Bergen. "


def _found(
    column: pa.Array | pa.ChunkedArray, rules: SentenceRules = PUBLISHED, words: SpanDefinition = "uax29"
) -> list[list[int]]:
    text = text_buffers(column)
    sentences = find_sentences(text, find_words(text, words), rules)
    rows: list[list[int]] = count_questionable(sentences.offsets, sentences.kinds, _asked(rules)).T.tolist()
    return rows


def _asked(rules: SentenceRules) -> list[Kind]:
    return ["list_case", "cursed"] if rules == TIGHT else list(KINDS)


def _texts(texts: list[str], rules: SentenceRules = PUBLISHED, words: SpanDefinition = "uax29") -> list[list[int]]:
    return _found(pa.array(texts, pa.large_string()), rules, words)


def _expected(texts: list[str], rules: SentenceRules = PUBLISHED, words: SpanDefinition = "uax29") -> list[list[int]]:
    return [slow.counts(text, rules, CUTS[words], _asked(rules), lambda _: "en") for text in texts]


@cache
def _label(text: str) -> str:
    """What the packaged model calls the text."""
    return str(columns_of(Language(), batch([text]))[0]["label"][0])


def _languages(texts: list[str]) -> list[float]:
    return measure(Madlad(kinds=["language"]), "language_ratio", texts)


def _is(kind: str, sentences: list[str]) -> list[bool]:
    """Whether each sentence, as a document of its own, is of the kind."""
    return [share == 1.0 for share in measure(Madlad(), f"{kind}_ratio", sentences)]


def test_edge_cases_pass() -> None:
    check_filter(Madlad())
    check_filter(Madlad(words="whitespace", min_sentence_chars=0, min_list_words=1, max_questionable_ratio=0.0))
    check_filter(Madlad(kinds=["language"]))


def test_sentences_end_at_marks_that_white_space_follows() -> None:
    texts = [
        "",
        " \n",
        "One",
        "One. Two",
        "One. Two. ",
        "One?! Two\n\nthree.",
        "v1.2 is out",
        "One.\u3000Two",
        ". . One",
    ]
    assert measure(Madlad(), "num_sentences", texts) == [0.0, 0.0, 1.0, 2.0, 2.0, 2.0, 1.0, 2.0, 1.0]


def test_a_sentence_without_marks_has_20_to_500_characters_of_any_width() -> None:
    lengths = [19, 20, 500, 501]
    expected = [True, False, False, True]
    for letter in ("x", "я", "😀"):
        assert _is("length", [letter * length + ". " for length in lengths]) == expected
    assert _is("length", ["x" * 19 + "."]) == [False]  # the marks at the end of the text are its own


def test_list_case_needs_twelve_words_and_more_than_half_with_a_capital() -> None:
    sentences = ["Ab " * 11, "Ab " * 12, "Ab ab " * 6, "Ab ab " * 6 + "Éa", "(Ab) " * 12, "Дом " * 12, "日本 " * 12]
    assert _is("list_case", sentences) == [False, True, False, True, True, True, False]


def test_words_may_be_those_between_blanks() -> None:
    texts = ["(Ab) " * 12, "Well-To-Do people " * 6]  # 12 and 12 words between blanks, 12 and 24 of Unicode
    assert measure(Madlad(words="whitespace"), "list_case_ratio", texts) == [0.0, 0.0]
    assert measure(Madlad(), "list_case_ratio", texts) == [1.0, 1.0]


def test_marks_between_sentences_are_no_words() -> None:
    assert _texts(["Ab . Ab ab"], TIGHT, "whitespace") == [[2, 0, 0, 0, 0, 0, 0]]


def test_more_than_a_fifth_of_digits_and_brackets_is_too_much() -> None:
    sentences = ["abcdefgh12" * 2, "abcdefg012" * 2, "{}+/()>" + "x" * 14, "[]<-=*&" + "x" * 14, "٣٤" * 10]
    assert _is("number", sentences) == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("cursed", "plain"),
    [
        ("see № 5", "№ 5"),
        ("a\ufffd\ufffd\ufffdb", "a\ufffd\ufffdb\ufffd"),
        ("Home | \n", "Home | b"),
        ("a nr.", "a nr"),
        ("aute irure dolor x", "aute irure dolor"),
        ("lorem ipsum x", "lorem Ipsum x"),
        ("黄色电影", "黄色电"),
        ("Download", "DOWNLOAD"),
        ("S1 Ep.2", "S1 ep.2"),
        ("Episodes", "episodes"),
        ("2020 г.", "2020 г.в"),
        ("5 шт.б", "5 шт"),
        ("the cat sat and ran for the big red toy", "the cat sat and ran for the big red t"),
        ("x aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii", "x aaaa bbbb cccc dddd eeee ffff gggg hhhh iii"),
        ("x t h i s i s i t 2", "x t h i s i s i  t 2"),
        ("x, ab, cd,, ef, gh,", "x, ab, cd,,, ef, gh,"),
    ],
)
def test_a_cursed_string_curses_its_sentence(cursed: str, plain: str) -> None:
    assert _is("cursed", [cursed, plain]) == [True, False]


def test_cursed_strings_end_with_their_sentence() -> None:
    texts = ["see Vol. 3 of it", "2020 г. и", "a | b", "a |. b", "the cat sat\nand ran for the big red toy", "a sex"]
    assert measure(Madlad(), "cursed_ratio", texts) == [0.0, 0.0, 0.0, 0.5, 0.0, 0.0]


def test_the_limits_themselves_are_kept_and_zero_is_not_off() -> None:
    four, five = PLAIN * 4, PLAIN * 5
    one_of_five = PLAIN * 4 + "No. "
    one_of_four = PLAIN * 3 + "No. "
    few, many = "madlad.too_few_sentences", "madlad.questionable"
    assert reasons(Madlad(), [four, five, one_of_five, one_of_four]) == [few, None, None, few]
    assert reasons(Madlad(min_sentences=4), [four, one_of_four]) == [None, many]
    assert reasons(Madlad(max_questionable_ratio=0.0), [five, one_of_five]) == [None, many]
    off = Madlad(min_sentences=None, max_questionable_ratio=None)
    assert reasons(off, ["", one_of_four]) == [None, None]


def test_only_the_named_kinds_make_a_sentence_questionable() -> None:
    texts = [PLAIN * 3 + "No. " + "Get the mp3 from here now. "]
    olmo = Madlad(kinds=["list_case", "cursed"])
    assert measure(Madlad(), "questionable_ratio", texts) == [0.4]
    assert measure(olmo, "questionable_ratio", texts) == [0.2]
    assert measure(olmo, "length_ratio", texts) == [0.2]


def test_a_sentence_of_several_kinds_counts_once() -> None:
    assert _texts(["1.mp3. "]) == [[1, 1, 0, 1, 1, 1, 0]]


def test_a_sentence_with_letters_in_another_language_than_its_document_is_foreign() -> None:
    texts = [PLAIN * 4 + GERMAN, PLAIN * 2 + GERMAN * 4, PLAIN * 3 + "12 + 3 = 15. ", "", "1. 2. 3."]
    assert _languages(texts) == [0.2, 2 / 6, 0.0, 0.0, 0.0]
    rule = Madlad(kinds=["language"])
    assert measure(rule, "questionable_ratio", texts) == [0.2, 2 / 6, 0.0, 0.0, 0.0]
    few = "madlad.too_few_sentences"
    assert reasons(rule, texts) == [None, "madlad.questionable", few, few, few]


def test_languages_are_measured_only_where_they_are_asked_for(tmp_path: Path) -> None:
    assert "madlad.language_ratio" not in Madlad().column_types()
    assert "madlad.language_ratio" in Madlad(kinds=["language"]).column_types()
    broken = tmp_path / "broken.ftz"
    broken.write_bytes(b"no model")
    Madlad(model=str(broken)).check()
    with pytest.raises(ModelError, match=r"broken\.ftz: is not a fastText model"):
        Madlad(model=str(broken), kinds=["language"]).check()


def test_the_model_counts_by_content_and_only_where_it_is_asked(tmp_path: Path) -> None:
    copy = tmp_path / "copy.ftz"
    copy.write_bytes(Path(Language().model_path).read_bytes())
    assert Madlad(model=str(copy)).measuring() == Madlad().measuring()
    asked = Madlad(kinds=["language"]).measuring()
    assert Madlad(model=str(copy), kinds=["language"]).measuring() == asked
    assert asked["model"] == f"sha256:{Language().model_digest}"


_SENTENCES = st.sampled_from([PLAIN, GERMAN, "Oui, c'est vrai! ", "ok? ", "12. ", "\u3000Да. ", "</s> no. ", "a.\nb"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(_SENTENCES, max_size=6).map("".join), max_size=3))
def test_foreign_sentences_agree_with_the_slow_twin(texts: list[str]) -> None:
    found = [slow.sentences(text) for text in texts]
    foreign = [
        [slow.is_foreign(part, text, _label) for part in parts] for text, parts in zip(texts, found, strict=True)
    ]
    assert _languages(texts) == [sum(answers) / len(answers) if answers else 0.0 for answers in foreign]


def test_limits_of_documents_are_thresholds_and_those_of_sentences_are_not() -> None:
    measuring = Madlad().measuring()
    assert Madlad(min_sentences=1, max_questionable_ratio=0.5).measuring() == measuring
    for other in (Madlad(kinds=["length"]), Madlad(words="whitespace"), Madlad(max_sentence_chars=600)):
        assert other.measuring() != measuring


@pytest.mark.parametrize("words", CUTS)
@pytest.mark.parametrize("rules", [PUBLISHED, TIGHT])
def test_edge_texts_agree_with_the_slow_twin_in_any_arrow_layout(rules: SentenceRules, words: SpanDefinition) -> None:
    texts = [text[:3000] for text in EDGE_TEXTS] + ["x. Ab Cd. " * 3, "é", "1"]
    expected = _expected(texts, rules, words)
    column = pa.array(texts, pa.large_string())
    assert _found(column, rules, words) == expected
    assert _found(pa.array(["Before. It", *texts, "x. Y"], pa.large_string()).slice(1, len(texts)), rules, words) == (
        expected
    )
    assert _found(pa.chunked_array([column[:7], column[7:]]), rules, words) == expected
    assert _found(column[:0], rules, words) == []
    assert not text_buffers(column).data.flags.writeable


def test_the_counts_of_a_long_text_are_those_of_its_sentences() -> None:
    counts = np.array(_texts([(PLAIN + "No! ") * 200_000]))
    assert counts.tolist() == [[400_000, 200_000, 0, 200_000, 0, 0, 0]]


_PIECES = (
    *(
        ".",
        "!",
        "?",
        " ",
        "  ",
        "\n",
        "\u3000",
        "|",
        ",",
        ", ab",
        ", cd,",
        " x",
        " É",
        " abc",
        " efgh",
        "_Ab",
        "-",
        "'",
    ),
    *(
        "Ab",
        "ab",
        "Ж",
        "ж",
        "日本",
        "😀",
        "e\u0301",
        "\u200d",
        "0",
        "12",
        "(",
        "}",
        "mp3",
        "mp",
        "3",
        " se",
        "x ",
        " nr",
    ),
    *(" г", " кг", " шт", "Vol", " Ep", "№", "\ufffd", "own", "load", "Faceb", "ook", " ipsum ", "orem", "\0", "\x1c"),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(_PIECES), max_size=60).map("".join), max_size=3), st.sampled_from(sorted(CUTS))
)
def test_texts_of_awkward_pieces_agree_with_the_slow_twin(texts: list[str], words: SpanDefinition) -> None:
    assert _texts(texts, TIGHT, words) == _expected(texts, TIGHT, words)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from([" ", ",", "a", "\n", "é"]), min_size=30, max_size=90), max_size=3))
def test_runs_of_short_words_agree_with_the_slow_twin(texts: list[str]) -> None:
    texts += [" abc" * 8 + text for text in texts] + [text + ", ab, cd,, a" + text for text in texts]
    assert _texts(texts, words="whitespace") == _expected(texts, words="whitespace")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=3))
def test_any_text_agrees_with_the_slow_twin(texts: list[str]) -> None:
    assert _texts(texts, TIGHT, "whitespace") == _expected(texts, TIGHT, "whitespace")


def _rows(*parts: str) -> list[dict[str, str]]:
    data = zstandard.decompress(shared_data(*parts).read_bytes()).decode()
    return [json.loads(line) for line in data.split("\n") if line]


def _num_dropped(texts: list[str], rule: Madlad) -> tuple[int, int]:
    return sum(reason is not None for reason in reasons(rule, texts)), len(texts)


@pytest.mark.shared
def test_known_harm_is_as_the_page_says() -> None:
    judged = _rows("text", "quality", "human_quality_labels.jsonl.zst")
    good = [row["text"] for row in judged if row["label"] == 1]
    bad = [row["text"] for row in judged if row["label"] == 0]
    olmo = Madlad(kinds=["list_case", "cursed"])
    assert (_num_dropped(good, Madlad()), _num_dropped(bad, Madlad())) == ((36, 150), (59, 125))
    assert (_num_dropped(good, olmo), _num_dropped(bad, olmo)) == ((17, 150), (41, 125))
    gold = _rows("web", "gold.jsonl.zst")
    english = [row["text"] for row in gold if row["lang"] == "en" and len(row["text"].split()) >= 100]
    assert _num_dropped(english, Madlad()) == (222, 1741)
    languages = Madlad(kinds=["language"], min_sentences=None)
    assert [_num_dropped(texts, languages)[0] for texts in (good, bad, english)] == [1, 1, 6]
    news = [row for row in _rows("text", "prose", "documents.jsonl.zst") if row["source"] == "masakhanews"]
    assert _num_dropped([row["text"] for row in news], languages) == (1116, 1374)
    assert _num_dropped([row["text"] for row in news if row["lang"] == "pcm"], languages) == (12, 128)
    eastern = [row["text"] for row in gold if row["lang"] in ("ja", "zh", "th", "my")]
    assert _num_dropped(eastern, Madlad()) == (14, 14)


@pytest.mark.shared
def test_real_prose_agrees_with_the_slow_twin() -> None:
    texts = [row["text"][:4000] for row in _rows("text", "prose", "documents.jsonl.zst")[::60]]
    assert len(texts) == 47
    assert _texts(texts) == _expected(texts)
