import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.lines import find_lines
from filters.kernels.repetition import (
    DUPLICATE_NGRAMS,
    TOP_NGRAMS,
    content_lines,
    copied_segments,
    exact_lines,
    ngram_repetition,
    paragraphs,
    repeated_segments,
)
from filters.kernels.words import find_words
from tests.edge_cases import EDGE_TEXTS
from tests.reference import lines as slow_lines
from tests.reference import repetition as slow


def _ngrams(texts: list[str]) -> list[list[int]]:
    found = ngram_repetition(find_words(text_buffers(pa.array(texts, pa.large_string()))))
    return np.concatenate([found.top_chars, found.duplicate_chars]).T.tolist()


def _slow_ngrams(text: str) -> list[int]:
    words = text.split()
    return [slow.top_chars(words, size) for size in TOP_NGRAMS] + [
        slow.duplicate_chars(words, size) for size in DUPLICATE_NGRAMS
    ]


def _segments(texts: list[str]) -> list[list[tuple[int, int]]]:
    lines = find_lines(text_buffers(pa.array(texts, pa.large_string())))
    found = [repeated_segments(segments(lines)) for segments in (content_lines, exact_lines, paragraphs)]
    return [[(int(part[0][row]), int(part[1][row])) for part in found] for row in range(len(texts))]


def _slow_segments(text: str) -> list[tuple[int, int]]:
    content = slow_lines.content_lines(text)
    exact = [line for line in slow_lines.lines(text) if line.strip()]
    runs = slow_lines.paragraphs(text)
    return [
        slow.repeated(content, [len(line) for line in content]),
        slow.repeated(exact, [len(line) for line in exact]),
        slow.repeated(runs, [sum(map(len, run)) for run in runs]),
    ]


def test_the_most_frequent_bigram_counts_the_characters_of_all_its_copies() -> None:
    # "ab cd" twice: 8 of 10 characters; no trigram occurs twice.
    assert _ngrams(["ab cd x ab cd y"])[0][:3] == [8, 0, 0]


def test_overlapping_copies_of_the_top_bigram_count_in_full_on_request() -> None:
    found = ngram_repetition(find_words(text_buffers(pa.array(["ab ab ab cd", "ab cd ab ce ab cd ab ce", ""]))))
    # "ab ab" twice; "ab cd" and "ab ce" twice each, "cd ab" once; each is 4 characters long.
    assert found.top_copied_chars[0].tolist() == [8, 8, 0]
    assert found.top_chars[0].tolist() == [6, 8, 0]


def test_all_copies_of_a_line_are_copied_segments() -> None:
    lines = find_lines(text_buffers(pa.array(["aa\nbbb\naa\naa", "aa\nbb", "\n", ""])))
    num_copied, chars = copied_segments(content_lines(lines))
    assert (num_copied.tolist(), chars.tolist()) == ([3, 0, 0, 0], [6, 0, 0, 0])


def test_text_without_a_repeated_ngram_has_no_top_ngram() -> None:
    assert _ngrams(["hello world", "a b c d e f g"]) == [[0] * 9, [0] * 9]


def test_overlapping_copies_count_each_character_once() -> None:
    assert _ngrams(["ha ha ha ha"])[0][:3] == [8, 8, 0]


def test_a_passage_repeated_once_is_covered_whole_by_its_ngrams() -> None:
    text = "one two three four five six and one two three four five six"
    passage = len("onetwothreefourfivesix")
    assert _ngrams([text])[0][3:] == [2 * passage, 2 * passage, 0, 0, 0, 0]


def test_the_first_copy_of_a_line_is_not_a_repetition() -> None:
    assert _segments(["same\nsame\nother\nsame"])[0] == [(2, 8), (2, 8), (0, 0)]


def test_white_space_around_a_line_counts_only_in_exact_lines() -> None:
    assert _segments(["same\n same\nsame"])[0] == [(2, 8), (1, 4), (0, 0)]


def test_blank_lines_part_paragraphs_and_repeat_nothing() -> None:
    assert _segments(["a b\nc\n\n \n\na b\nc\n\n\n"])[0] == [(2, 4), (2, 4), (1, 4)]


def test_documents_do_not_share_their_tables() -> None:
    assert _segments(["same", "same", "same\nsame"]) == [
        [(0, 0), (0, 0), (0, 0)],
        [(0, 0), (0, 0), (0, 0)],
        [(1, 4), (1, 4), (0, 0)],
    ]
    assert _ngrams(["a b", "a b"]) == [[0] * 9, [0] * 9]


def test_edge_texts_agree_with_the_slow_twin() -> None:
    texts = [text[:3000] for text in EDGE_TEXTS]
    assert _ngrams(texts) == [_slow_ngrams(text) for text in texts]
    assert _segments(texts) == [_slow_segments(text) for text in texts]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "bb", "é", "😀x", "to", "be"]), max_size=60), max_size=5))
def test_ngrams_agree_with_the_slow_twin(documents: list[list[str]]) -> None:
    texts = [" ".join(words) for words in documents]
    assert _ngrams(texts) == [_slow_ngrams(text) for text in texts]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["", " ", "a", " a", "bb\t", "é"]), max_size=30).map("\n".join), max_size=5))
def test_segments_agree_with_the_slow_twin(texts: list[str]) -> None:
    assert _segments(texts) == [_slow_segments(text) for text in texts]
