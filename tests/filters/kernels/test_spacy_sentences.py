from functools import cache
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.lines import find_lines
from filters.kernels.spacy_sentences import count_spacy_sentences
from filters.words import find_words
from tests.edge_cases import EDGE_TEXTS


def _buffers(texts: list[str]) -> TextBuffers:
    return text_buffers(pa.array(texts, pa.large_string()))


def _counted(text: TextBuffers) -> list[int]:
    return count_spacy_sentences(text, find_words(text, "spacy_en"), text.offsets[:-1], text.offsets[1:]).tolist()


@cache
def _pipeline() -> Any:
    import spacy

    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    return pipeline


def _slow(text: str) -> int:
    return max(1, len(list(_pipeline()(text).sents)))


def test_marks_that_are_tokens_of_their_own_end_sentences() -> None:
    texts = [
        "One. Two! Three?",
        "Dr. No met Mr. Yes.",
        "Version 1.2 of e.g. this",
        'He said: "Go!" And went.',
        "はい。いいえ。",
    ]
    assert _counted(_buffers(texts)) == [3, 1, 1, 2, 1]


def test_texts_without_words_have_one_sentence() -> None:
    assert _counted(_buffers(["", " ", "  \t", "."])) == [1, 1, 1, 1]
    assert _counted(_buffers([])) == []


def test_more_than_one_space_after_the_last_mark_is_a_sentence() -> None:
    assert _counted(_buffers(["It is so.", "It is so. ", "It is so.  ", "It is so.\t", "It is so  "])) == [
        1,
        1,
        2,
        2,
        1,
    ]


def test_edge_texts_agree_with_spacy() -> None:
    texts = [text for text in EDGE_TEXTS if len(text) < 10_000]
    assert _counted(_buffers(texts)) == [_slow(text) for text in texts]
    assert _by_line(texts) == [_slow(line) for text in texts for line in text.split("\n")]


def test_a_slice_two_chunks_and_writable_buffers_give_the_same() -> None:
    column = pa.array(["before. ", "One. Two.", "", "Üb. é😀! Y  ", " after"], pa.large_string())
    text = text_buffers(column.slice(1, 3))
    for buffers in (
        text,
        text_buffers(pa.chunked_array([column.slice(1, 2), column.slice(3, 1)])),
        TextBuffers(text.data.copy(), text.offsets.copy()),
    ):
        assert _counted(buffers) == [2, 1, 3]


def _by_line(texts: list[str]) -> list[int]:
    text = _buffers(texts)
    lines = find_lines(text)
    return count_spacy_sentences(text, find_words(text, "spacy_en"), lines.starts, lines.ends).tolist()


def test_lines_have_sentences_of_their_own() -> None:
    assert _by_line(["One. Two\nthree.\n\n Four.  \n", "", "Five"]) == [2, 1, 1, 2, 1, 1, 1]


PIECES = ("a", "B", ".", "!", "?", '"', ")", "(", ",", " ", "  ", "\t", "…", "。", "\xa0", "1", "'s", "\n", ":", ")")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), max_size=4))
def test_counts_agree_with_spacy(texts: list[str]) -> None:
    assert _counted(_buffers(texts)) == [_slow(text) for text in texts]
    assert _by_line(texts) == [_slow(line) for text in texts for line in text.split("\n")]
