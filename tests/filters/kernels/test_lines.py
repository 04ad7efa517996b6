import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.lines import find_lines
from tests.edge_cases import EDGE_TEXTS
from tests.reference import lines as slow


def _buffers(texts: list[str]) -> TextBuffers:
    return text_buffers(pa.array(texts, pa.large_string()))


def _found(text: TextBuffers) -> list[list[tuple[str, int, str, int]]]:
    """For each document its lines: whole, code points, content, code points of the content."""
    lines = find_lines(text)

    def cut(start: int, end: int) -> str:
        return bytes(text.data[start:end]).decode()

    rows = [
        (
            cut(lines.starts[line], lines.ends[line]),
            int(lines.num_chars[line]),
            cut(lines.content_starts[line], lines.content_ends[line]),
            int(lines.content_chars[line]),
        )
        for line in range(len(lines.starts))
    ]
    return [rows[lines.offsets[row] : lines.offsets[row + 1]] for row in range(text.num_documents)]


def _expected(texts: list[str]) -> list[list[tuple[str, int, str, int]]]:
    return [[(line, len(line), line.strip(), len(line.strip())) for line in slow.lines(text)] for text in texts]


def test_a_document_has_one_line_more_than_line_feeds() -> None:
    lines = find_lines(_buffers(["", "one", "one\ntwo\n"]))
    assert lines.offsets.tolist() == [0, 1, 2, 5]
    assert lines.num_line_ends.tolist() == [0, 0, 2]


def test_blank_lines_have_no_content() -> None:
    assert find_lines(_buffers(["a\n\u3000 \n\nb\r"])).has_content.tolist() == [True, False, False, True]


def test_zero_documents_have_zero_lines() -> None:
    assert find_lines(_buffers([])).offsets.tolist() == [0]


def test_equal_contents_share_a_hash_and_equal_lines_share_both() -> None:
    lines = find_lines(_buffers(["a longer line\n a longer line\na longer line"]))
    assert len(set(lines.content_hashes.tolist())) == 1
    assert lines.hashes[0] == lines.hashes[2] != lines.hashes[1]


def test_edge_texts_agree_with_the_slow_twin() -> None:
    assert _found(_buffers(list(EDGE_TEXTS))) == _expected(list(EDGE_TEXTS))


def test_a_slice_and_two_chunks_see_their_own_documents_only() -> None:
    column = pa.array(["before\nit", "öne\n two", "", "three\n", "after\n"], pa.large_string())
    expected = _expected(["öne\n two", "", "three\n"])
    assert _found(text_buffers(column.slice(1, 3))) == expected
    assert _found(text_buffers(pa.chunked_array([column.slice(1, 2), column.slice(3, 1)]))) == expected


def test_writable_and_read_only_buffers_give_the_same_lines() -> None:
    text = _buffers(["a\nhéllo \n wörld", "\n"])
    assert not text.data.flags.writeable
    assert _found(TextBuffers(text.data.copy(), text.offsets.copy())) == _found(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab. \n\t\xa0\u2003é語😀\r"), max_size=60), max_size=4))
def test_lines_agree_with_the_slow_twin(texts: list[str]) -> None:
    assert _found(_buffers(texts)) == _expected(texts)
