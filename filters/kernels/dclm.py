"""What DCLM's content filters count: words by their first character, spaced ellipses, stop words, paragraphs."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.kernels.bits import equal_bytes, hash_bytes, load_up_to_8, next_byte, num_code_points, trailing_zeros
from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.jit import kernel
from filters.kernels.lines import Lines, skip_space_back
from filters.kernels.repetition import Segments
from filters.kernels.unicode import all_characters, code_point, code_point_classes, last_code_point_start
from filters.kernels.words import Words, skip_space
from filters.kernels.words import find_words as whitespace_words

_DOT = np.uint64(ord("."))
_LINE_END = np.uint64(ord("\n"))
_ELLIPSIS = 0x2026
_SPACED_ELLIPSIS = np.frombuffer(b". . .", np.uint8)
_DOTS = np.frombuffer(b"...", np.uint8)
# Where fastText's tokenizer cuts.
_FASTTEXT_BLANKS = np.uint64(sum(1 << byte for byte in b" \n\r\t\v\f\0"))


@cache
def alphanumeric() -> npt.NDArray[np.bool_]:
    """str.isalnum() of each code point: bool (0x110000,), read-only. Made once in a process."""
    table = np.strings.isalnum(all_characters())
    table.setflags(write=False)
    return table


def alphanumeric_words(words: Words) -> Words:
    """The words whose first code point is a letter or a number (str.isalnum)."""
    used = np.zeros(len(words.starts), np.bool_)
    _starts_alphanumeric(words.data, words.starts, words.ends, alphanumeric(), used)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(used, dtype=np.int64)])
    return Words(
        data=words.data,
        starts=words.starts[used],
        ends=words.ends[used],
        offsets=before[words.offsets],
        hashes=words.hashes[used],
        num_chars=words.num_chars[used],
        has_letter=words.has_letter[used],
    )


def count_fasttext_words(text: TextBuffers) -> npt.NDArray[np.int64]:
    """Tokens of fastText whose first code point is a letter or number, in each document: int64 (num_documents,)."""
    counts = np.zeros(text.num_documents, np.int64)
    _count_fasttext_words(text.data, text.offsets, alphanumeric(), counts)
    return counts


def count_spaced_ellipses(text: TextBuffers) -> npt.NDArray[np.int64]:
    """How often ". . ." occurs in each document, copies that overlap left out: int64 (num_documents,)."""
    counts = np.zeros(text.num_documents, np.int64)
    _count_spaced_ellipses(text.data, text.offsets, counts)
    return counts


def ends_with_any_ellipsis(text: TextBuffers, lines: Lines) -> npt.NDArray[np.bool_]:
    """Lines whose content ends with "...", "…" or ". . .": bool (num_lines,)."""
    found = np.zeros(len(lines.starts), np.bool_)
    _ends_with_any_ellipsis(text.data, lines.content_starts, lines.content_ends, found)
    return found


def count_stop_word_occurrences(words: Words, stop_words: Sequence[str]) -> npt.NDArray[np.int64]:
    """Occurrences of stop words in each document, in any case of the ASCII letters: int64 (num_documents,).

    A stop word with other letters is found in lower case, in upper case, or with a capital first letter.
    """
    counts = np.zeros(len(words.offsets) - 1, np.int64)
    forms = {_ascii_lower(form) for word in stop_words for form in (word.lower(), word.upper(), word.capitalize())}
    if not forms:
        return counts
    hashes = whitespace_words(text_buffers(pa.array([" ".join(sorted(forms))], pa.large_string()))).hashes
    room = np.empty(max(len(form.encode()) for form in forms), np.uint8)
    _count_occurrences(words.data, (words.starts, words.ends, words.offsets), np.sort(hashes), room, counts)
    return counts


def _ascii_lower(text: str) -> str:
    return text.encode().lower().decode()


def double_break_paragraphs(text: TextBuffers, lines: Lines) -> Segments:
    """The parts of each text between two line feeds in a row, without white space at both ends and none empty.

    As str.split with two line feeds, then str.strip; of three line feeds the third begins a part. lines: of the text.
    """
    hashes = np.empty(len(lines.starts), np.uint64)
    num_chars = np.empty(len(lines.starts), np.int64)
    offsets = np.zeros(text.num_documents + 1, np.int64)
    _split_paragraphs(text.data, text.offsets, code_point_classes(), (hashes, num_chars, offsets))
    used = slice(0, int(offsets[-1]))
    return Segments(hashes[used], num_chars[used], offsets)


@kernel
def _starts_alphanumeric(data: Any, starts: Any, ends: Any, table: Any, used: Any) -> None:
    for word in range(len(starts)):
        used[word] = table[code_point(data, starts[word], ends[word])]


@kernel
def _count_spaced_ellipses(data: Any, offsets: Any, counts: Any) -> None:
    for document in range(len(offsets) - 1):
        position, limit = offsets[document], offsets[document + 1]
        free_from = position
        while position < limit:
            size = min(8, limit - position)
            marks = equal_bytes(load_up_to_8(data, position, size), _DOT)
            while marks:
                place = position + (trailing_zeros(marks) >> 3)
                marks &= marks - np.uint64(1)
                if place >= free_from and _ends_with(data, (place, min(place + 5, limit)), _SPACED_ELLIPSIS):
                    counts[document] += 1
                    free_from = place + 5
            position += 8


@kernel
def _ends_with(data: Any, span: Any, letters: Any) -> Any:
    start, end = span
    first = end - len(letters)
    if first < start:
        return False
    equal = True
    for index in range(len(letters)):
        equal &= data[first + index] == letters[index]
    return equal


@kernel
def _ends_with_any_ellipsis(data: Any, starts: Any, ends: Any, found: Any) -> None:
    for line in range(len(starts)):
        span = starts[line], ends[line]
        if span[0] == span[1]:
            continue
        last = code_point(data, last_code_point_start(data, span[0], span[1]), span[1])
        found[line] = last == _ELLIPSIS or _ends_with(data, span, _DOTS) or _ends_with(data, span, _SPACED_ELLIPSIS)


@kernel
def _count_occurrences(data: Any, words: Any, hashes: Any, room: Any, counts: Any) -> None:
    starts, ends, offsets = words
    for document in range(len(offsets) - 1):
        for word in range(offsets[document], offsets[document + 1]):
            num_bytes = ends[word] - starts[word]
            if num_bytes > len(room):
                continue
            for index in range(num_bytes):
                byte = data[starts[word] + index]
                room[index] = byte + 32 if ord("A") <= byte <= ord("Z") else byte
            found = hash_bytes(room, 0, num_bytes)
            slot = np.searchsorted(hashes, found)
            counts[document] += slot < len(hashes) and hashes[slot] == found


@kernel
def _split_paragraphs(data: Any, offsets: Any, classes: Any, out: Any) -> None:
    hashes, num_chars, segment_offsets = out
    segment = 0
    for document in range(len(offsets) - 1):
        start, limit = offsets[document], offsets[document + 1]
        position = start
        while start < limit:
            position = next_byte(data, position, limit, _LINE_END)
            if position + 1 < limit and data[position + 1] != ord("\n"):
                position += 1
                continue
            cut = position if position + 1 < limit else limit
            first = skip_space(data, start, cut, classes)
            last = skip_space_back(data, first, cut, classes)
            if last > first:
                hashes[segment] = hash_bytes(data, first, last)
                num_chars[segment] = num_code_points(data, first, last)
                segment += 1
            start = position = cut + 2
        segment_offsets[document + 1] = segment


@kernel
def _count_fasttext_words(data: Any, offsets: Any, is_alphanumeric: Any, counts: Any) -> None:
    for document in range(len(offsets) - 1):
        limit = offsets[document + 1]
        after_blank = True
        for position in range(offsets[document], limit):
            byte = data[position]
            is_blank = byte <= 0x20 and (_FASTTEXT_BLANKS >> np.uint64(byte)) & np.uint64(1) != np.uint64(0)
            if after_blank and not is_blank:
                counts[document] += is_alphanumeric[code_point(data, position, limit)]
            after_blank = is_blank
