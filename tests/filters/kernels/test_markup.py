import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.markup import nesting
from tests.reference.markup import nesting as reference

PIECES = (
    "<div>",
    "</div>",
    "<B a b=1/c>",
    "<p x>",
    "<br/>",
    "</",
    "<",
    ">",
    "<!--",
    "x y",
    "<blockquote\n",
    "é",
    "<h1>",
    " ",
)
PAGES = st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=3)


def _nesting(column: pa.Array | pa.ChunkedArray) -> list[tuple[int, int, int]]:
    buffers = text_buffers(column)
    return [(int(a), int(b), int(c)) for a, b, c in zip(*nesting(buffers.data, buffers.offsets), strict=True)]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("", (0, 0, 0)),
        ("<", (0, 0, 0)),
        ("<div><div></div></div>", (2, 1 + 2 + 1 + 0, 0)),
        ("<p><p><p><br><img>", (0, 0, 0)),
        ("</b></b><i>", (1, 1, 0)),
        ("<DIV a=1 b=2 c>x y z</DIV>", (1, 1, 3)),
        ("a < b > c", (0, 0, 0)),
    ],
)
def test_depths_and_attributes_of_small_pages(html: str, expected: tuple[int, int, int]) -> None:
    assert _nesting(pa.array([html], pa.large_string())) == [expected]
    assert reference(html) == expected


@settings(max_examples=300, deadline=None)
@given(PAGES)
def test_kernel_equals_its_twin(pages: list[str]) -> None:
    assert _nesting(pa.array(pages, pa.large_string())) == [reference(page) for page in pages]


def test_slices_and_chunks_give_the_same() -> None:
    pages = ["<div><p \U0001f600>", "", "<a b>", "<i>"]
    expected = [reference(page) for page in pages]
    array = pa.array(pages, pa.large_string())
    assert _nesting(array.slice(1, 2)) == expected[1:3]
    assert _nesting(array.slice(0, 0)) == []
    assert _nesting(pa.chunked_array([pages[:1], pages[1:]], pa.large_string())) == expected
