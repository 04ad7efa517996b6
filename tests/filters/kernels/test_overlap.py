from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.folded_words import FoldedWords, find_folded_words
from filters.kernels.overlap import OverlapIndex, build_index, find_overlap
from tests.edge_cases import EDGE_TEXTS
from tests.reference import overlap as slow

NOTHING = (-1, 0.0, 0, 0)


def _words(texts: list[str]) -> FoldedWords:
    return find_folded_words(text_buffers(pa.array(texts, pa.large_string())))


def _index(items: list[str], n: int = 3, min_words: int = 2, max_items: int = 100) -> OverlapIndex:
    return build_index(_words(items), n, min_words, max_items)


def _found(texts: list[str], index: OverlapIndex, min_overlap: float = 0.0) -> list[Any]:
    words = _words(texts)
    found = find_overlap(words, index, min_overlap)
    matched = np.split(found.matched, words.offsets[1:-1]) if texts else []
    columns = (found.item, found.overlap_ratio, found.num_ngrams, found.num_items)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(*row, part.tolist()) for row, part in zip(rows, matched, strict=True)]


def test_the_share_of_an_item_is_that_of_its_words_in_ngrams_found() -> None:
    # n = 3: "a b c", "b c d", "c d e"; the document has the first.
    assert _found(["x a b c y"], _index(["a b c d e"])) == [(0, 0.6, 1, 1, [False, True, True, True, False])]


def test_the_item_of_which_most_is_found_is_named_and_the_first_of_equals() -> None:
    index = _index(["a b c d", "a b c", "c a b c"])
    assert _found(["a b c", "a b c d"], index) == [(1, 1.0, 1, 3, [True] * 3), (0, 1.0, 2, 3, [True] * 4)]
    assert _found(["b c a b c d"], index)[0][:2] == (0, 1.0)


def test_items_of_equal_words_are_one() -> None:
    assert _found(["a b c"], _index(["a b c", "A, b; c!", "a b c ?"])) == [(0, 1.0, 1, 1, [True] * 3)]


def test_a_shorter_item_is_one_ngram_if_it_has_words_enough() -> None:
    index = _index(["yes indeed", "yes"])
    assert _found(["yes indeed", "yes sir", "yes"], index) == [
        (0, 1.0, 1, 1, [True, True]),
        (*NOTHING, [False, False]),
        (*NOTHING, [False]),
    ]


def test_punctuation_between_white_space_counts_for_n_but_is_not_compared() -> None:
    # As written the item has the 3-grams "= a b", "a b |", "b | c": compared are "a b" and "b c".
    index = _index(["= a b | c"])
    assert _found(["a b", "b c", "a c"], index) == [
        (0, 2 / 3, 1, 1, [True, True]),
        (0, 2 / 3, 1, 1, [True, True]),
        (*NOTHING, [False, False]),
    ]


def test_an_ngram_found_twice_counts_once() -> None:
    assert _found(["a b c a b c"], _index(["a b c d"])) == [(0, 0.75, 1, 1, [True] * 6)]


def test_only_items_with_the_overlap_asked_for_are_marked() -> None:
    index = _index(["a b c d e", "x y z"])
    assert _found(["a b c x y z"], index, 0.7) == [(1, 1.0, 2, 2, [False] * 3 + [True] * 3)]
    assert _found(["a b c x y z"], index, 0.6) == [(1, 1.0, 2, 2, [True] * 6)]
    assert _found(["a b c x y z"], index, 2.0) == [(1, 1.0, 2, 2, [False] * 6)]


def test_documents_do_not_share_what_was_found() -> None:
    assert _found(["a b", "c d", "a b c", ""], _index(["a b c"])) == [
        (*NOTHING, [False, False]),
        (*NOTHING, [False, False]),
        (0, 1.0, 1, 1, [True] * 3),
        (*NOTHING, []),
    ]


def test_an_index_of_nothing_finds_nothing() -> None:
    assert _found(["a b c"], _index([])) == [(*NOTHING, [False] * 3)]
    assert _found(["a b c"], _index(["a"])) == [(*NOTHING, [False] * 3)]
    assert _found([], _index(["a b c"])) == []


def test_an_ngram_of_too_many_items_is_no_sign_of_any_and_its_words_do_not_count() -> None:
    # n = 3: "in one word" and "one word name" are held by three items, "word name a" by one, "word name the" by two.
    items = ["In one word: name a sea", "In one word: name the king", "In one word: name the queen"]
    texts = ["in one word name", "word name the sea", "in one word: name a sea"]
    one = [(*NOTHING, [False] * 4), (1, 3 / 4, 1, 2, [True] * 3 + [False]), (0, 1.0, 2, 1, [False] * 2 + [True] * 4)]
    assert _found(texts, _index(items, max_items=2)) == one
    assert _found(texts, _index(items, max_items=3))[0] == (0, 4 / 6, 2, 3, [True] * 4)


def test_an_ngram_that_one_item_repeats_is_held_by_one() -> None:
    index = _index(["a b c a b c a b c"], max_items=1)
    assert _found(["a b c"], index) == [(0, 1.0, 1, 1, [True] * 3)]


def test_an_index_with_nothing_but_ngrams_of_too_many_items_finds_nothing() -> None:
    assert _found(["a b c"], _index(["a b c a b", "b c a b c"], max_items=1)) == [(*NOTHING, [False] * 3)]


def test_an_ngram_that_many_items_share_is_counted_once_in_a_long_document() -> None:
    # Looking at each item again for each copy would take 5000 * 20000 steps.
    index = _index([f"which of these {number}" for number in range(5000)], max_items=5000)
    (found,) = _found(["which of these " * 20_000], index)
    assert found[:4] == (0, 0.75, 1, 5000)


def test_edge_texts_agree_with_the_slow_twin() -> None:
    texts = [text[:60] for text in EDGE_TEXTS]
    items = [text[:40] for text in EDGE_TEXTS]
    index = _index(items)
    assert _found(texts, index) == [slow.overlap(text, items, (3, 2, 100), 0.0) for text in texts]


_TEXTS = st.lists(st.sampled_from(["a", "B", "é", "日", "=", "c,", "\n", "😀x"]), max_size=12).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_TEXTS, max_size=4),
    st.lists(_TEXTS, max_size=5),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(1, 3),
)
def test_any_texts_agree_with_the_slow_twin(
    texts: list[str], items: list[str], n: int, min_words: int, min_overlap: float, max_items: int
) -> None:
    limits = n, min_words, max_items
    index = _index(items, *limits)
    assert _found(texts, index, min_overlap) == [slow.overlap(text, items, limits, min_overlap) for text in texts]
