import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.words import Words, find_words
from tests.edge_cases import EDGE_TEXTS
from tests.reference import words as slow

Found = list[list[tuple[str, int, bool]]]


def _found(text: TextBuffers) -> Found:
    words = find_words(text)
    return [_of_document(text, words, row) for row in range(text.num_documents)]


def _of_document(text: TextBuffers, words: Words, row: int) -> list[tuple[str, int, bool]]:
    span = range(words.offsets[row], words.offsets[row + 1])
    return [
        (
            bytes(text.data[words.starts[word] : words.ends[word]]).decode(),
            int(words.num_chars[word]),
            bool(words.has_letter[word]),
        )
        for word in span
    ]


def _expected(texts: list[str]) -> Found:
    return [[(word, len(word), slow.has_letter(word)) for word in slow.words(text)] for text in texts]


def _buffers(texts: list[str]) -> TextBuffers:
    return text_buffers(pa.array(texts, pa.large_string()))


def test_words_are_cut_at_unicode_white_space() -> None:
    assert _found(_buffers(["a\u00a0b\u3000c\u2003d\x85e\u2028f"]))[0] == [(c, 1, True) for c in "abcdef"]


def test_lengths_are_code_points_and_letters_are_of_any_script() -> None:
    assert _found(_buffers(["naïve 𐍈𐍈 12 4° —"]))[0] == [
        ("naïve", 5, True),
        ("𐍈𐍈", 2, True),
        ("12", 2, False),
        ("4°", 2, False),
        ("—", 1, False),
    ]


def test_every_code_point_is_space_or_letter_as_python_says() -> None:
    texts = [
        "".join(f"x{chr(number)}y1" for number in range(first, first + 0x1000)) for first in range(0, 0xD000, 0x1000)
    ]
    assert _found(_buffers(texts)) == _expected(texts)


def test_edge_texts_agree_with_the_slow_twin() -> None:
    assert _found(_buffers(list(EDGE_TEXTS))) == _expected(list(EDGE_TEXTS))


def test_zero_documents_have_zero_words() -> None:
    words = find_words(_buffers([]))
    assert (len(words.starts), words.offsets.tolist()) == (0, [0])


def test_a_slice_and_two_chunks_see_their_own_documents_only() -> None:
    column = pa.array(["before it", "wörd one", "", "two words", "after"], pa.large_string())
    expected = _expected(["wörd one", "", "two words"])
    assert _found(text_buffers(column.slice(1, 3))) == expected
    assert _found(text_buffers(pa.chunked_array([column.slice(1, 2), column.slice(3, 1)]))) == expected


def test_writable_and_read_only_buffers_give_the_same_words() -> None:
    text = _buffers(["a héllo wörld", "of words"])
    assert not text.data.flags.writeable
    copied = TextBuffers(text.data.copy(), text.offsets.copy())
    assert _found(copied) == _found(text)


def test_a_word_has_one_hash_wherever_it_lies() -> None:
    # The last one ends with the buffer, where eight bytes can no longer be loaded at once.
    hashes = find_words(_buffers(["word  longer-than-eight\nword", "x longer-than-eight word"])).hashes
    assert hashes[0] == hashes[2] == hashes[5]
    assert hashes[1] == hashes[4]
    assert len(set(hashes.tolist())) == 3


def test_hashes_are_the_documented_ones_on_every_machine() -> None:
    def expected(word: bytes) -> int:
        wrap = (1 << 64) - 1
        state = len(word) * 0x9E3779B97F4A7C15 & wrap
        for start in range(0, len(word), 8):
            state = (state ^ int.from_bytes(word[start : start + 8], "little")) * 0xD6E8FEB86659FD93 & wrap
            state ^= state >> 32
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            state = (state ^ (state >> 33)) * factor & wrap
        return state ^ (state >> 33)

    text = "a to the exactly8 exactly8+ sixteen-bytes-ok seventeen-bytes-x жизнь 😀"
    assert find_words(_buffers([text])).hashes.tolist() == [expected(word.encode()) for word in text.split()]


def test_similar_words_get_unlike_hashes() -> None:
    words = find_words(_buffers([" ".join(f"word{number}" for number in range(20_000))]))
    assert len(np.unique(words.hashes)) == 20_000
    # Each bit is set in about half of the hashes: 10,000 with a standard deviation of 71.
    ones = [int(((words.hashes >> np.uint64(bit)) & np.uint64(1)).sum()) for bit in range(64)]
    assert 9_600 < min(ones) <= max(ones) < 10_400


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab.9 \n\t\xa0\u2003é語😀\x1c\x00"), max_size=60), max_size=4))
def test_words_agree_with_the_slow_twin(texts: list[str]) -> None:
    assert _found(_buffers(texts)) == _expected(texts)
