"""Hints equal their patterns, for any text and any buffer."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.identifiers import CARD, EMAIL, IBAN, INTERNATIONAL_PHONE, IPV4, IPV6, NATIONAL_PHONE, find_hints
from tests.edge_cases import EDGE_TEXTS
from tests.reference import identifiers as reference


def hints(texts):
    return find_hints(text_buffers(pa.array(texts, pa.large_string()))).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("@", 0),
        ("a@b", EMAIL),
        ("@b", 0),
        ("a @b", 0),
        ("DE89", IBAN),
        ("E89", 0),
        ("4111 1111 1111", CARD | NATIONAL_PHONE),
        ("4111  1111 1111", NATIONAL_PHONE),
        ("1.2.3.4", IPV4),
        ("1.2345.3", 0),
        ("1.2345.6.7.8", IPV4 | NATIONAL_PHONE),
        ("2001:db8::1", IPV6),
        ("10:20:30", 0),
        ("+1", INTERNATIONAL_PHONE),
        ("+ (1", INTERNATIONAL_PHONE),
        ("+ ( 1", 0),
        ("555-2671", NATIONAL_PHONE),
        ("555 - - 2671", 0),
        ("555é2671", NATIONAL_PHONE),
        ("😀@😀", EMAIL),
    ],
)
def test_hints_are_set_by_their_pattern(text, expected):
    assert hints([text]) == [expected] == [reference.hints(text)]


@given(st.lists(st.text(alphabet="0123456789aAfFzZ @+-.:()é😀\n", max_size=40) | st.text(max_size=20), max_size=6))
def test_the_kernel_equals_the_patterns(texts):
    assert hints(texts) == [reference.hints(text) for text in texts]


def test_the_edge_cases_equal_the_patterns():
    assert hints(list(EDGE_TEXTS)) == [reference.hints(text) for text in EDGE_TEXTS]


def test_a_hint_does_not_cross_documents():
    assert hints(["a@", "b", "+", "1", "1.2.3.", "4", "DE8", "9", "555-", "2671"]) == [0] * 10


def test_slices_chunks_and_read_only_buffers_do_not_matter():
    texts = ["a@b", "none", "+49 30 123456", "DE89"]
    expected = [reference.hints(text) for text in texts]
    whole = pa.array(["x@y.z +1", *texts, "1.2.3.4"], pa.large_string())
    assert find_hints(text_buffers(whole.slice(1, 4))).tolist() == expected
    chunks = pa.chunked_array([texts[:2], texts[2:]], pa.large_string())
    assert find_hints(text_buffers(chunks)).tolist() == expected
    buffers = text_buffers(pa.array(texts, pa.large_string()))
    assert not buffers.data.flags.writeable
    writable = type(buffers)(np.array(buffers.data), np.array(buffers.offsets))
    assert find_hints(writable).tolist() == expected
