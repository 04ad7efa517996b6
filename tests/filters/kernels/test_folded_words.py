import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.folded_words import find_folded_words
from tests.edge_cases import EDGE_TEXTS
from tests.reference import folded_words as slow


def _hashes(text: str) -> list[int]:
    return find_folded_words(text_buffers(pa.array([text], pa.large_string()))).hashes.tolist()


def _check(column: pa.Array | pa.ChunkedArray, texts: list[str]) -> None:
    """Places equal the twin's, and words have equal hashes exactly where the twin's words are equal."""
    buffers = text_buffers(column)
    words = find_folded_words(buffers)
    hash_of: dict[str, int] = {}
    for row, text in enumerate(texts):
        expected, num_places = slow.folded_words(text)
        used = slice(words.offsets[row], words.offsets[row + 1])
        start = buffers.offsets[row]
        spans = zip((words.starts[used] - start).tolist(), (words.ends[used] - start).tolist(), strict=True)
        assert list(zip(spans, words.places[used].tolist(), strict=True)) == [
            ((len(text[:first].encode()), len(text[:end].encode())), place) for _, first, end, place in expected
        ]
        assert words.num_places[row] == num_places
        for (word, *_), number in zip(expected, words.hashes[used].tolist(), strict=True):
            assert hash_of.setdefault(word, number) == number
    assert len(set(hash_of.values())) == len(hash_of)


def test_case_punctuation_and_white_space_do_not_count() -> None:
    plain = _hashes("dont stop the 2nd time")
    assert len(plain) == 5
    assert _hashes("Don’t stop -- THE\u00a0(2nd)\n\ttime!") == plain
    assert _hashes("dont stop the second time") != plain


def test_forms_of_one_character_are_equal() -> None:
    assert _hashes("STRASSE ﬁne Ａ² café") == _hashes("straße FINE a2 cafe\u0301")
    assert _hashes("cafe") != _hashes("café")


def test_ideographs_are_words_of_their_own_and_kana_are_not_cut() -> None:
    assert len(_hashes("日本語の文章です")) == 7
    assert _hashes("日本, 語") == _hashes("日本語")


def test_punctuation_between_white_space_has_a_place_but_is_no_word() -> None:
    words = find_folded_words(text_buffers(pa.array(["a | b --"], pa.large_string())))
    assert words.places.tolist() == [0, 2]
    assert words.num_places.tolist() == [4]


def test_edge_texts_agree_with_the_slow_twin_in_any_arrow_layout() -> None:
    texts = [text[:3000] for text in EDGE_TEXTS]
    column = pa.array(texts, pa.large_string())
    _check(column, texts)
    _check(pa.array(["before", *texts, "after"], pa.large_string()).slice(1, len(texts)), texts)
    _check(pa.chunked_array([column[:7], column[7:]]), texts)
    _check(pa.array([], pa.large_string()), [])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(" ab.日'")), max_size=20)))
def test_any_text_agrees_with_the_slow_twin(texts: list[str]) -> None:
    _check(pa.array(texts, pa.large_string()), texts)
