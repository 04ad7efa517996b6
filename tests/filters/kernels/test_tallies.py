import unicodedata

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.lines import find_lines
from filters.kernels.tallies import (
    count_stop_words,
    count_symbols,
    ends_with_ellipsis,
    ends_with_sentence_end,
    ratio,
    starts_with_bullet,
    sum_by_document,
)
from filters.kernels.unicode import SENTENCE_END, code_point_classes
from filters.kernels.words import find_words
from tests.edge_cases import EDGE_TEXTS
from tests.reference import tallies as slow


def _buffers(texts: list[str]) -> TextBuffers:
    return text_buffers(pa.array(texts, pa.large_string()))


def _symbols(texts: list[str]) -> list[tuple[int, int]]:
    hashes, ellipses = count_symbols(_buffers(texts))
    return list(zip(hashes.tolist(), ellipses.tolist(), strict=True))


def _marks(text: str) -> list[tuple[bool, bool]]:
    buffers = _buffers([text])
    lines = find_lines(buffers)
    found = starts_with_bullet(buffers, lines), ends_with_ellipsis(buffers, lines)
    return list(zip(found[0].tolist(), found[1].tolist(), strict=True))


def _stop_words(texts: list[str], stop_words: list[str]) -> list[int]:
    return count_stop_words(find_words(_buffers(texts)), stop_words).tolist()


def test_runs_of_dots_count_as_whole_ellipses_of_three() -> None:
    assert _symbols([".. ... .... ...... …….", "#a ##b", ""]) == [(0, 6), (3, 0), (0, 0)]


def test_an_ellipsis_does_not_reach_into_the_next_document() -> None:
    assert _symbols(["..", ".", "#.."]) == [(0, 0), (0, 0), (1, 0)]


def test_bullets_and_ellipses_are_seen_past_white_space() -> None:
    assert _marks(" - a\n•b…\n–c... \n..\n\n…") == [
        (True, False),
        (True, True),
        (False, True),
        (False, False),
        (False, False),
        (False, True),
    ]


def test_a_sentence_end_is_the_very_last_character_of_a_line() -> None:
    text = _buffers(['Yes.\nYes. \nはい。\nنعم؟\n"Yes."\nWell…\n\n𑅁'])
    found = ends_with_sentence_end(text, find_lines(text))
    assert found.tolist() == [True, False, True, True, False, False, False, True]


def test_sentence_ends_are_159_marks_and_no_letters_or_spaces() -> None:
    ends = np.flatnonzero(code_point_classes() & SENTENCE_END)
    assert len(ends) == 159
    assert {unicodedata.category(chr(number))[0] for number in ends} - {"P", "S", "C"} == set()


def test_stop_words_count_once_each_in_any_usual_letter_case() -> None:
    texts = ["the the The THE", "To be or not TO BE", "", "tHe, the."]
    assert _stop_words(texts, ["the", "be", "to", "of"]) == [1, 2, 0, 0]


def test_stop_words_of_other_scripts_are_found() -> None:
    assert _stop_words(["И это не всё", "それ は 猫"], ["и", "не", "は"]) == [2, 1]
    assert _stop_words(["the"], []) == [0]


def test_sixty_four_stop_words_each_have_their_bit() -> None:
    stop_words = [f"w{number}" for number in range(64)]
    assert _stop_words([" ".join(stop_words), "w63 w0 w63"], stop_words) == [64, 2]


def test_sums_and_ratios_of_empty_documents_are_zero() -> None:
    sums = sum_by_document(np.array([1, 2, 4], np.int32), np.array([0, 2, 2, 3]))
    assert sums.tolist() == [3, 0, 4]
    assert ratio(sums, np.array([4, 0, 8])).tolist() == [0.75, 0.0, 0.5]


def test_edge_texts_agree_with_the_slow_twin() -> None:
    texts = list(EDGE_TEXTS)
    assert _symbols(texts) == [(slow.num_hashes(text), slow.num_ellipses(text)) for text in texts]
    expected = [slow.num_stop_words(text, ["the", "over", "line"]) for text in texts]
    assert _stop_words(texts, ["the", "over", "line"]) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from(".…#-•*a \n\u3000é"), max_size=60), max_size=4))
def test_symbols_and_marks_agree_with_the_slow_twin(texts: list[str]) -> None:
    assert _symbols(texts) == [(slow.num_hashes(text), slow.num_ellipses(text)) for text in texts]
    assert [_marks(text) for text in texts] == [
        [(slow.starts_with_bullet(line), slow.ends_with_ellipsis(line)) for line in text.split("\n")] for text in texts
    ]
