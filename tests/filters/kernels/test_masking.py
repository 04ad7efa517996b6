"""Plain words and windows equal their slow twin, however the texts lie in memory."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.masking import masked_windows
from filters.kernels.mentions import fold_table
from filters.mentions import build_table
from tests.reference import masking as reference

TERMS = ("elf", "wood elf", "elf's folk", "ogre")
TABLE = build_table(dict.fromkeys(TERMS, 1))


def windows(column, max_words):
    """The words of each window of each document, and the numbers of words."""
    buffers = text_buffers(column)
    out, starts, num_words, first = masked_windows(
        buffers.data, buffers.offsets, fold_table(), TABLE.keys, TABLE.masks, max_words
    )
    whole = out.tobytes()
    found = [whole[starts[i] : starts[i + 1]].decode() for i in range(len(num_words))]
    assert starts[-1] == len(whole)
    assert all(window.endswith(" ") for window in found)
    words = [window.split(" ")[:-1] for window in found]
    assert [len(window) for window in words] == num_words.tolist()
    return [words[first[i] : first[i + 1]] for i in range(len(first) - 1)]


def column(texts):
    return pa.array(texts, pa.large_string())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("x", ["x"]),
        ("Hello, WORLD!", ["hello", "world"]),
        ("An elf met a Wood-Elf; the ogre left.", ["an", "_", "met", "a", "_", "the", "_", "left"]),
        ("elf, ogre, wood elf and elf's folk", ["_", "and", "_"]),
        ("wood, elf", ["wood", "_"]),
        ("elves selfish", ["elves", "selfish"]),
        ("in 1999 3mg of b12 at 10", ["in", "of", "b12", "at"]),
        ("Éß ΣΊΣΥΦΟΣ Ⱥ 𐐀 日本語。", ["éß", "σίσυφοσ", "ⱥ", "𐐨", "日本語"]),
        ("ELF’S FOLK", ["_"]),
    ],
)
def test_words_are_plain_and_terms_are_one_word(text, words):
    assert windows(column([text]), 100) == [[words] if words else []]


def test_windows_have_so_many_words_and_end_with_their_document():
    texts = ["a b c d e", "", "f g", "elf elf h i j"]
    assert windows(column(texts), 2) == [
        [["a", "b"], ["c", "d"], ["e"]],
        [],
        [["f", "g"]],
        [["_", "h"], ["i", "j"]],
    ]


texts = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.lists(
            st.sampled_from(["elf", "Wood", "OGRE", "'s", "folk", "12", "ȺȺ", "é", "-", " ", ",", "\n", "日", "𐐀"]),
            max_size=12,
        ).map("".join),
    ),
    max_size=6,
)


@given(texts, st.integers(1, 4))
def test_windows_equal_the_twin_for_every_layout(texts, max_words):
    expected = [reference.masked_windows(text, TERMS, max_words) for text in texts]
    sliced = column(["elf before", *texts, "after"]).slice(1, len(texts))
    middle = len(texts) // 2
    assert windows(sliced, max_words) == expected
    assert windows(pa.chunked_array([sliced.slice(0, middle), sliced.slice(middle)]), max_words) == expected
    read_only = pa.ipc.open_stream(_stream(sliced)).read_all()["text"]
    assert windows(read_only, max_words) == expected


def _stream(texts):
    sink = pa.BufferOutputStream()
    table = pa.table({"text": texts})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def test_no_documents_have_no_windows():
    buffers = text_buffers(column([]))
    out, starts, num_words, first = masked_windows(
        buffers.data, buffers.offsets, fold_table(), TABLE.keys, TABLE.masks, 5
    )
    assert [len(part) for part in (out, starts, num_words, first)] == [0, 1, 0, 1]
    assert np.array_equal(first, [0])
