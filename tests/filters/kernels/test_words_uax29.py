import itertools

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels import words_uax29
from filters.kernels.words_uax29 import find_words
from tests.bench.measures import web_texts
from tests.reference import word_break as slow
from tests.shared import shared_data
from tests.words import buffers, check_definition, found_words

PIECES = (
    *("a", "Bc", "don", "1", "23", "_", "'", "’", '"', ".", ",", ":", ";", "·", " ", "  ", "\n", "\r", "\r\n", "\x0b"),
    *(
        "\u0301",
        "\u200d",
        "\u00ad",
        "\u200b",
        "א",
        "ב",
        "ア",
        "イ",
        "か",
        "語",
        "ก",
        "१",
        "ß",
        "\u2028",
        "-",
        "/",
        "😀",
    ),
    *("😀", "👩", "🇩", "🇪", "🇫", "☺", "\ufe0f", "𝟙", "𐍈", "½", "²", "\x00", "\ufeff"),
)


def _test_lines() -> list[str]:
    """Lines of WordBreakTest.txt: code points in hex with a ÷ or × before, between and behind them."""
    path = shared_data("text", "unicode", "ucd-15.0", "WordBreakTest.txt.zst")
    lines = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode().splitlines()
    return [line.split("#")[0].strip() for line in lines if line.startswith("÷")]


def _segments(text: str) -> list[str]:
    """All segments of a text, by the rules alone, without the shortcut for ASCII."""
    data = np.frombuffer(text.encode(), np.uint8)
    ends = [0]
    while ends[-1] < len(data):
        ends.append(words_uax29._segment(data, ends[-1], len(data), words_uax29.word_break_table())[0])
    return [data[start:end].tobytes().decode() for start, end in itertools.pairwise(ends)]


@pytest.mark.shared
def test_boundaries_are_those_of_unicode_s_own_test() -> None:
    expected = [
        ["".join(chr(int(number, 16)) for number in segment.split("×")) for segment in line.strip("÷ ").split("÷")]
        for line in _test_lines()
    ]
    assert len(expected) == 1823
    assert [_segments("".join(segments)) for segments in expected] == expected
    assert found_words(find_words, buffers(["".join(segments) for segments in expected])) == [
        [segment for segment in segments if any(character.isalnum() for character in segment)] for segments in expected
    ]


def test_marks_inside_words_and_numbers_join_them() -> None:
    text = "The (\u201cbrown\u201d) fox can\u2019t jump 32.3 feet, right? x_y: 1,000.5 e.g. a:b"
    expected = ["The", "brown", "fox", "can\u2019t", "jump", "32.3", "feet", "right", "x_y", "1,000.5", "e.g", "a:b"]
    assert found_words(find_words, buffers([text])) == [expected]


def test_a_segment_without_letter_or_number_is_no_word() -> None:
    assert found_words(find_words, buffers(["_ -- ... 😀 _a 語語 \u0301"])) == [["_a", "語", "語"]]


def test_hard_batches_agree_with_uniseg() -> None:
    check_definition(find_words, slow.words)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), max_size=4))
def test_pieces_in_any_order_agree_with_uniseg(texts: list[str]) -> None:
    assert found_words(find_words, buffers(texts)) == [slow.words(text) for text in texts]


@pytest.mark.shared
@pytest.mark.slow
def test_web_texts_agree_with_uniseg() -> None:
    shared_data("web", "wet")
    texts = web_texts(8)[::80]
    assert len(texts) > 30
    assert found_words(find_words, buffers(texts)) == [slow.words(text) for text in texts]
