"""The words of whole texts, with special cases of spaCy's English that affixes had hidden cut as such.

spaCy looks for special cases once more when a text is cut, so that "x:)" has ":)" in it. Longer ones come first, then
earlier ones; one is left out if its first or its last word was in any looked at before, taken or not. One that goes on
behind a blank, as in "x:) )", stays as it is, but keeps others from its words.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
from filters.kernels.buffers import TextBuffers
from filters.kernels.words import Words
from filters.kernels.words_spacy import (
    SpacyTables,
    cut_document,
    is_pair,
    pair_key,
    put_facts,
    put_special,
    tokens_key,
)
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


def cut_words(text: TextBuffers, tables: SpacyTables) -> Words:
    """The words of each text. Up to one a byte, 29 bytes of memory each."""
    # Pages that stay unused are never touched, so cost nothing.
    capacity = int(text.offsets[-1] - text.offsets[0]) + 1
    longest = int(np.diff(text.offsets).max(initial=0)) + 1
    spans, *facts = out = _room(capacity)
    offsets = np.zeros(text.num_documents + 1, np.int64)
    known = (tables.classes, tables.strings, tables.pairs)
    hidden = (tables.links, tables.patterns, tables.max_pattern_tokens, tables.strings)
    found, recuts = np.empty((2, longest), np.uint64)
    suspects, places = np.empty((2, longest), np.int64)
    scratch = (suspects, (found, np.empty(longest, np.bool_), recuts), places, _room(longest))
    words = (out, (spans[0], spans[1], facts[0]), offsets)
    _cut_words(text.data, text.offsets, (known, hidden), words, scratch)
    used = slice(0, int(offsets[-1]))
    return Words(text.data, spans[0, used], spans[1, used], offsets, *(values[used] for values in facts))


def _room(capacity: int) -> tuple[npt.NDArray[Any], ...]:
    """Arrays for so many words: spans, hashes, num_chars, has_letter."""
    kinds = (np.uint64, np.int32, np.bool_)
    return np.empty((2, capacity), np.int64), *(np.empty(capacity, kind) for kind in kinds)


@bare_kernel
def _cut_words(data: Any, text_offsets: Any, tables: Any, words: Any, scratch: Any) -> None:
    """Cut text by text, so that the few words that are cut again are still in the cache."""
    known, hidden = tables
    out, seen_as, offsets = words
    suspects, choice, places, old = scratch
    word = 0
    for document in range(len(text_offsets) - 1):
        first = word
        span = (text_offsets[document], text_offsets[document + 1])
        word, num_suspects = cut_document(data, span, known, out, first, suspects)
        if num_suspects > 0:
            found = (suspects, num_suspects, choice, places)
            num_places = _find_recuts(data, seen_as, (first, word), hidden, found)
            if num_places > 0:
                word = _recut(data, (out, first, word), known[0], (places, num_places, choice[2]), old)
        offsets[document + 1] = word


@bare_kernel
def _find_recuts(data: Any, words: Any, document: Any, tables: Any, scratch: Any) -> Any:
    """Write the first words of special cases of a document to `places`, ascending; returns how many.

    The cuts and the number of words of each are in `recuts`, at the word counted from the document's first.
    """
    suspects, num_suspects, choice, places = scratch
    first_word = document[0]
    num_places = 0
    done = first_word
    for number in range(num_suspects):
        if suspects[number] < done:
            continue
        first, done = _linked(data, words, suspects[number], document, tables[0])
        sizes = _match(data, words, (first, done), tables, (choice[0], first_word))
        if sizes != _NONE:
            num_places = _choose(
                data, words, (first, done), (sizes, tables[3]), (choice, first_word, places, num_places)
            )
    return num_places


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
def _match(data: Any, words: Any, span: Any, tables: Any, out: Any) -> Any:
    """Set bit n of a word's `found` where a pattern of n words begins; returns the bits of all."""
    found, first_word = out
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
        found[start - first_word] = bits
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
    """Fill recuts of the words of a span, and their places; returns how many places there are now."""
    starts, ends, _ = words
    sizes, strings = wanted
    (found, seen, recuts), first_word, places, num_places = out
    for word in range(span[0] - first_word, span[1] - first_word):
        seen[word] = False
        recuts[word] = _NONE
    for size in range(63, 1, -1):
        if (sizes >> np.uint64(size)) & _ONE == _NONE:
            continue
        for start in range(span[0], span[1]):
            if (found[start - first_word] >> np.uint64(size)) & _ONE == _NONE:
                continue
            end = start + size
            is_free = not seen[start - first_word] and not seen[end - 1 - first_word]
            if is_free and _is_unbroken(starts, ends, start, end):
                cuts = find_string(data, starts[start], ends[end - 1], strings, SPECIAL)
                recuts[start - first_word] = cuts | np.uint64(size) << _NUM_WORDS
            for word in range(start - first_word, end - first_word):
                seen[word] = True
    for word in range(span[0], span[1]):
        if recuts[word - first_word] != _NONE:
            places[num_places] = word
            num_places += 1
    return num_places


@bare_kernel
def _is_unbroken(starts: Any, ends: Any, first: Any, end: Any) -> Any:
    """Whether no blank is between the words."""
    unbroken = True
    for word in range(first + 1, end):
        unbroken &= starts[word] == ends[word - 1]
    return unbroken


@bare_kernel
def _recut(data: Any, words: Any, classes: Any, recuts: Any, old: Any) -> Any:
    """Write the words of a document again from its first special case on; returns the number after the last."""
    out, first_word, end = words
    places, num_places, cuts = recuts
    first = places[0]
    for word in range(first, end):
        _copy(out, word, old, word - first)
    put = word = first
    place = 0
    while word < end:
        if place == num_places or places[place] != word:
            _copy(old, word - first, out, put)
            put += 1
            word += 1
            continue
        cut = cuts[word - first_word]
        after = word + np.int64(cut >> _NUM_WORDS)
        before = put
        put = put_special(out[0], put, old[0][0, word - first], old[0][1, after - 1 - first], cut)
        for number in range(before, put):
            put_facts(data, out, number, classes)
        word = after
        place += 1
    return put


@bare_kernel
def _copy(here: Any, word: Any, there: Any, place: Any) -> None:
    """Copy one word."""
    spans, hashes, num_chars, has_letter = here
    new_spans, new_hashes, new_chars, new_letter = there
    new_spans[0, place], new_spans[1, place], new_hashes[place] = spans[0, word], spans[1, word], hashes[word]
    new_chars[place], new_letter[place] = num_chars[word], has_letter[word]
