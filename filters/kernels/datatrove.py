"""What datatrove counts and nobody else does: words that are no mere symbols, and repetition by its own keys."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
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

# Joined n-grams that are equal begin with equal bytes. Few words of a text begin with so many that come again, so that
# the n-grams of the others need no look; shorter n-grams are looked at as they are.
_PREFIX_BYTES = 12


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
    num_bytes = np.concatenate([np.zeros(1, np.int64), np.cumsum(words.ends - words.starts)])
    room = (
        np.empty(most, np.uint64),
        np.empty(most, np.int64),
        np.empty((2, most + 1), np.int64),
        np.empty(int(np.diff(num_bytes[words.offsets]).max(initial=0)), np.uint8),  # the words of a text, joined
        np.empty(table_size(most), np.int32),
    )
    top = np.zeros((len(TOP_NGRAMS), num_documents), np.int64)
    duplicate = np.zeros((len(DUPLICATE_NGRAMS), num_documents), np.int64)
    spans = (words.starts, words.ends, words.hashes, words.num_chars)
    _ngram_chars(words.data, words.offsets, spans, room, (top, duplicate))
    return top, duplicate


@bare_kernel
def _ngram_chars(data: Any, offsets: Any, spans: Any, room: Any, out: Any) -> None:
    starts, ends, hashes, num_chars = spans
    grams, _, before, letters, _ = room
    top, duplicate = out
    for document in range(len(offsets) - 1):
        first = offsets[document]
        num_words = offsets[document + 1] - first
        before[0, 0] = before[1, 0] = 0
        for word in range(num_words):
            before[0, word + 1] = before[0, word] + num_chars[first + word]
            grams[word] = hashes[first + word]
        for size in range(2, min(4, num_words) + 1):
            for start in range(num_words - size + 1):
                grams[start] = grams[start] * NGRAM_FACTOR + hashes[first + start + size - 1]
            top[size - 2, document] = _most_common_chars(num_words - size + 1, size, room)
        if num_words < 5:
            continue
        for word in range(num_words):
            behind = before[1, word]
            for position in range(starts[first + word], ends[first + word]):
                letters[behind] = data[position]
                behind += 1
            before[1, word + 1] = behind
        num_candidates = _find_candidates(num_words, room)
        for size in range(5, min(10, num_words) + 1):
            duplicate[size - 5, document] = _chars_met_before(num_words - size + 1, size, num_candidates, room)


@bare_kernel
def _most_common_chars(num_grams: int, size: int, room: Any) -> Any:
    grams, counts, before, _, table = room
    shift = clear_table(table, num_grams)
    counts[:num_grams] = 0
    for start in range(num_grams):
        counts[first_of(grams, start, table, shift)] += 1
    best = 0
    for start in range(1, num_grams):
        if counts[start] > counts[best]:
            best = start
    return (before[0, best + size] - before[0, best] + size - 1) * counts[best]


@bare_kernel
def _find_candidates(num_words: int, room: Any) -> Any:
    """Put the words at which an n-gram may begin that comes again into `places`; returns how many there are."""
    grams, places, before, letters, table = room
    bytes_before = before[1]
    shift = clear_table(table, num_words)
    places[:num_words] = 0
    for word in range(num_words):
        prefix_end = bytes_before[word] + _PREFIX_BYTES
        grams[word] = hash_bytes(letters, bytes_before[word], min(prefix_end, bytes_before[num_words]))
        leader = first_of(grams, word, table, shift)
        if leader != word or bytes_before[min(word + 5, num_words)] < prefix_end:
            places[leader] = places[word] = 1
    num_candidates = 0
    for word in range(num_words):
        if places[word]:
            places[num_candidates] = word
            num_candidates += 1
    return num_candidates


@bare_kernel
def _chars_met_before(num_grams: int, size: int, num_candidates: int, room: Any) -> Any:
    grams, places, before, letters, table = room
    shift = clear_table(table, num_candidates)
    chars = behind = np.int64(0)
    for candidate in range(num_candidates):
        start = places[candidate]
        if start >= num_grams:
            break
        if start < behind:
            continue
        grams[candidate] = hash_bytes(letters, before[1, start], before[1, start + size])
        if first_of(grams, candidate, table, shift) != candidate:
            chars += before[0, start + size] - before[0, start]
            behind = start + size
    return chars
