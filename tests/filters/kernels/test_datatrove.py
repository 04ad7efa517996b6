import re

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.datatrove import (
    has_more_than_symbols,
    lines_between_feeds,
    ngram_chars,
    paragraphs_between_feeds,
)
from filters.kernels.lines import find_lines
from filters.kernels.repetition import Segments
from filters.kernels.words import find_words
from tests.edge_cases import EDGE_TEXTS
from tests.reference import datatrove as slow


def _buffers(texts: list[str]) -> TextBuffers:
    return text_buffers(pa.array(texts, pa.large_string()))


def _ngrams(text: TextBuffers) -> list[list[int]]:
    return np.concatenate(ngram_chars(find_words(text))).T.tolist()


def _slow_ngrams(text: str) -> list[int]:
    words = text.split()
    top = [slow.top_chars(words, size) for size in (2, 3, 4)]
    return top + [slow.met_before_chars(words, size) for size in range(5, 11)]


def _chars(segments: Segments) -> list[list[int]]:
    offsets = segments.offsets
    return [segments.num_chars[offsets[row] : offsets[row + 1]].tolist() for row in range(len(offsets) - 1)]


def _same(segments: Segments) -> list[list[int]]:
    """For each segment of each document the first one that is equal."""
    offsets = segments.offsets
    rows = [segments.hashes[offsets[row] : offsets[row + 1]].tolist() for row in range(len(offsets) - 1)]
    return [[row.index(key) for key in row] for row in rows]


def _check_parts(segments: Segments, parts: list[list[str]]) -> None:
    assert _chars(segments) == [[len(part) for part in row] for row in parts]
    assert _same(segments) == [[row.index(part) for part in row] for row in parts]


def test_words_of_punctuation_alone_are_symbols() -> None:
    text = _buffers(["well - ... a. 1 «…» １ 。 été ¿ €"])
    # The full-width one is in datatrove's list of punctuation; the inverted question mark and the euro are not.
    assert has_more_than_symbols(find_words(text)).tolist() == [
        True, False, False, True, True, False, False, False, True, True, True,
    ]  # fmt: skip


def test_all_code_points_are_symbols_where_the_slow_twin_says_so() -> None:
    characters = [chr(number) for number in range(0x110000) if not 0xD800 <= number < 0xE000]
    characters = [character for character in characters if not character.isspace()]
    text = _buffers([" ".join(characters)])
    assert has_more_than_symbols(find_words(text)).tolist() == [not slow.is_symbol(char) for char in characters]


def test_the_most_frequent_ngram_counts_with_its_spaces_and_the_first_of_equals_wins() -> None:
    assert _ngrams(_buffers(["hello world"])) == [[11, 0, 0, 0, 0, 0, 0, 0, 0]]
    # Bigrams "a b", "long words" and others occur once: the first is taken. Then "x y" occurs twice: 2 x 3.
    assert _ngrams(_buffers(["a b long words", "a b x y x y"]))[0][0] == 3
    assert _ngrams(_buffers(["a b x y c x y"]))[0][:2] == [6, 5]


def test_joined_words_repeat_across_other_word_borders() -> None:
    # "abcde" of five words, then the same bytes cut at other places: 6 characters of "abcd" + "e" ... are met before.
    text = "ab c d e f | a bc d e f"
    assert _ngrams(_buffers([text]))[0][3] == 6
    assert _ngrams(_buffers(["ab c d e f | a bx d e f"]))[0][3] == 0


def test_the_scan_goes_on_behind_a_repeated_ngram() -> None:
    words = "a b c d e"
    assert _ngrams(_buffers([" ".join([words] * 3)]))[0][3] == 10
    assert _ngrams(_buffers(["a a a a a a a a a a a a"]))[0][3] == _slow_ngrams("a " * 12)[3] == 10


def test_edge_texts_agree_with_the_slow_twin() -> None:
    texts = [text for text in EDGE_TEXTS if len(text) < 10_000]
    text = _buffers(texts)
    assert _ngrams(text) == [_slow_ngrams(each) for each in texts]
    lines = find_lines(text)
    _check_parts(lines_between_feeds(lines), [re.split(r"\n+", each) for each in texts])
    _check_parts(paragraphs_between_feeds(text, lines), [re.split(r"\n{2,}", each.strip()) for each in texts])


def test_zero_documents_have_no_ngrams_or_parts() -> None:
    text = _buffers([])
    assert _ngrams(text) == []
    lines = find_lines(text)
    assert _chars(lines_between_feeds(lines)) == _chars(paragraphs_between_feeds(text, lines)) == []


def test_a_slice_two_chunks_and_writable_buffers_give_the_same() -> None:
    kept = ["é é é é é é é é", "", "x\n\nx\n\nx"]
    column = pa.array(["before\n", *kept, "\nafter"], pa.large_string())
    text = text_buffers(column.slice(1, 3))
    chunks = text_buffers(pa.chunked_array([column.slice(1, 2), column.slice(3, 1)]))
    for buffers in (text, chunks, TextBuffers(text.data.copy(), text.offsets.copy())):
        assert _ngrams(buffers) == [_slow_ngrams(each) for each in kept]
        lines = find_lines(buffers)
        assert _chars(paragraphs_between_feeds(buffers, lines)) == [[15], [0], [1, 1, 1]]
        assert _chars(lines_between_feeds(lines)) == [[15], [0], [1, 1, 1]]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("aab  é😀"), max_size=60), max_size=3))
def test_ngrams_agree_with_the_slow_twin(texts: list[str]) -> None:
    assert _ngrams(_buffers(texts)) == [_slow_ngrams(text) for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("aé \n\n\n\u3000"), max_size=30), max_size=4))
def test_parts_agree_with_regular_expressions(texts: list[str]) -> None:
    text = _buffers(texts)
    lines = find_lines(text)
    _check_parts(lines_between_feeds(lines), [re.split(r"\n+", each) for each in texts])
    _check_parts(paragraphs_between_feeds(text, lines), [re.split(r"\n{2,}", each.strip()) for each in texts])
