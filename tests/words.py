"""What the tests of the definitions of a word share: texts as buffers, words as strings with their facts."""

import itertools
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.words import Words
from filters.kernels.words import find_words as whitespace_words
from tests.edge_cases import EDGE_TEXTS


def buffers(texts: list[str] | tuple[str, ...]) -> TextBuffers:
    return text_buffers(pa.array(list(texts), pa.large_string()))


def found_words(find_words: Callable[[TextBuffers], Words], text: TextBuffers) -> list[list[str]]:
    """The words of each document."""
    words = find_words(text)
    spans = zip(words.starts.tolist(), words.ends.tolist(), strict=True)
    cut = [words.data[start:end].tobytes().decode() for start, end in spans]
    return [cut[first:last] for first, last in itertools.pairwise(words.offsets.tolist())]


def check_definition(find_words: Callable[[TextBuffers], Words], cut: Callable[[str], list[str]]) -> None:
    """Words of hard batches are those of `cut`; hashes, code points and letters those of such words between blanks."""
    texts = ["before", *(text[:5_000] for text in EDGE_TEXTS), "wörd one", "", "two words", "after"]
    column = pa.array(texts, pa.large_string())
    expected = [cut(text) for text in texts]
    assert found_words(find_words, text_buffers(column)) == expected
    assert found_words(find_words, text_buffers(column.slice(1, len(texts) - 2))) == expected[1:-1]
    chunks = pa.chunked_array([column.slice(1, 2), column.slice(3)])
    assert found_words(find_words, text_buffers(chunks)) == expected[1:]
    assert found_words(find_words, buffers([])) == []
    text = text_buffers(column)
    copied = TextBuffers(text.data.copy(), text.offsets.copy())
    assert copied.data.flags.writeable
    assert found_words(find_words, copied) == expected
    _check_facts(find_words(text), [word for words in expected for word in words])


def _check_facts(words: Words, expected: list[str]) -> None:
    plain = np.array([word.split() == [word] for word in expected])
    apart = whitespace_words(buffers([word for word in expected if word.split() == [word]]))
    assert len(apart.hashes) > 100
    assert np.array_equal(apart.hashes, words.hashes[plain])
    assert words.num_chars.tolist() == [len(word) for word in expected]
    assert words.has_letter.tolist() == [any(character.isalpha() for character in word) for word in expected]
