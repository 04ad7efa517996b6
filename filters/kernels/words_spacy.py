"""English words as spaCy's rule-based tokenizer cuts them, in one pass over the bytes.

A chunk (what lies between white space) loses prefixes and suffixes until nothing more comes off; what is left is a
special case, an address, or is cut at infixes. Here is the order in which that happens and the shapes that are longer
than one code point; which code points belong where is in tables that `filters.spacy_words` takes from spaCy.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
from filters.kernels.bits import HIGH_BITS, hash_bytes, hash_up_to_16, low_bytes, mix
from filters.kernels.unicode import LETTER, code_point, width
from filters.kernels.words import ascii_letters, scan_word, short_word, skip_space
from filters.kernels.words_spacy_affixes import DECIMAL, LOWER, WORD, infix_size, prefix_size, suffix_size
from filters.kernels.words_spacy_strings import SPECIAL, find_string, may_have, string_hash
from filters.kernels.words_spacy_url import is_url

_PAIR_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_NONE = np.uint64(0)
_ONE = np.uint64(1)


@dataclass(frozen=True)
class SpacyTables:
    """All that the kernel knows of English.

    classes: uint16 (0x110000,), the bits of affixes. strings: special cases and units, see string_table.
    patterns: the tokens that affixes and infixes leave of special cases, see filters.kernels.words_spacy_hidden, and
    max_pattern_tokens, the most of one; links, pairs: two tokens in a row in any pattern, and those that begin one that
    is cut otherwise as a special case, see pair_table.
    """

    classes: npt.NDArray[np.uint16]
    strings: npt.NDArray[np.uint64]
    patterns: npt.NDArray[np.uint64]
    max_pattern_tokens: int
    links: npt.NDArray[np.uint64]
    pairs: npt.NDArray[np.uint64]


def pair_table(pairs: set[tuple[bytes, ...]]) -> npt.NDArray[np.uint64]:
    """Keys of pairs of tokens: uint64 (a power of two,), open addressing, 0 for free."""
    slots = np.zeros(1 << (4 * len(pairs)).bit_length(), np.uint64)
    for pair in sorted(pairs):
        key = tokens_key(pair)
        slot = key % len(slots)
        while slots[slot]:
            slot = (slot + 1) % len(slots)
        slots[slot] = key
    return slots


def tokens_key(tokens: tuple[bytes, ...]) -> int:
    """One number for two or more tokens in a row."""
    key = string_hash(tokens[0])
    for token in tokens[1:]:
        key = int(pair_key(np.uint64(key), np.uint64(string_hash(token))))
    return key


@bare_kernel
def cut_document(data: Any, span: Any, tables: Any, out: Any, word: Any, suspects: Any) -> Any:
    """Write the words of a text, but for special cases that affixes have hidden, from number `word` on.

    suspects: gets the words at which such a case may begin. Returns the number after the last word, and of suspects.
    """
    classes, strings, pairs = tables
    spans, hashes, num_chars, has_letter = out
    num_suspects = 0
    limit = span[1]
    position = skip_space(data, span[0], limit, classes)
    while position < limit:
        first_word = word
        size, first_8, next_8 = short_word(data, position, limit)
        number = hash_up_to_16(first_8, next_8, size)
        if size > 0 and _is_plain(first_8, next_8, size, number, strings):
            spans[0, word] = position
            position += size
            spans[1, word] = position
            hashes[word] = number
            num_chars[word] = size
            has_letter[word] = True
            word += 1
        else:
            end = position + size if size > 0 else scan_word(data, position, limit, classes)[0]
            word = _cut_chunk(data, (position, end), classes, strings, spans, word)
            for index in range(first_word, word):
                put_facts(data, out, index, classes)
                if index > first_word and is_pair(pairs, hashes[index - 1], hashes[index]):
                    suspects[num_suspects] = index - 1
                    num_suspects += 1
            position = end
        position = skip_space(data, position, limit, classes)
    return word, num_suspects


@bare_kernel
def put_facts(data: Any, out: Any, word: Any, classes: Any) -> None:
    """Fill all that is known of a word whose span is written."""
    spans, hashes, num_chars, has_letter = out
    start, end = spans[0, word], spans[1, word]
    hashes[word] = hash_bytes(data, start, end)
    num_chars[word], has_letter[word] = char_facts(data, start, end, classes)


@bare_kernel
def _is_plain(first_8: Any, next_8: Any, size: int, number: Any, strings: Any) -> Any:
    """Whether 1 to 15 ASCII bytes, zero-padded and with their hash, are letters and surely no special case."""
    return (
        ascii_letters(first_8) == HIGH_BITS & low_bytes(min(size, 8))
        and ascii_letters(next_8) == HIGH_BITS & low_bytes(max(size - 8, 0))
        and not may_have(strings, number)
    )


@bare_kernel
def pair_key(first: Any, second: Any) -> Any:
    """A number for two tokens in a row by hash, or for some by key and the next: uint64, not 0, wraps modulo 2**64."""
    return mix(first ^ (second * _PAIR_FACTOR)) | _ONE


@bare_kernel
def is_pair(pairs: Any, first: Any, second: Any) -> Any:
    """Whether the pair is in the set. One that only shares a key is taken for one that is, which costs a look."""
    key = pair_key(first, second)
    mask = np.uint64(len(pairs) - 1)
    slot = key & mask
    while pairs[slot] != _NONE:
        if pairs[slot] == key:
            return True
        slot = (slot + _ONE) & mask
    return False


@bare_kernel
def char_facts(data: Any, start: int, end: int, classes: Any) -> Any:
    """Code points of data[start:end], and whether any is a letter."""
    chars = 0
    letter = False
    position = start
    while position < end:
        letter |= (classes[code_point(data, position, end)] & LETTER) != 0
        position += width(data[position])
        chars += 1
    return chars, letter


@bare_kernel
def _put(spans: Any, word: int, start: int, end: int) -> Any:
    spans[0, word] = start
    spans[1, word] = end
    return word + 1


@bare_kernel
def _cut_chunk(data: Any, span: Any, classes: Any, strings: Any, spans: Any, word: int) -> Any:
    """Write the words of one chunk from `word` on; the number of the next one.

    Suffixes are found from the outside in and written from the inside out. Their starts wait at the far end of
    spans, which has room for a word each byte.
    """
    capacity = spans.shape[1]
    waiting = capacity
    first, last = span
    cuts = find_string(data, first, last, strings, SPECIAL)
    while first < last and cuts == _NONE:
        prefix = prefix_size(data, first, last, classes)
        cuts = find_string(data, first + prefix, last, strings, SPECIAL) if prefix > 0 else _NONE
        if cuts != _NONE:
            word = _put(spans, word, first, first + prefix)
            first += prefix
            break
        suffix = suffix_size(data, first + prefix, last, classes, strings)
        if prefix == 0 and suffix == 0:
            break
        if suffix > 0:
            waiting -= 1
            last -= suffix
            spans[0, waiting] = last
            cuts = find_string(data, first, last, strings, SPECIAL)
        # Where a special case is left, the prefix belongs to it.
        if prefix > 0 and cuts == _NONE:
            word = _put(spans, word, first, first + prefix)
            first += prefix
            cuts = find_string(data, first, last, strings, SPECIAL)
    if cuts != _NONE:
        word = put_special(spans, word, first, last, cuts)
    elif first < last:
        word = _cut_core(data, (first, last), classes, spans, word)
    while waiting < capacity:
        start = spans[0, waiting]
        waiting += 1
        word = _put(spans, word, start, spans[0, waiting] if waiting < capacity else span[1])
    return word


@bare_kernel
def put_special(spans: Any, word: int, first: int, last: int, cuts: Any) -> Any:
    """Write the tokens of a special case."""
    start = first
    for end in range(first + 1, last + 1):
        if (cuts >> np.uint64(end - first)) & _ONE != _NONE:
            word = _put(spans, word, start, end)
            start = end
    return word


@bare_kernel
def _cut_core(data: Any, span: Any, classes: Any, spans: Any, word: int) -> Any:
    """Write what is left between affixes: an address in one piece, or else what lies around infixes."""
    first, last = span
    if is_url(data, first, last, classes, (LOWER, DECIMAL, WORD)):
        return _put(spans, word, first, last)
    start = first
    position = first
    while position < last:
        size = infix_size(data, span, position, classes)
        # spaCy leaves an infix at the very start with what follows.
        if size > 0 and position > first:
            if position > start:
                word = _put(spans, word, start, position)
            word = _put(spans, word, position, position + size)
            start = position + size
        position += size if size > 0 else width(data[position])
    return _put(spans, word, start, last) if start < last else word
