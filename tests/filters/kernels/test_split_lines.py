import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.split_lines import find_split_lines
from tests.edge_cases import EDGE_TEXTS

LINE_ENDS = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
Line = tuple[str, int, str, int]


def _buffers(texts: list[str]) -> TextBuffers:
    return text_buffers(pa.array(texts, pa.large_string()))


def _found(text: TextBuffers) -> list[list[Line]]:
    """For each document its lines: whole, code points, content, code points of the content."""
    lines = find_split_lines(text)
    rows = [
        (
            bytes(text.data[lines.starts[line] : lines.ends[line]]).decode(),
            int(lines.num_chars[line]),
            bytes(text.data[lines.content_starts[line] : lines.content_ends[line]]).decode(),
            int(lines.content_chars[line]),
        )
        for line in range(len(lines.starts))
    ]
    return [rows[lines.offsets[row] : lines.offsets[row + 1]] for row in range(text.num_documents)]


def _expected(texts: list[str]) -> list[list[Line]]:
    return [[(line, len(line), line.strip(), len(line.strip())) for line in text.splitlines()] for text in texts]


def test_every_line_end_of_unicode_and_ascii_cuts_and_no_other_character_does() -> None:
    texts = ["a" + end + " b " + end for end in LINE_ENDS]
    assert len(texts) == 11
    assert _found(_buffers(texts)) == [[("a", 1, "a", 1), (" b ", 3, "b", 1)]] * 11
    others = ["a" + chr(number) + "b" for number in range(0x3000) if chr(number) not in LINE_ENDS]
    assert [len(lines) for lines in _found(_buffers(others))] == [1] * len(others)


def test_empty_text_has_no_line_and_zero_documents_have_none() -> None:
    assert _found(_buffers(["", "\n", "a\r\r\n"])) == [[], [("", 0, "", 0)], [("a", 1, "a", 1), ("", 0, "", 0)]]
    assert find_split_lines(_buffers([])).offsets.tolist() == [0]


def test_edge_texts_agree_with_python() -> None:
    assert _found(_buffers(list(EDGE_TEXTS))) == _expected(list(EDGE_TEXTS))


def test_a_slice_two_chunks_and_writable_buffers_give_the_same_lines() -> None:
    column = pa.array(["before\r", "öne\x85two", "", "😀\u2028three\n", "\nafter"], pa.large_string())
    expected = _expected(["öne\x85two", "", "😀\u2028three\n"])
    text = text_buffers(column.slice(1, 3))
    assert _found(text) == expected
    assert _found(text_buffers(pa.chunked_array([column.slice(1, 2), column.slice(3, 1)]))) == expected
    assert _found(TextBuffers(text.data.copy(), text.offsets.copy())) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("abc \t\n\r\v\f\x1c\x1d\x1e\x1f\x84\x85é\u2027\u2028\u2029語😀"), max_size=40)))
def test_lines_agree_with_python_on_any_text(texts: list[str]) -> None:
    assert _found(_buffers(texts)) == _expected(texts)
