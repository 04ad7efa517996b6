from functools import cache

import pyarrow as pa
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.spacy_words import find_words
from tests.reference import spacy_words as slow

# Pieces of which hard chunks are made: affixes, special cases and parts of them, units, addresses, odd white space.
PIECES = (
    *("a", "Ab", "ABC", "x.y", "word", "Dr.", "e.g.", "a.m.", "5p.m.", "don't", "can’t", "he's", "'s", "’S", "gonna"),
    *("it", "and/or", "w/o", "C++", "Ph.D.", "o.O", "8-D", "10", "3.14", "1,000", "٣", "5km", "km/h", "m²", "%", "°C."),
    *("°", "$", "US$", "C$", "€", "+", "-", "--", "---", "–", "—", "——", "~", "_", "=", "/", ":", ";", ",", ".", ".."),
    *("...", "…", "……", "!", "?", "(", ")", "[", "]", "{", "<", ">", '"', "'", "''", "“", "”", "‘", "’", "«", "#", "*"),
    *(":)", ":-)", ":'(", "^_^", "(o:", "<3", "(╯°□°）╯︵┻━┻", "ಠ", "http://", "www.", "a.com", "x@y.org", "://", "@"),
    *(
        "1.2.3.4",
        "127.0.0.1",
        ":80",
        "?q=1",
        "#f",
        "é",
        "ß",
        "Ж",
        "中文",
        "。",
        "、",
        "か",
        "ก",
        "א",
        "ع",
        "😀",
        "𐍈",
        "\u0301",
    ),
    *(" ", " ", " ", "  ", "\n", "\t", "\xa0", "\u3000", "\x1c", "\x85", "\x00", "\x07", "\u200b", "\ufeff", "\\"),
)


@cache
def _tokenizer() -> spacy.tokenizer.Tokenizer:
    return spacy.blank("en").tokenizer


def _buffers(texts: list[str]) -> TextBuffers:
    return text_buffers(pa.array(texts, pa.large_string()))


def _found(text: TextBuffers) -> list[list[str]]:
    words = find_words(text)
    cut = [
        text.data[start:end].tobytes().decode()
        for start, end in zip(words.starts.tolist(), words.ends.tolist(), strict=True)
    ]
    bounds = words.offsets.tolist()
    return [cut[start:end] for start, end in zip(bounds[:-1], bounds[1:], strict=True)]


def _expected(texts: list[str]) -> list[list[str]]:
    return [slow.words(_tokenizer(), text) for text in texts]


def _agrees(texts: list[str]) -> None:
    assert _found(_buffers(texts)) == _expected(texts)


def test_contractions_marks_units_and_addresses_are_cut_as_spacy_does() -> None:
    text = "Don't (really) pay 5km/h US$3.50, e.g. at U.S.A. http://x.y/z?q=1 a.com/b?c=1. a-b, 10a.m. x:) end...of"
    assert _found(_buffers([text])) == [
        [
            "Do",
            "n't",
            "(",
            "really",
            ")",
            "pay",
            "5",
            "km/h",
            "US$",
            "3.50",
            ",",
            "e.g.",
            "at",
            "U.S.A.",
            "http://x.y",
            "/",
            "z?q=1",
            "a.com/b?c=1",
            ".",
            "a",
            "-",
            "b",
            ",",
            "10",
            "a.m.",
            "x",
            ":)",
            "end",
            "...",
            "of",
        ]
    ]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=4))
def test_hard_pieces_in_any_order_are_cut_as_spacy_does(texts: list[str]) -> None:
    _agrees(texts)
