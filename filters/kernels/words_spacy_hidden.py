"""Special cases of spaCy's English that affixes had hidden: found among finished words, and cut as special cases.

spaCy looks for special cases once more when a text is cut, so that "x:)" has ":)" in it. Longer ones come first, then
earlier ones; one is left out if its first or its last word was in any looked at before, taken or not. One that goes on
behind a blank, as in "x:) )", stays as it is, but keeps others from its words.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
from filters.kernels.bits import hash_bytes
from filters.kernels.buffers import TextBuffers
from filters.kernels.words import Words
from filters.kernels.words_spacy import SpacyTables, char_facts, is_pair, pair_key, put_special, tokens_key
from filters.kernels.words_spacy_strings import MAX_STRING_BYTES, SPECIAL, find_string

_NONE = np.uint64(0)
_ONE = np.uint64(1)
_BLANK = 0x20
_ROW = 2 + MAX_STRING_BYTES // 8  # uint64 of a pattern: key, where its tokens end, its bytes
_NUM_WORDS = np.uint64(40)  # the bits of a recut from here on; below are those of find_string


def pattern_table(patterns: set[tuple[bytes, ...]]) -> npt.NDArray[np.uint64]:
    """Sequences of tokens, of 2 or more: uint64 (a power of two, _ROW), by open addressing from the key on.

    A row: the key (0 for a free row); bit n where a token ends after n bytes; the tokens' bytes, zero-padded.
    """
    rows = np.zeros((1 << (4 * len(patterns)).bit_length(), _ROW), np.uint64)
    for tokens in sorted(patterns):
        key = tokens_key(tokens)
        row = key % len(rows)
        while rows[row, 0]:
            row = (row + 1) % len(rows)
        ends = np.cumsum([len(token) for token in tokens]).tolist()
        rows[row, :2] = key, sum(1 << end for end in ends)
        rows[row, 2:] = np.frombuffer(b"".join(tokens).ljust(MAX_STRING_BYTES, b"\0"), np.uint64)
    return rows


def with_hidden_cases(text: TextBuffers, words: Words, suspects: npt.NDArray[np.int64], tables: SpacyTables) -> Words:
    """The words with hidden special cases cut as such; suspects: int64, words at which one may begin, ascending."""
    num_words = len(words.starts)
    # Only the pages of words beside suspects are touched.
    found, recuts = np.zeros((2, num_words), np.uint64)
    seen = np.zeros(num_words, np.bool_)
    old = (words.starts, words.ends, words.hashes, words.num_chars, words.has_letter)
    known = (tables.links, tables.patterns, tables.max_pattern_tokens, tables.strings)
    num_more = _find_recuts(text.data, (words.offsets, suspects), old[:3], known, (found, seen, recuts))
    if not recuts.any():
        return words
    spans = np.empty((2, num_words + num_more), np.int64)
    hashes, num_chars, has_letter = (np.empty(num_words + num_more, array.dtype) for array in old[2:])
    offsets = np.zeros_like(words.offsets)
    new = (offsets, hashes, num_chars, has_letter)
    _recut(text.data, (words.offsets, *old), (recuts, tables.classes), spans, new)
    facts = {"hashes": hashes, "num_chars": num_chars, "has_letter": has_letter}
    return replace(words, starts=spans[0], ends=spans[1], offsets=offsets, **facts)


@bare_kernel
def _find_recuts(data: Any, marks: Any, words: Any, tables: Any, out: Any) -> Any:
    """Fill recuts, at the first word of each special case: its cuts and number of words; returns how many come more."""
    offsets, suspects = marks
    num_more = 0
    document = done = 0
    for suspect in suspects:
        if suspect < done:
            continue
        while offsets[document + 1] <= suspect:
            document += 1
        first, done = _linked(data, words, suspect, (offsets[document], offsets[document + 1]), tables[0])
        sizes = _match(data, words, (first, done), tables, out[0])
        if sizes != _NONE:
            num_more += _choose(data, words, (first, done), (sizes, tables[3]), out)
    return num_more


@bare_kernel
def _linked(data: Any, words: Any, word: Any, document: Any, links: Any) -> Any:
    """The words around one, first and end, that follow each other in some pattern, so that patterns may overlap."""
    first, end = word, word + 1
    while first > document[0] and _is_link(data, words, first, links):
        first -= 1
    while end < document[1] and _is_link(data, words, end, links):
        end += 1
    return first, end


@bare_kernel
def _is_link(data: Any, words: Any, word: Any, links: Any) -> Any:
    """Whether the word and the one before it follow each other in some pattern, with at most one blank between."""
    starts, ends, hashes = words
    gap = starts[word] - ends[word - 1]
    if gap > 1 or (gap == 1 and data[ends[word - 1]] != _BLANK):
        return False
    return is_pair(links, hashes[word - 1], hashes[word])


@bare_kernel
def _match(data: Any, words: Any, span: Any, tables: Any, found: Any) -> Any:
    """Set bit n of a word's `found` where a pattern of n words begins; returns the bits of all."""
    _, patterns, most, _ = tables
    hashes = words[2]
    first, limit = span
    sizes = _NONE
    for start in range(first, limit):
        key = hashes[start]
        bits = _NONE
        for end in range(start + 2, min(limit, start + most) + 1):
            key = pair_key(key, hashes[end - 1])
            if _is_pattern(data, words, (start, end), key, patterns):
                bits |= _ONE << np.uint64(end - start)
        found[start] = bits
        sizes |= bits
    return sizes


@bare_kernel
def _is_pattern(data: Any, words: Any, span: Any, key: Any, patterns: Any) -> Any:
    """Whether words, with this key, are the tokens of a pattern, byte for byte."""
    row = np.int64(key & np.uint64(len(patterns) - 1))
    while patterns[row, 0] != _NONE:
        if patterns[row, 0] == key and _has_tokens(data, words, span, patterns, row):
            return True
        row = (row + 1) & (len(patterns) - 1)
    return False


@bare_kernel
def _has_tokens(data: Any, words: Any, span: Any, patterns: Any, row: Any) -> Any:
    starts, ends, _ = words
    size = 0
    cuts = _NONE
    for word in range(span[0], span[1]):
        for byte in range(starts[word], ends[word]):
            if size == MAX_STRING_BYTES:
                return False
            wanted = patterns[row, 2 + size // 8] >> np.uint64(size % 8 * 8)
            if np.uint64(data[byte]) != wanted & np.uint64(0xFF):
                return False
            size += 1
        cuts |= _ONE << np.uint64(size)
    return cuts == patterns[row, 1]


@bare_kernel
def _choose(data: Any, words: Any, span: Any, wanted: Any, out: Any) -> Any:
    """Fill recuts of the words of a span; returns how many words more these make."""
    starts, ends, _ = words
    sizes, strings = wanted
    found, seen, recuts = out
    num_more = 0
    for size in range(63, 1, -1):
        if (sizes >> np.uint64(size)) & _ONE == _NONE:
            continue
        for start in range(span[0], span[1]):
            if (found[start] >> np.uint64(size)) & _ONE == _NONE:
                continue
            end = start + size
            if not seen[start] and not seen[end - 1] and _is_unbroken(starts, ends, start, end):
                cuts = find_string(data, starts[start], ends[end - 1], strings, SPECIAL)
                recuts[start] = cuts | np.uint64(size) << _NUM_WORDS
                num_more += _num_cuts(cuts) - size
            for word in range(start, end):
                seen[word] = True
    return num_more


@bare_kernel
def _is_unbroken(starts: Any, ends: Any, first: Any, end: Any) -> Any:
    """Whether no blank is between the words."""
    unbroken = True
    for word in range(first + 1, end):
        unbroken &= starts[word] == ends[word - 1]
    return unbroken


@bare_kernel
def _num_cuts(cuts: Any) -> Any:
    """Tokens of a special case: bits but the lowest."""
    number = 0
    cuts >>= _ONE
    while cuts != _NONE:
        cuts &= cuts - _ONE
        number += 1
    return number


@bare_kernel
def _recut(data: Any, old: Any, tables: Any, spans: Any, new: Any) -> None:
    """Copy words, those of each recut cut anew."""
    recuts, classes = tables
    old_offsets, starts, ends, hashes, num_chars, has_letter = old
    offsets, new_hashes, new_chars, new_letter = new
    put = 0
    for document in range(len(offsets) - 1):
        word = old_offsets[document]
        while word < old_offsets[document + 1]:
            if recuts[word] == _NONE:
                spans[0, put], spans[1, put], new_hashes[put] = starts[word], ends[word], hashes[word]
                new_chars[put], new_letter[put] = num_chars[word], has_letter[word]
                put += 1
                word += 1
                continue
            after = word + np.int64(recuts[word] >> _NUM_WORDS)
            first = put
            put = put_special(spans, put, starts[word], ends[after - 1], recuts[word])
            for index in range(first, put):
                start, end = spans[0, index], spans[1, index]
                new_hashes[index] = hash_bytes(data, start, end)
                new_chars[index], new_letter[index] = char_facts(data, start, end, classes)
            word = after
        offsets[document + 1] = put
