import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.cut_lines import cut_texts, cuts_of
from filters.kernels.lines import find_lines
from tests.reference.dedup_lines import groups, without
from tests.words import buffers


def cut(text: TextBuffers, removed: list[set[int]], by_paragraph: bool = False) -> list[str]:
    """The texts without some of their lines; counts and spans are checked on the way."""
    lines = find_lines(text)
    marks = np.zeros(len(lines.starts), np.bool_)
    for document, numbers in enumerate(removed):
        marks[lines.offsets[document] + np.array(sorted(numbers), np.int64)] = True
    cuts, gone = cuts_of(text, lines, marks, by_paragraph)
    assert (cuts.starts < cuts.ends).all()
    assert (marks <= gone).all()
    left = cut_texts(text, cuts)
    left.validate(full=True)
    assert (np.diff(text.offsets) - np.diff(text_buffers(left).offsets)).tolist() == cuts.num_bytes.tolist()
    return left.to_pylist()


@pytest.mark.parametrize(
    ("text", "removed", "left"),
    [
        ("a\nb\nc", {1}, "a\nc"),
        ("a\nb\nc", {0}, "b\nc"),
        ("a\nb\nc", {2}, "a\nb"),
        ("a\nb\nc", {0, 1, 2}, ""),
        ("a\n\nb\n\nc", {2}, "a\n\nc"),
        ("a\nb\n\nc", {1}, "a\n\nc"),
        ("a\n\nb\nc", {2}, "a\n\nc"),
        ("a\n\nb", {0}, "b"),
        ("a\n\nb", {2}, "a"),
        ("a\nb\n", {1}, "a\n"),
        ("\n\na\n \nb\n\n", {2, 4}, ""),
        ("ä\n😀\nc", {1}, "ä\nc"),
        ("a\n\n\n\nb", set(), "a\n\n\n\nb"),
    ],
)
def test_lines_go_with_their_line_feed_and_blank_lines_do_not_heap_up(text: str, removed: set[int], left: str) -> None:
    assert cut(buffers([text]), [removed]) == [left]
    assert without(text.split("\n"), removed) == left


def test_a_paragraph_goes_whole() -> None:
    text = "a\nb\n\nc\nd\n \ne"
    assert cut(buffers([text]), [{3}], by_paragraph=True) == ["a\nb\n\ne"]
    assert cut(buffers([text]), [{0}], by_paragraph=True) == ["c\nd\n \ne"]
    assert cut(buffers([text]), [{0, 3, 6}], by_paragraph=True) == [""]


def test_slices_chunks_and_empty_batches_are_cut_alike() -> None:
    column = pa.array(["before\nx", "a\nb", "", "c\nd\ne", "after"], pa.large_string())
    expected = ["b", "", "c\ne"]
    removed: list[set[int]] = [{0}, set(), {1}]
    text = text_buffers(column.slice(1, 3))
    assert cut(text, removed) == expected
    assert cut(text_buffers(pa.chunked_array([column.slice(1, 1), column.slice(2, 2)])), removed) == expected
    assert cut(TextBuffers(text.data.copy(), text.offsets.copy()), removed) == expected
    assert cut(buffers([]), []) == []


TEXTS = st.lists(st.lists(st.sampled_from(["", " ", "a", "bc ", "ß😀", "\t"]), min_size=1, max_size=12), max_size=5)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(["line", "paragraph"]), st.randoms(use_true_random=False))
def test_any_lines_are_cut_as_by_the_twin(documents: list[list[str]], unit: str, dice) -> None:
    chosen = [[group for group in groups(lines, unit) if dice.random() < 0.4] for lines in documents]
    removed = [{group[0] for group in document} for document in chosen]
    whole = [{number for group in document for number in group} for document in chosen]
    expected = [without(lines, numbers) for lines, numbers in zip(documents, whole, strict=True)]
    assert cut(buffers(["\n".join(lines) for lines in documents]), removed, unit == "paragraph") == expected
