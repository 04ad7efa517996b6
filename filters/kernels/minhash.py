"""MinHash signatures of word shingles, and the band keys under which near-duplicates meet.

A text is first folded: its words (runs between blanks) are lower-cased and lose their punctuation; words that lose all
their characters are skipped. Scripts written without blanks between words (Han, kana, Thai, Lao, Burmese, Khmer) would
make one word of a whole sentence, so each of their characters counts as a word of its own. A shingle is `ngram`
consecutive folded words; a shorter document is one shingle. Each shingle has a 64-bit hash, on whose upper 32 bits the
permutations a * h + b mod 2**32 of datasketch 2.0 (scheme "affine32": murmur3's finalizer first, a odd) are taken, or
on all of it those mod 2**64 ("affine64"): for equal shingle hashes and seed, signatures are equal bit by bit. 32 bits
are enough until a document has about a hundred million shingles; 64 take twice the memory and three times as long.

All integer arithmetic on uint64 wraps modulo 2**64, on uint32 modulo 2**32.
Sources: Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman, Ullman, "Mining of Massive
Datasets", section 3.4 (banding).
"""

import string
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import HIGH_BITS, LOW_BITS, load_up_to_8, low_bytes, mix
from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.unicode import code_point, width
from filters.kernels.words import Words

Scheme = Literal["affine32", "affine64"]
DTYPES: dict[Scheme, type[np.uint32] | type[np.uint64]] = {"affine32": np.uint32, "affine64": np.uint64}

# Each of these counts as a word: Thai and Lao, Burmese, Khmer, kana, Han (basic, extension A, compatibility).
ALONE_RANGES = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
)
HAN_PLANES = (0x20000, 0x3FFFF)  # extensions B and later; above the fold table
ALONE = 1 << 16  # flag in the fold table

_START = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
_BASE = np.uint64(0xA24BAED4963EE407)
_FMIX32_1 = np.uint64(0x85EBCA6B)  # murmur3's 32-bit finalizer
_FMIX32_2 = np.uint64(0xC2B2AE35)
_MASK32 = np.uint64(0xFFFFFFFF)

# Added to 7-bit bytes, these set the high bit of those that are at least the character.
_FROM_A = LOW_BITS * np.uint64(0x80 - ord("a"))
_AFTER_Z = LOW_BITS * np.uint64(0x80 - ord("z") - 1)
_FROM_0 = LOW_BITS * np.uint64(0x80 - ord("0"))
_AFTER_9 = LOW_BITS * np.uint64(0x80 - ord("9") - 1)
_SPACE_BITS = LOW_BITS * np.uint64(0x20)
_LOW_SIX = np.uint64(0x3F)

_0, _1, _2, _6, _8, _12 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(6), np.uint64(8), np.uint64(12)
_13, _16, _18, _24, _32 = np.uint64(13), np.uint64(16), np.uint64(18), np.uint64(24), np.uint64(32)
_BLOCK = 8  # shingles in each pass over the permutations


def _folded(code: int) -> int:
    """The fold table's entry of a code point below 0x10000: its folded code point, or 0 if it is removed."""
    character = chr(code)
    # Unicode 3.2 as frozen in every Python: signatures must not change with the interpreter.
    category = unicodedata.ucd_3_2_0.category(character)
    if character in string.punctuation or category.startswith("P"):
        return 0
    lower = character.lower()
    if category == "Lu" and len(lower) == 1 and unicodedata.ucd_3_2_0.category(lower) == "Ll":
        return ord(lower)
    return code


@cache
def fold_table() -> npt.NDArray[np.uint32]:
    """uint32 (65536,): what each code point of the basic plane becomes; 0 where removed; flag ALONE.

    Made once in a process (0.03 s); read-only.
    """
    table = np.arange(1 << 16, dtype=np.uint32)
    for code in range(0x21, 1 << 16):
        if not 0xD800 <= code <= 0xF8FF:  # surrogates and private use
            table[code] = _folded(code)
    for first, last in ALONE_RANGES:
        window = table[first : last + 1]
        window[window != 0] |= ALONE
    table.setflags(write=False)
    return table


Values = npt.NDArray[np.uint32] | npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Signatures:
    """MinHash of a batch.

    values: uint32 or uint64, by the scheme, (num_documents, num_permutations); all bits set without shingles.
    num_shingles: int64 (num_documents,), repeated ones counted each time; 0 where no word is left after folding.
    """

    values: Values
    num_shingles: npt.NDArray[np.int64]


def permutations(num_permutations: int, seed: int, scheme: Scheme = "affine32") -> tuple[Values, Values]:
    """Factors (odd) and summands, each (num_permutations,), dtype and draws those of datasketch 2.0 for the scheme.

    seed: in [0, 2**32). numpy promises RandomState's stream not to change between versions.
    """
    generator = np.random.RandomState(seed)
    dtype = DTYPES[scheme]
    width = 8 * np.dtype(dtype).itemsize
    factors = generator.randint(0, 1 << (width - 1), num_permutations, dtype=dtype) * dtype(2) + dtype(1)
    summands = generator.randint(0, 1 << width, num_permutations, dtype=dtype)
    return factors, summands


def minhash_signatures(text: TextBuffers, words: Words, ngram: int, drawn: tuple[Values, Values]) -> Signatures:
    """Signatures of all documents of a batch.

    words: runs of the same batch, see filters.kernels.words; ngram: words per shingle, at least 1; drawn: of
    `permutations`, whose dtype the values have.
    """
    factors, summands = drawn
    values = np.full((text.num_documents, len(factors)), np.iinfo(factors.dtype).max, factors.dtype)
    num_shingles = np.zeros(text.num_documents, np.int64)
    bounds = (words.starts, words.ends, words.offsets)
    _sign(text.data, text.offsets, bounds, (ngram, factors, summands), fold_table(), (values, num_shingles))
    return Signatures(values, num_shingles)


def band_keys(values: Values, bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """uint64 (num_documents, bands): hash of (band, the band's `rows` consecutive values of the signature).

    values: (num_documents, bands * rows), see Signatures.
    """
    assert values.shape[1] == bands * rows
    keys = np.zeros((len(values), bands), np.uint64)
    _hash_bands(np.ascontiguousarray(values), rows, keys)
    return keys


@kernel
def absorb(state: Any, chunk: Any) -> Any:
    """The state after 8 more bytes; a bijection of the chunk, so words of one length up to 8 bytes never collide."""
    state = (state ^ chunk) * _MULTIPLIER
    return state ^ (state >> _32)


@kernel
def _hash_plain(data: Any, start: int, end: int) -> Any:
    """(True, hash of the lower-cased word) if it is all ASCII letters and digits, else (False, 0)."""
    state = _START
    position = start
    while position < end:
        size = min(8, end - position)
        chunk = load_up_to_8(data, position, size)
        lower = chunk | _SPACE_BITS
        letters = (lower + _FROM_A) & ~(lower + _AFTER_Z) & HIGH_BITS
        digits = (chunk + _FROM_0) & ~(chunk + _AFTER_9) & HIGH_BITS
        if (chunk & HIGH_BITS) != _0 or (letters | digits) != (HIGH_BITS & low_bytes(size)):
            return False, _0
        state = absorb(state, chunk | (letters >> _2))
        position += size
    return True, mix(state ^ np.uint64(end - start))


@kernel
def _encode(code: int) -> Any:
    """(UTF-8 of a code point as a little-endian uint64, its bytes)."""
    number = np.uint64(code)
    tail = np.uint64(0x80) | (number & _LOW_SIX)
    if code < 0x80:
        return number, 1
    if code < 0x800:
        return np.uint64(0xC0) | (number >> _6) | (tail << _8), 2
    middle = np.uint64(0x80) | ((number >> _6) & _LOW_SIX)
    if code < 0x10000:
        return np.uint64(0xE0) | (number >> _12) | (middle << _8) | (tail << _16), 3
    upper = np.uint64(0x80) | ((number >> _12) & _LOW_SIX)
    return np.uint64(0xF0) | (number >> _18) | (upper << _8) | (middle << _16) | (tail << _24), 4


@kernel
def _close(state: Any, pending: Any, length: int) -> Any:
    """The hash of a word of `length` bytes, of which length % 8 are pending."""
    if length % 8:
        state = absorb(state, pending)
    return mix(state ^ np.uint64(length))


@kernel
def _hash_any(data: Any, start: int, end: int, table: Any, hashes: Any, count: int) -> int:
    """Append the hashes of the folded words that one run gives; returns the new count. As _hash_plain on its words."""
    state, pending, length = _START, _0, 0
    position = start
    while position < end:
        code = code_point(data, position, end)
        position += width(data[position])
        alone = HAN_PLANES[0] <= code <= HAN_PLANES[1]
        if code < len(table):
            entry = int(table[code])
            if entry == 0:
                continue
            alone = (entry & ALONE) != 0
            code = entry & ~ALONE
        encoded, size = _encode(code)
        if alone:
            if length > 0:
                hashes[count] = _close(state, pending, length)
                count += 1
                state, pending, length = _START, _0, 0
            hashes[count] = _close(_START, encoded, size)
            count += 1
            continue
        fill = length % 8
        length += size
        pending |= encoded << np.uint64(8 * fill)
        if fill + size >= 8:
            state = absorb(state, pending)
            pending = encoded >> np.uint64(8 * (8 - fill))
    if length > 0:
        hashes[count] = _close(state, pending, length)
        count += 1
    return count


@kernel
def fold_words(data: Any, starts: Any, ends: Any, table: Any, hashes: Any) -> int:
    """Hashes of the folded words of one document into `hashes`; returns how many."""
    count = 0
    for word in range(len(starts)):
        start, end = starts[word], ends[word]
        # Most marks stand at a word's end or start; without them most words are plain.
        while end > start and data[end - 1] < 0x80 and table[data[end - 1]] == 0:
            end -= 1
        while start < end and data[start] < 0x80 and table[data[start]] == 0:
            start += 1
        if start == end:
            continue
        plain, value = _hash_plain(data, start, end)
        if plain:
            hashes[count] = value
            count += 1
        else:
            count = _hash_any(data, start, end, table, hashes, count)
    return count


@kernel
def _combine_shingles(hashes: Any, num_words: int, ngram: int, shingles: Any) -> int:
    """Premixed hashes of all shingles of a document into `shingles`; returns how many (0 without words)."""
    if num_words == 0:
        return 0
    length = min(ngram, num_words)
    power = _1
    for _ in range(length - 1):
        power *= _BASE
    rolling = _0
    for word in range(length - 1):
        rolling = rolling * _BASE + hashes[word]
    for last in range(length - 1, num_words):
        rolling = rolling * _BASE + hashes[last]
        shingle = mix(rolling)
        shingles[last - length + 1] = mix(shingle) if shingles.itemsize == 8 else _finalize_32(shingle >> _32)
        rolling -= hashes[last - length + 1] * power
    return num_words - length + 1


@kernel
def _finalize_32(shingle: Any) -> Any:
    """murmur3's finalizer of 32 bits; `mix` is that of 64."""
    shingle = ((shingle ^ (shingle >> _16)) * _FMIX32_1) & _MASK32
    shingle = ((shingle ^ (shingle >> _13)) * _FMIX32_2) & _MASK32
    return shingle ^ (shingle >> _16)


@kernel
def _take_minima_64(shingles: Any, num_shingles: int, factors: Any, summands: Any, minima: Any) -> None:
    """As _take_minima; one shingle at a time, since no loop over lanes multiplies 64 bits on most machines."""
    for shingle in range(num_shingles):
        for k in range(len(minima)):
            minima[k] = min(minima[k], factors[k] * shingles[shingle] + summands[k])


@kernel
def _take_minima(shingles: Any, num_shingles: int, factors: Any, summands: Any, minima: Any) -> None:
    """Lower each of `minima` to the least permuted shingle. `shingles` has room for a whole last block."""
    for position in range(num_shingles, (num_shingles + _BLOCK - 1) // _BLOCK * _BLOCK):
        shingles[position] = shingles[num_shingles - 1]
    for start in range(0, num_shingles, _BLOCK):
        h0, h1, h2, h3 = shingles[start], shingles[start + 1], shingles[start + 2], shingles[start + 3]
        h4, h5, h6, h7 = shingles[start + 4], shingles[start + 5], shingles[start + 6], shingles[start + 7]
        # Eight shingles a pass: factors, summands and minima are loaded once for all; the loop runs over SIMD lanes.
        for k in range(len(minima)):
            a, b = factors[k], summands[k]
            left = min(
                min(np.uint32(a * h0 + b), np.uint32(a * h1 + b)), min(np.uint32(a * h2 + b), np.uint32(a * h3 + b))
            )
            right = min(
                min(np.uint32(a * h4 + b), np.uint32(a * h5 + b)), min(np.uint32(a * h6 + b), np.uint32(a * h7 + b))
            )
            minima[k] = min(minima[k], min(left, right))


@kernel
def _sign(data: Any, offsets: Any, words: Any, scheme: Any, table: Any, out: Any) -> None:
    """All documents of a batch: fold, combine, permute. See minhash_signatures."""
    starts, ends, bounds = words
    ngram, factors, summands = scheme
    values, num_shingles = out
    room = 0
    for document in range(len(bounds) - 1):
        num_bytes = offsets[document + 1] - offsets[document]
        # A run gives one word, and two more for each character (of 3 bytes or more) that counts as one.
        room = max(room, bounds[document + 1] - bounds[document] + 2 * (num_bytes // 3))
    hashes = np.empty(room, np.uint64)
    shingles = np.empty(room + _BLOCK, factors.dtype)
    for document in range(len(bounds) - 1):
        first, last = bounds[document], bounds[document + 1]
        num_words = fold_words(data, starts[first:last], ends[first:last], table, hashes)
        found = _combine_shingles(hashes, num_words, ngram, shingles)
        num_shingles[document] = found
        if found and shingles.itemsize == 8:
            _take_minima_64(shingles, found, factors, summands, values[document])
        elif found:
            _take_minima(shingles, found, factors, summands, values[document])


@kernel
def _hash_bands(values: Any, rows: int, keys: Any) -> None:
    """See band_keys."""
    for document in range(keys.shape[0]):
        for band in range(keys.shape[1]):
            state = mix(_START + np.uint64(band))
            for row in range(rows):
                state = absorb(state, np.uint64(values[document, band * rows + row]))
            keys[document, band] = mix(state)
