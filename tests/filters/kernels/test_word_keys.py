import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.word_keys import word_keys
from filters.kernels.words import find_words
from tests.filters.kernels.test_minhash import TEXTS
from tests.reference import minhash as reference


def keys(column: pa.Array | pa.ChunkedArray) -> list[tuple[int, int]]:
    text = text_buffers(column)
    found, num_words = word_keys(text, find_words(text))
    assert num_words.tolist() == [len(reference.folded_words(each)) for each in column.to_pylist()]
    return [(high, low) for high, low in found.tolist()]


def test_keys_equal_the_reference() -> None:
    assert keys(pa.array(TEXTS, pa.large_string())) == [reference.word_key(text) for text in TEXTS]


def test_case_punctuation_and_space_make_no_difference_and_words_do() -> None:
    texts = ["One two, three!", "one\n TWO three", "one two three", "one two thre e", "three two one", "onetwo three"]
    found = keys(pa.array(texts, pa.large_string()))
    assert found[0] == found[1] == found[2]
    assert len({*found}) == 4


def test_zero_rows_slices_and_chunks() -> None:
    assert keys(pa.array([], pa.large_string())) == []
    whole = pa.array(TEXTS, pa.large_string())
    expected = keys(whole)
    assert keys(whole.slice(2, 5)) == expected[2:7]
    assert keys(pa.chunked_array([whole.slice(0, 4), whole.slice(4)])) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_texts_have_the_keys_of_the_reference(texts: list[str]) -> None:
    assert keys(pa.array(texts, pa.large_string())) == [reference.word_key(text) for text in texts]
