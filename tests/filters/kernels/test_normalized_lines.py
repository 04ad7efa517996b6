import itertools
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.lines import find_lines
from filters.kernels.normalized_lines import line_keys, normalization_table
from tests.edge_cases import EDGE_TEXTS
from tests.reference.normalized_lines import key, normalized
from tests.words import buffers


def found_keys(text: TextBuffers) -> list[tuple[int, int]]:
    """Key and length of each line of all documents."""
    lines = find_lines(text)
    keys, num_chars = line_keys(text.data, lines.starts, lines.ends)
    return list(zip(keys.tolist(), num_chars.tolist(), strict=True))


def expected_keys(texts: list[str]) -> list[tuple[int, int]]:
    left = [normalized(line) for text in texts for line in text.split("\n")]
    return [(key(line), len(line)) for line in left]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Call (0)30/12-34!", "call0000000"),
        ("  call 99 30 567\t", "call0000000"),
        ("ÄÖÜ — „Straße“ №", "äöüstraße"),
        ("١٢ 三十 Ⅻ ½", "00三十Ⅻ½"),
        ("İstanbul", "İstanbul"),  # its lower case is two code points
        ("a\u200b\u00adb\x85\u3000c", "abc"),
        ("€5 + $7 = ©", "00"),
        ("😀 𝔘x", "😀𝔘x"),
        ("﹏ — • …", ""),
    ],
)
def test_lines_are_normalized_as_the_table_says(line: str, expected: str) -> None:
    assert normalized(line) == expected
    assert found_keys(buffers([line])) == [(key(expected), len(expected))]


def test_every_code_point_of_the_basic_plane_is_as_in_the_twin() -> None:
    assert unicodedata.ucd_3_2_0.unidata_version == "3.2.0"
    points = [chr(code) for code in range(1 << 16) if not 0xD800 <= code < 0xE000]
    expected = [normalized(character) for character in points]
    table = normalization_table()
    assert [chr(table[ord(character)]) if table[ord(character)] else "" for character in points] == expected
    assert len(set(expected)) > 50_000


def test_edge_texts_agree_with_the_twin() -> None:
    texts = [text[:20_000] for text in EDGE_TEXTS]
    assert found_keys(buffers(texts)) == expected_keys(texts)
    assert found_keys(buffers([])) == []


def test_a_slice_two_chunks_and_writable_buffers_give_the_same_keys() -> None:
    column = pa.array(["before", "Öne\ntwo 2", "", "😀 three", "after"], pa.large_string())
    expected = expected_keys(["Öne\ntwo 2", "", "😀 three"])
    text = text_buffers(column.slice(1, 3))
    assert found_keys(text) == expected
    assert found_keys(text_buffers(pa.chunked_array([column.slice(1, 2), column.slice(3, 1)]))) == expected
    assert found_keys(TextBuffers(text.data.copy(), text.offsets.copy())) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_keys_of_any_lines_are_those_of_the_twin(texts: list[str]) -> None:
    assert found_keys(buffers(texts)) == expected_keys(texts)


def test_a_span_may_hold_line_feeds_and_is_read_no_further() -> None:
    text = buffers(["one\n two\nthree"])
    keys, num_chars = line_keys(text.data, np.array([0, 4]), np.array([8, 8]))
    assert keys.tolist() == [key("onetwo"), key("two")]
    assert num_chars.tolist() == [6, 3]


def test_keys_of_a_million_lines_are_different_in_all_their_bits() -> None:
    texts = ["".join(letters) for letters in itertools.product("abcdefghij", repeat=6)]
    text = buffers(["\n".join(texts)])
    lines = find_lines(text)
    keys, _ = line_keys(text.data, lines.starts, lines.ends)
    assert len(np.unique(keys)) == len(texts) == 1_000_000
    # About 2**40 / 2**33 = 116 pairs share either half by chance.
    assert abs(1_000_000 - len(np.unique(keys >> np.uint64(32))) - 116) < 60
    assert abs(1_000_000 - len(np.unique(keys.astype(np.uint32))) - 116) < 60
