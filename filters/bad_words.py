"""A list of words that must not stand in a line, matched as C4's reference code matches them."""

import functools

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from ahocorasick_rs import AhoCorasick

from filters.named_files import read_entries
from manifests import shards

_SMALL_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
# What cannot stand beside a word: a small letter, which goes on with it, and a line's end, where nothing stands.
_NO_NEIGHBOUR = _SMALL_LETTERS | {"\n", ""}


def count_bad_words(text: pa.Array, path: str) -> npt.NDArray[np.float64]:
    """Entries of the list found in each text (large_string): float64 (num_documents,), 0 or more.

    The text is lower-cased. An entry counts where a character that is no small ASCII letter stands on either side of
    it in its line, so not at the line's beginning or end: the reference searches lines for `[^a-z](entry)[^a-z]`.
    Entries are plain text, in any letter case. Raises InputError and RecipeError as read_entries does.
    """
    matcher = read_bad_words(path)
    return np.array([_count(matcher, text_of.lower()) for text_of in text.to_pylist()], np.float64)


def read_bad_words(path: str) -> AhoCorasick:
    """The list, ready for search; read once for each content."""
    return _matcher(path, shards.file_digest(path))


@functools.lru_cache(maxsize=8)
def _matcher(path: str, digest: str) -> AhoCorasick:  # digest: a file that changes is read again
    return AhoCorasick([entry.lower() for entry in read_entries(path)])


def _count(matcher: AhoCorasick, text: str) -> int:
    found = matcher.find_matches_as_indexes(text, overlapping=True)
    return sum(
        start > 0 and text[start - 1] not in _NO_NEIGHBOUR and text[end : end + 1] not in _NO_NEIGHBOUR
        for _, start, end in found
    )
