"""Counts for each document that the quality filters share: symbols, marks at line ends, stop words, sums."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.kernels.bits import equal_bytes, load_up_to_8, num_ones, trailing_zeros
from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.jit import kernel
from filters.kernels.lines import Lines
from filters.kernels.unicode import SENTENCE_END, code_point, code_point_classes, last_code_point_start
from filters.kernels.words import Words, find_words

BULLETS = "-*•‣⁃◦●○∙·▪▫■□"

_HASH_SIGN = np.uint64(ord("#"))
_DOT = np.uint64(ord("."))
_ELLIPSIS_LEAD = np.uint64(0xE2)  # U+2026 is E2 80 A6
_ELLIPSIS = 0x2026
_MAX_STOP_WORDS = 64  # one bit each


def sum_by_document(values: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The sum of values (integer or bool) in each document's range of offsets: int64 (num_documents,)."""
    sums = np.zeros(len(offsets) - 1, np.int64)
    _sum_by_document(values, offsets, sums)
    return sums


def ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Quotient part / whole as float64, 0.0 where whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros(len(part), np.float64), where=whole > 0))


def count_symbols(text: TextBuffers) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number signs and ellipses in each document: two int64 (num_documents,). "…" and "..." are one, "......" two."""
    counts = np.zeros((2, text.num_documents), np.int64)
    _count_symbols(text.data, text.offsets, counts)
    return counts[0], counts[1]


def starts_with_bullet(text: TextBuffers, lines: Lines, bullets: str = BULLETS) -> npt.NDArray[np.bool_]:
    """Lines whose content starts with one of the bullets: bool (num_lines,)."""
    marks = np.array([ord(bullet) for bullet in bullets], np.int64)
    found = np.zeros(len(lines.starts), np.bool_)
    _starts_with(text.data, lines.content_starts, lines.content_ends, marks, found)
    return found


def ends_with_ellipsis(text: TextBuffers, lines: Lines) -> npt.NDArray[np.bool_]:
    """Lines whose content ends with "..." or "…": bool (num_lines,)."""
    found = np.zeros(len(lines.starts), np.bool_)
    _ends_with_ellipsis(text.data, lines.content_starts, lines.content_ends, found)
    return found


def ends_with_sentence_end(text: TextBuffers, lines: Lines) -> npt.NDArray[np.bool_]:
    """Lines whose last code point, white space included, is a Unicode sentence end: bool (num_lines,)."""
    found = np.zeros(len(lines.starts), np.bool_)
    _ends_with_sentence_end(text.data, lines.starts, lines.ends, code_point_classes(), found)
    return found


def ends_with_mark(text: TextBuffers, lines: Lines, marks: str) -> npt.NDArray[np.bool_]:
    """Lines whose last byte, white space included, is one of the ASCII marks: bool (num_lines,)."""
    is_mark = np.zeros(256, np.bool_)
    is_mark[np.frombuffer(marks.encode("ascii"), np.uint8)] = True
    filled = lines.ends > lines.starts
    found = np.zeros(len(lines.starts), np.bool_)
    found[filled] = is_mark[text.data[lines.ends[filled] - 1]]
    return found


def count_stop_words(words: Words, stop_words: Sequence[str], any_case: bool = True) -> npt.NDArray[np.int64]:
    """How many different stop words each document has: int64 (num_documents,). At most 64 stop words.

    With `any_case` a word counts if it is a stop word in lower case, in upper case, or with a capital first letter,
    else if it is a stop word as given.
    """
    assert len(stop_words) <= _MAX_STOP_WORDS
    counts = np.zeros(len(words.offsets) - 1, np.int64)
    if not stop_words:
        return counts
    variants = [
        (form, index) for index, word in enumerate(stop_words) for form in (_letter_cases(word) if any_case else [word])
    ]
    forms = find_words(text_buffers(pa.array([" ".join(form for form, _ in variants)], pa.large_string())))
    assert len(forms.hashes) == len(variants)
    # Sparse, so that the first slot of a word that is no stop word is empty almost always.
    size = 1 << (32 * len(variants)).bit_length()
    keys, indexes = np.zeros(size, np.uint64), np.full(size, -1, np.int8)
    _fill_table(forms.hashes, np.array([index for _, index in variants], np.int8), keys, indexes)
    limit = int(forms.num_chars.max())
    _count_stop_words(words.hashes, words.num_chars, words.offsets, (keys, indexes, limit), counts)
    return counts


def count_stop_word_copies(words: Words, stop_words: Sequence[str]) -> npt.NDArray[np.int64]:
    """How many words of each document are stop words as given, each copy counted: int64 (num_documents,)."""
    forms = find_words(text_buffers(pa.array([" ".join(stop_words)], pa.large_string())))
    return sum_by_document(np.isin(words.hashes, forms.hashes), words.offsets)


def _letter_cases(word: str) -> list[str]:
    return sorted({word.lower(), word.upper(), word.capitalize()})


@kernel
def _sum_by_document(values: Any, offsets: Any, sums: Any) -> None:
    for document in range(len(offsets) - 1):
        total = np.int64(0)
        for index in range(offsets[document], offsets[document + 1]):
            total += values[index]
        sums[document] = total


@kernel
def _count_symbols(data: Any, offsets: Any, counts: Any) -> None:
    for document in range(len(offsets) - 1):
        position, limit = offsets[document], offsets[document + 1]
        last_dot, run = position - 2, 0
        while position < limit:
            word = load_up_to_8(data, position, min(8, limit - position))
            counts[0, document] += num_ones(equal_bytes(word, _HASH_SIGN))
            marks = equal_bytes(word, _DOT) | equal_bytes(word, _ELLIPSIS_LEAD)
            while marks:
                place = position + (trailing_zeros(marks) >> 3)
                marks &= marks - np.uint64(1)
                if data[place] != ord("."):
                    counts[1, document] += code_point(data, place, limit) == _ELLIPSIS
                    continue
                run = run + 1 if place == last_dot + 1 else 1
                last_dot = place
                if run == 3:
                    counts[1, document] += 1
                    run = 0
            position += 8


@kernel
def _starts_with(data: Any, starts: Any, ends: Any, marks: Any, found: Any) -> None:
    for line in range(len(starts)):
        if starts[line] < ends[line]:
            first = code_point(data, starts[line], ends[line])
            for mark in marks:
                found[line] |= mark == first


@kernel
def _ends_with_ellipsis(data: Any, starts: Any, ends: Any, found: Any) -> None:
    for line in range(len(starts)):
        start, end = starts[line], ends[line]
        if start == end:
            continue
        last = code_point(data, last_code_point_start(data, start, end), end)
        dots = (
            end - start >= 3 and data[end - 1] == ord(".") and data[end - 2] == ord(".") and data[end - 3] == ord(".")
        )
        found[line] = dots or last == _ELLIPSIS


@kernel
def _ends_with_sentence_end(data: Any, starts: Any, ends: Any, classes: Any, found: Any) -> None:
    for line in range(len(starts)):
        if starts[line] < ends[line]:
            last = code_point(data, last_code_point_start(data, starts[line], ends[line]), ends[line])
            found[line] = (classes[last] & SENTENCE_END) != 0


@kernel
def _fill_table(hashes: Any, indexes: Any, keys: Any, table: Any) -> None:
    mask = len(keys) - 1
    for form in range(len(hashes)):
        slot = np.int64(hashes[form] & np.uint64(mask))
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        keys[slot] = hashes[form]
        table[slot] = indexes[form]


@kernel
def _count_stop_words(hashes: Any, num_chars: Any, offsets: Any, stop: Any, counts: Any) -> None:
    keys, indexes, limit = stop
    mask = len(keys) - 1
    for document in range(len(offsets) - 1):
        seen = np.uint64(0)
        for word in range(offsets[document], offsets[document + 1]):
            if num_chars[word] > limit:
                continue
            slot = np.int64(hashes[word] & np.uint64(mask))
            while indexes[slot] >= 0 and keys[slot] != hashes[word]:
                slot = (slot + 1) & mask
            if indexes[slot] >= 0:
                seen |= np.uint64(1) << np.uint64(indexes[slot])
        counts[document] = num_ones(seen)
