"""Whether texts have a letter, against str.isalpha."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.letters import have_letters
from tests.edge_cases import EDGE_TEXTS


def found(texts):
    return have_letters(text_buffers(pa.array(texts, pa.large_string()))).tolist()


def expected(texts):
    return [any(map(str.isalpha, text)) for text in texts]


def test_letters_of_any_script_count_and_digits_marks_and_symbols_do_not():
    assert found(["", "a", "12 +", "😀", "字", "é", "\u0301", "Ⅷ", "٣", "__ª"]) == [
        *(False, True, False, False, True, True, False, False, False, True)
    ]


def test_slices_and_chunks_give_the_same():
    texts = pa.array(["x", *EDGE_TEXTS, "y"], pa.large_string())
    column = pa.chunked_array([texts.slice(1, 3), texts.slice(4, len(EDGE_TEXTS) - 3)])
    assert have_letters(text_buffers(texts.slice(1, len(EDGE_TEXTS)))).tolist() == expected(EDGE_TEXTS)
    assert have_letters(text_buffers(column)).tolist() == expected(EDGE_TEXTS)
    assert found([]) == []


@given(st.lists(st.text(max_size=6)))
def test_any_texts_agree_with_python(texts):
    assert found(texts) == expected(texts)
