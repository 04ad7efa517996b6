"""Training equals its slow twin to the last bit, and hashes equal fastText's."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.fasttext_train import Features, Tokens, train, word_hashes
from tests.reference import fasttext_train as reference


def hashes_of(column):
    buffers = text_buffers(column)
    return word_hashes(buffers.data, buffers.offsets).tolist()


def test_hashes_are_the_published_ones():
    # FNV-1a test vectors for "", "a", "foobar"; as signed numbers.
    expected = [value - 2**32 if value >= 2**31 else value for value in (0x811C9DC5, 0xE40C292C, 0xBF9CF968)]
    assert hashes_of(pa.array(["", "a", "foobar"], pa.large_string())) == expected


@settings(deadline=None)
@given(st.lists(st.text(max_size=5)))
def test_hashes_equal_the_twin_for_every_layout(words):
    expected = [reference.word_hash(word) for word in words]
    whole = pa.array(["before", *words, "after"], pa.large_string())
    sliced = whole.slice(1, len(words))
    middle = len(words) // 2
    assert hashes_of(sliced) == expected
    assert hashes_of(pa.chunked_array([sliced.slice(0, middle), sliced.slice(middle)])) == expected
    assert hashes_of(pa.ipc.open_stream(_stream(sliced)).read_all()["word"]) == expected


def _stream(words):
    sink = pa.BufferOutputStream()
    table = pa.table({"word": words})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def trained(texts, labels, row_of, max_words, passes=2):
    """(kernel's, twin's) rows and weights after training; texts are lists of word numbers, -1 for a rare one."""
    draw = np.random.Generator(np.random.PCG64(5))
    num_words = 6
    hashes = draw.integers(-(2**31), 2**31, num_words + 1)
    rows = draw.uniform(-0.3, 0.3, (max(row_of, default=-1) + 1, 4)).astype(np.float32)
    weights = draw.uniform(-0.3, 0.3, (2, 4)).astype(np.float32)
    words = np.array([word for text in texts for word in text], np.int32)
    tokens = Tokens(
        words,
        hashes[words].astype(np.int32),
        np.cumsum([0, *map(len, texts)]),
        np.array(labels, np.int32),
    )
    found = [
        reference.feature_rows(text, [int(hashes[word]) for word in text], row_of, num_words, max_words)
        for text in texts
    ]
    expected = reference.train(found, labels, rows, weights, passes, 0.7)
    train(tokens, Features(np.array(row_of, np.int32), num_words, max_words), rows, weights, (passes, 0.7))
    return (rows, weights), expected


texts_and_labels = st.lists(
    st.tuples(st.lists(st.integers(-1, 5), max_size=6), st.integers(0, 1)), min_size=1, max_size=5
)


@settings(max_examples=60, deadline=None)
@given(texts_and_labels, st.integers(1, 4))
def test_training_equals_the_twin(pairs, max_words):
    texts, labels = [text for text, _ in pairs], [label for _, label in pairs]
    got, expected = trained(texts, labels, list(range(6 + 5)), max_words)
    assert np.array_equal(got[0], expected[0])
    assert np.array_equal(got[1], expected[1])


def test_features_without_a_row_have_no_say():
    texts, labels = [[0, 1, 2], [3, 4, 5]], [0, 1]
    row_of = [0, -1, 1, 2, -1, -1, *[-1, 3, -1, -1, -1]]
    got, expected = trained(texts, labels, row_of, 2)
    assert np.array_equal(got[0], expected[0])
    assert np.array_equal(got[1], expected[1])


@pytest.mark.parametrize("texts", [[[]], [[], []], [[-1]]])
def test_texts_without_features_change_nothing(texts):
    (rows, weights), _ = trained(texts, [0] * len(texts), list(range(11)), 1, passes=0)
    after, _ = trained(texts, [0] * len(texts), list(range(11)), 1, passes=3)
    assert np.array_equal(rows, after[0])
    assert np.array_equal(weights, after[1])


def test_no_text_at_all_is_no_error():
    (rows, _), expected = trained([], [], list(range(11)), 2)
    assert np.array_equal(rows, expected[0])
