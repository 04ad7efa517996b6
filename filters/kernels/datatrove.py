"""What datatrove counts and nobody else does: words that are no mere symbols, and repetition by its own keys."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import hash_bytes, next_byte, num_code_points
from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.lines import Lines, skip_space_back
from filters.kernels.repetition import (
    DUPLICATE_NGRAMS,
    NGRAM_FACTOR,
    TOP_NGRAMS,
    Segments,
    clear_table,
    first_of,
    kept_offsets,
    table_size,
)
from filters.kernels.unicode import NUM_CODE_POINTS, SENTENCE_END, code_point, code_point_classes, width
from filters.kernels.words import Words, skip_space

# Code points that datatrove 0.10.1 takes for symbols beside the ends of sentences: ASCII and control characters that
# are neither letter, digit nor blank, and a few marks of other scripts, among them U+FF11, a full-width digit one.
_SYMBOLS = (
    "0-8 B-1F 22-2D 2F 3A-3E 40 5B-60 7B-9F AB B4 BB 2013-2014 2019 201C-201E 2026 2236 2501 25BA 3001 3008-300D "
    "3010-3011 FF05 FF08-FF09 FF0C FF11 FF1A-FF1B FF5E"
)
# Of the ends of sentences datatrove 0.2.0 listed these: . ! ? and their wide forms.
_PUBLISHED_ENDS = "21 2E 3F 3002 FF01 FF0E FF1F"

_LINE_FEED = np.uint64(ord("\n"))

# Joined words are told apart by a polynomial of their bytes modulo a prime: that of "ab" + "c" is made from those of
# "ab" and "c", and equals that of "a" + "bc". In a text of ten million words two different runs of words share a value
# with a chance of about 1e-4, unless someone made it for that.
_MODULUS = np.uint64((1 << 61) - 1)
_BASE = np.uint64(0x9E3779B97F4A7C15 % ((1 << 61) - 1))
_LOW_32, _LOW_29 = np.uint64((1 << 32) - 1), np.uint64((1 << 29) - 1)
_3, _29, _32, _61 = np.uint64(3), np.uint64(29), np.uint64(32), np.uint64(61)


@cache
def _is_symbol(published: bool) -> npt.NDArray[np.bool_]:
    """Whether a code point is a symbol: bool (0x110000,), read-only."""
    table = np.zeros(NUM_CODE_POINTS, np.bool_) if published else (code_point_classes() & SENTENCE_END) != 0
    for span in f"{_SYMBOLS} {_PUBLISHED_ENDS}".split():
        first, _, last = span.partition("-")
        table[int(first, 16) : int(last or first, 16) + 1] = True
    table.setflags(write=False)
    return table


def has_more_than_symbols(words: Words, published: bool = False) -> npt.NDArray[np.bool_]:
    """Words with a code point that is no symbol: bool (num_words,).

    published: by the shorter list of symbols of datatrove 0.2.0, which knew few ends of sentences.
    """
    found = np.zeros(len(words.starts), np.bool_)
    _has_more_than_symbols(words.data, words.starts, words.ends, _is_symbol(published), found)
    return found


@kernel
def _has_more_than_symbols(data: Any, starts: Any, ends: Any, symbols: Any, found: Any) -> None:
    for word in range(len(starts)):
        position, end = starts[word], ends[word]
        while position < end and not found[word]:
            found[word] = not symbols[code_point(data, position, end)]
            position += width(data[position])


def lines_between_feeds(lines: Lines) -> Segments:
    r"""The parts of each text between runs of line feeds, as re.split by "\n+" gives them.

    A text that starts or ends with a line feed has an empty part there.
    """
    used = lines.ends > lines.starts
    used[lines.offsets[:-1]] = True
    used[lines.offsets[1:] - 1] = True
    return Segments(lines.hashes[used], lines.num_chars[used], kept_offsets(used, lines.offsets))


def paragraphs_between_feeds(text: TextBuffers, lines: Lines) -> Segments:
    r"""The parts of each stripped text between two or more line feeds, as re.split by "\n{2,}" gives them.

    Compared as they are, line feeds and all; a text of white space is one empty part.
    """
    hashes = np.empty(len(lines.starts), np.uint64)
    num_chars = np.empty(len(lines.starts), np.int64)
    offsets = np.zeros(text.num_documents + 1, np.int64)
    _paragraphs(text.data, text.offsets, code_point_classes(), (hashes, num_chars, offsets))
    used = slice(0, int(offsets[-1]))
    return Segments(hashes[used], num_chars[used], offsets)


@kernel
def _paragraphs(data: Any, offsets: Any, classes: Any, out: Any) -> None:
    hashes, num_chars, segment_offsets = out
    segment = 0
    for document in range(len(offsets) - 1):
        start = skip_space(data, offsets[document], offsets[document + 1], classes)
        limit = skip_space_back(data, start, offsets[document + 1], classes)
        while True:
            end = next_byte(data, start, limit, _LINE_FEED)
            while end + 1 < limit and data[end + 1] != ord("\n"):
                end = next_byte(data, end + 1, limit, _LINE_FEED)
            hashes[segment] = hash_bytes(data, start, end)
            num_chars[segment] = num_code_points(data, start, end)
            segment += 1
            if end == limit:
                break
            start = end
            while data[start] == ord("\n"):
                start += 1
        segment_offsets[document + 1] = segment


def ngram_chars(words: Words) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Code points that datatrove counts in repeated n-grams: int64 (3, num_documents) and int64 (6, num_documents).

    The first: copies of the most frequent 2-, 3- and 4-gram times its length with a space between words; of those
    equally frequent the one that comes first in the text, even if it occurs once.
    The second: 5- to 10-grams whose joined text was met before, without spaces. The scan goes on behind such an n-gram,
    and what overlaps it is never met.
    """
    num_documents = len(words.offsets) - 1
    most = int(np.diff(words.offsets).max(initial=0))
    room = (
        np.empty(most, np.uint64),
        np.empty((2, most), np.uint64),
        np.empty(most, np.int64),
        np.empty(most + 1, np.int64),
        np.empty(table_size(most), np.int32),
    )
    top = np.zeros((len(TOP_NGRAMS), num_documents), np.int64)
    duplicate = np.zeros((len(DUPLICATE_NGRAMS), num_documents), np.int64)
    spans = (words.starts, words.ends, words.hashes, words.num_chars)
    _ngram_chars(words.data, words.offsets, spans, room, (top, duplicate))
    return top, duplicate


@kernel
def _ngram_chars(data: Any, offsets: Any, spans: Any, room: Any, out: Any) -> None:
    starts, ends, hashes, num_chars = spans
    grams, joined, _, before, _ = room
    top, duplicate = out
    for document in range(len(offsets) - 1):
        first = offsets[document]
        num_words = offsets[document + 1] - first
        before[0] = 0
        for word in range(num_words):
            before[word + 1] = before[word] + num_chars[first + word]
            grams[word] = hashes[first + word]
        for size in range(2, min(4, num_words) + 1):
            for start in range(num_words - size + 1):
                grams[start] = grams[start] * NGRAM_FACTOR + hashes[first + start + size - 1]
            top[size - 2, document] = _most_common_chars(num_words - size + 1, size, room)
        if num_words < 5:
            continue
        for word in range(num_words):
            joined[0, word], joined[1, word] = _polynomial(data, starts[first + word], ends[first + word])
            grams[word] = joined[0, word]
        for size in range(2, min(10, num_words) + 1):
            for start in range(num_words - size + 1):
                last = start + size - 1
                grams[start] = _reduce(_multiply(grams[start], joined[1, last]) + joined[0, last])
            if size >= 5:
                duplicate[size - 5, document] = _chars_met_before(num_words - size + 1, size, room)


@kernel
def _most_common_chars(num_grams: int, size: int, room: Any) -> Any:
    grams, _, counts, before, table = room
    shift = clear_table(table, num_grams)
    counts[:num_grams] = 0
    for start in range(num_grams):
        counts[first_of(grams, start, table, shift)] += 1
    best = 0
    for start in range(1, num_grams):
        if counts[start] > counts[best]:
            best = start
    return (before[best + size] - before[best] + size - 1) * counts[best]


@kernel
def _chars_met_before(num_grams: int, size: int, room: Any) -> Any:
    grams, _, _, before, table = room
    shift = clear_table(table, num_grams)
    chars = np.int64(0)
    start = 0
    while start < num_grams:
        if first_of(grams, start, table, shift) == start:
            start += 1
        else:
            chars += before[start + size] - before[start]
            start += size
    return chars


@kernel
def _polynomial(data: Any, start: int, end: int) -> Any:
    """The polynomial of data[start:end] and the factor that makes room for its bytes; uint64 below 2**61 - 1."""
    value, factor = np.uint64(0), np.uint64(1)
    for position in range(start, end):
        value = _reduce(_multiply(value, _BASE) + np.uint64(data[position]) + np.uint64(1))
        factor = _multiply(factor, _BASE)
    return value, factor


@kernel
def _multiply(one: Any, other: Any) -> Any:
    """The product of two uint64 below 2**61 - 1, modulo that; nothing wraps on the way."""
    high, low = one >> _32, one & _LOW_32
    other_high, other_low = other >> _32, other & _LOW_32
    middle = high * other_low + low * other_high
    bottom = low * other_low
    # 2**64 is 8 and 2**61 is 1.
    total = ((high * other_high) << _3) + (middle >> _29) + ((middle & _LOW_29) << _32)
    return _reduce(total + (bottom & _MODULUS) + (bottom >> _61))


@kernel
def _reduce(value: Any) -> Any:
    """Any uint64 modulo 2**61 - 1."""
    value = (value & _MODULUS) + (value >> _61)
    return value - _MODULUS if value >= _MODULUS else value
