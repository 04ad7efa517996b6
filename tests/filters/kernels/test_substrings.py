import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.substrings import repeated_chars
from tests.edge_cases import EDGE_TEXTS
from tests.reference import substrings as slow


def _found(column: pa.Array | pa.ChunkedArray, size: int) -> list[tuple[int, int]]:
    found = repeated_chars(text_buffers(column), size)
    assert found.num_chars.tolist() == [len(text) for text in column.to_pylist()]
    return list(zip(found.repeated.tolist(), found.longest.tolist(), strict=True))


def _texts(texts: list[str], size: int) -> list[tuple[int, int]]:
    return _found(pa.array(texts, pa.large_string()), size)


def test_both_copies_of_a_repeated_run_are_covered() -> None:
    assert _texts(["abcXabcY", "abcXabdY", "abXab"], 3) == [(6, 3), (0, 0), (0, 0)]


def test_longer_repeats_are_covered_whole() -> None:
    assert _texts(["abcdeXabcde"], 3) == [(10, 5)]


def test_copies_may_overlap_and_no_character_counts_twice() -> None:
    assert _texts(["aaaa", "ababa", "aaa"], 3) == [(4, 4), (5, 5), (0, 0)]


def test_runs_are_of_characters_not_bytes() -> None:
    assert _texts(["日本語X日本語", "日本語X日本", "é😀1é😀"], 3) == [(6, 3), (0, 0), (0, 0)]


def test_documents_do_not_share_their_runs() -> None:
    assert _texts(["abc", "abc", "", "abcabc"], 3) == [(0, 0), (0, 0), (0, 0), (6, 6)]


@pytest.mark.parametrize("size", [1, 2, 20, 100, 500])
def test_edge_texts_agree_with_the_slow_twin_in_any_arrow_layout(size: int) -> None:
    texts = [text[:700] for text in EDGE_TEXTS]
    expected = [slow.repeated_chars(text, size) for text in texts]
    column = pa.array(texts, pa.large_string())
    assert _found(column, size) == expected
    assert _found(pa.array(["before", *texts, "after"], pa.large_string()).slice(1, len(texts)), size) == expected
    assert _found(pa.chunked_array([column[:7], column[7:]]), size) == expected
    assert _found(column[:0], size) == []


@pytest.mark.parametrize("unit", ["a", "ab", "the quick brown fox ", "日本語"])
def test_a_long_line_that_repeats_without_end_takes_no_longer_than_another(unit: str) -> None:
    # 2 MB; comparing each run with all of its copies would take 10**12 steps.
    num_chars = 2_000_000 // len(unit.encode()) * len(unit)
    assert _texts([unit * (num_chars // len(unit))], 100) == [(num_chars, num_chars)]


_LETTERS = st.sampled_from(["a", "b", " ", "é", "日", "😀"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(_LETTERS, max_size=60), max_size=4), st.integers(1, 12))
def test_any_text_agrees_with_the_slow_twin(texts: list[str], size: int) -> None:
    assert _texts(texts, size) == [slow.repeated_chars(text, size) for text in texts]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["one two ", "three", "é\n", "x", "one two three"]), max_size=30), st.integers(5, 40))
def test_repeated_phrases_agree_with_the_slow_twin(parts: list[str], size: int) -> None:
    assert _texts(["".join(parts)], size) == [slow.repeated_chars("".join(parts), size)]
