"""RefinedWeb's line-wise corrections as DCLM makes them: lines go or lose a phrase, in seven steps for each document.

After each step but the fourth the document loses the white space at its ends, which can make another line of its first
or last line; the steps after it see that.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.kernels.bits import HIGH_BITS, LOW_BITS, load_8, num_ones
from filters.kernels.buffers import TextBuffers, text_array
from filters.kernels.jit import kernel
from filters.kernels.lines import Lines, skip_space_back
from filters.kernels.unicode import (
    NUM_CODE_POINTS,
    SPACE,
    all_characters,
    code_point,
    code_point_classes,
    last_code_point_start,
    width,
)
from filters.kernels.words import skip_space

COUNTS = (
    "num_uppercase_lines",
    "num_numeric_lines",
    "num_counter_lines",
    "num_short_lines",
    "num_phrase_lines",
    "num_lines_kept",
)
_UPPERCASE, _NUMERIC, _COUNTER, _SHORT, _PHRASE, _KEPT = range(len(COUNTS))

# Bits of code points.
_UPPER, _DIGIT, _DECIMAL, _WORD = 1, 2, 4, 8

_COUNTED = tuple(
    np.frombuffer(word, np.uint8)
    for word in (
        *(b"likes", b"shares", b"comments", b"retweets", b"reposts", b"quotes", b"bookmarks", b"upvotes"),
        *(b"downvotes", b"downloads", b"views", b"followers"),
    )
)
_ITEMS_IN_CART = np.frombuffer(b"items in cart", np.uint8)
_READ_MORE = np.frombuffer(b"read more", np.uint8)
_SIGN_IN = np.frombuffer(b"sign-in", np.uint8)
_KELVIN_SIGN = 0x212A
_NOWHERE = -1


@dataclass(frozen=True)
class Corrections:
    """What makes a line go. any_ending: whether "Read more" may be followed by any three characters, not only dots."""

    max_uppercase_ratio: float
    max_digit_ratio: float
    min_words_per_line: int
    max_phrase_line_words: int
    any_ending: bool


def correct_lines(text: TextBuffers, lines: Lines, corrections: Corrections) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """The new texts, and int64 (len(COUNTS), num_documents): lines that went or, for phrases, were changed."""
    out = np.empty(int(text.offsets[-1] - text.offsets[0]), np.uint8)
    offsets = np.zeros(text.num_documents + 1, np.int64)
    counts = np.zeros((len(COUNTS), text.num_documents), np.int64)
    most = int(np.diff(lines.offsets).max(initial=0))
    limits = (
        corrections.max_uppercase_ratio,
        corrections.max_digit_ratio,
        corrections.min_words_per_line,
        corrections.max_phrase_line_words,
        corrections.any_ending,
    )
    tables = (code_point_classes(), _kinds())
    _correct_lines(text.data, (lines.starts, lines.ends, lines.offsets), tables, limits, (out, offsets, counts, most))
    return text_array(out[: offsets[-1]], offsets), counts


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    r"""Bits of each code point: str.isupper, str.isdigit, \d and \w of regular expressions. uint8 (0x110000,)."""
    kinds = np.zeros(NUM_CODE_POINTS, np.uint8)
    tests = (
        (_UPPER, np.strings.isupper),
        (_DIGIT, np.strings.isdigit),
        (_DECIMAL, np.strings.isdecimal),
        (_WORD, np.strings.isalnum),
    )
    for bit, holds in tests:
        kinds[holds(all_characters())] |= bit
    kinds[ord("_")] |= _WORD
    kinds.setflags(write=False)
    return kinds


@kernel
def _correct_lines(data: Any, spans: Any, tables: Any, limits: Any, outputs: Any) -> None:
    starts, ends, line_offsets = spans
    out, offsets, counts, most = outputs
    room = np.empty((3, most), np.int64)  # start, end, and whether the line is short
    for document in range(len(offsets) - 1):
        first = line_offsets[document]
        num_lines = line_offsets[document + 1] - first
        for line in range(num_lines):
            room[0, line], room[1, line] = starts[first + line], ends[first + line]
        for step in range(_PHRASE):
            kept = _keep_lines(data, (room, num_lines), step, tables, limits)
            counts[step, document] = num_lines - kept
            num_lines = kept if step == _SHORT else _strip(data, room, kept, tables[0])
        begin = offsets[document]
        _write(data, (room, num_lines), out, begin)
        for line in range(num_lines):
            # Once for all phrases: cutting one makes no long line of a short one, and long lines are not cut.
            room[2, line] = not _has_words(out, (room[0, line], room[1, line]), limits[3] + 1, tables[0])
        for phrase in range(3):
            kept, num_changed = _cut_phrases(out, (room, num_lines), phrase, tables[0], limits[4])
            counts[_PHRASE, document] += num_changed
            num_lines = _strip(out, room, kept, tables[0])
        counts[_KEPT, document] = num_lines
        offsets[document + 1] = _close_up((room, num_lines), out, begin)


@kernel
def _strip(data: Any, room: Any, num_lines: int, classes: Any) -> Any:
    """Take the white space off the document's ends, blank lines too; the number of lines that are left."""
    while num_lines > 0:
        last = num_lines - 1
        room[1, last] = skip_space_back(data, room[0, last], room[1, last], classes)
        if room[1, last] > room[0, last]:
            break
        num_lines = last
    first = 0
    while first < num_lines:
        room[0, first] = skip_space(data, room[0, first], room[1, first], classes)
        if room[0, first] < room[1, first]:
            break
        first += 1
    if first > 0:
        for line in range(first, num_lines):
            for row in range(3):
                room[row, line - first] = room[row, line]
    return num_lines - first


@kernel
def _keep_lines(data: Any, lines: Any, step: int, tables: Any, limits: Any) -> Any:
    """Move the lines that this step keeps to the front; how many they are. Empty lines stay."""
    room, num_lines = lines
    num_kept = 0
    for line in range(num_lines):
        span = room[0, line], room[1, line]
        if span[0] < span[1] and _is_bad(data, span, step, tables, limits):
            continue
        room[0, num_kept], room[1, num_kept] = span
        num_kept += 1
    return num_kept


@kernel
def _is_bad(data: Any, span: Any, step: int, tables: Any, limits: Any) -> Any:
    if step == _UPPERCASE:
        return _share_of(data, span, tables[1], _UPPER) > limits[0]
    if step == _NUMERIC:
        return _share_of(data, span, tables[1], _DIGIT) > limits[1]
    if step == _COUNTER:
        return _is_counter(data, span, tables)
    return not _has_words(data, span, limits[2], tables[0])


@kernel
def _share_of(data: Any, span: Any, kinds: Any, bit: int) -> Any:
    """The share of code points of a kind: float64 in [0, 1]."""
    position, end = span
    first, last = (ord("A"), ord("Z")) if bit == _UPPER else (ord("0"), ord("9"))
    to_first, past_last = LOW_BITS * np.uint64(0x80 - first), LOW_BITS * np.uint64(0x80 - last - 1)
    num_chars, num_found = 0, 0
    while position < end:
        # Eight bytes at a time while they are ASCII, the bulk of most texts.
        while position + 8 <= end:
            word = load_8(data, position)
            if word & HIGH_BITS:
                break
            num_found += num_ones((word + to_first) & ~(word + past_last) & HIGH_BITS)
            num_chars += 8
            position += 8
        if position == end:
            break
        byte = data[position]
        num_found += (kinds[byte if byte < 0x80 else code_point(data, position, end)] & bit) != 0
        num_chars += 1
        position += 1 if byte < 0x80 else width(byte)
    return num_found / num_chars


@kernel
def _has_words(data: Any, span: Any, num_words: int, classes: Any) -> Any:
    """Whether the line has at least so many words."""
    position, end = span
    for _ in range(num_words):
        position = skip_space(data, position, end, classes)
        if position == end:
            return False
        while position < end:
            byte = data[position]
            if not 0x20 < byte < 0x80 and classes[code_point(data, position, end)] & SPACE:
                break
            position += 1 if byte < 0x80 else width(byte)
        position = min(position, end)
    return True


@kernel
def _skip(data: Any, span: Any, table: Any, bit: int, wanted: bool) -> Any:
    """The first position in the span whose code point has the bit of the table, or has not; else its end."""
    position, end = span
    while position < end and ((table[code_point(data, position, end)] & bit) != 0) != wanted:
        position += width(data[position])
    return min(position, end)


@kernel
def _is_counter(data: Any, span: Any, tables: Any) -> Any:
    r"""Whether the lower-cased line is \W*\d[,.\d]*[kmb]?\s+(likes|...)\W* as a whole."""
    classes, kinds = tables
    end = span[1]
    position = _skip(data, span, kinds, _WORD, True)
    if position == end or not kinds[code_point(data, position, end)] & _DECIMAL:
        return False
    while position < end:
        number = code_point(data, position, end)
        if not (kinds[number] & _DECIMAL or number == ord(",") or number == ord(".")):
            break
        position += width(data[position])
    if position < end and _is_magnitude(code_point(data, position, end)):
        position += width(data[position])
    blank_end = skip_space(data, position, end, classes)
    if blank_end == position:
        return False
    for word in _COUNTED:
        word_end = _match(data, blank_end, end, word, False)
        if word_end > blank_end:
            return _skip(data, (word_end, end), kinds, _WORD, True) == end
    return False


@kernel
def _is_magnitude(number: int) -> Any:
    """Whether the code point is k, m or b in lower case."""
    small = number | 0x20
    return (number < 0x80 and (small == ord("k") or small == ord("m") or small == ord("b"))) or number == _KELVIN_SIGN


@kernel
def _match(data: Any, position: int, end: int, letters: Any, folds: bool) -> Any:
    """Where the letters (ASCII, lower case) that lie at `position` in any letter case end; _NOWHERE if they do not.

    Letter case is that of re.IGNORECASE where `folds`, else that of str.lower.
    """
    if end - position < len(letters):
        return _NOWHERE
    for letter in letters:
        if position >= end or _lower(code_point(data, position, end), folds) != letter:
            return _NOWHERE
        position += width(data[position])
    return position


@kernel
def _lower(number: int, folds: bool) -> Any:
    """The small ASCII letter that a code point stands for, or the code point."""
    if ord("A") <= number <= ord("Z"):
        return number + 32
    if number == _KELVIN_SIGN:
        return np.int64(ord("k"))
    # A capital I with a dot, a small one without, and the long s: equal to i and s in regular expressions only.
    if folds and (number == 0x130 or number == 0x131):
        return np.int64(ord("i"))
    if folds and number == 0x17F:
        return np.int64(ord("s"))
    return number


@kernel
def _write(data: Any, lines: Any, out: Any, begin: int) -> None:
    """Copy the lines to out from `begin`, a byte apart; their spans are those of the copies then."""
    room, num_lines = lines
    size = begin
    for line in range(num_lines):
        start = size
        for position in range(room[0, line], room[1, line]):
            out[size] = data[position]
            size += 1
        room[0, line], room[1, line] = start, size
        size += 1


@kernel
def _cut_phrases(out: Any, lines: Any, phrase: int, classes: Any, any_ending: bool) -> Any:
    """Cut the phrase out of short lines, and lines where nothing else is; how many lines stay, how many changed."""
    room, num_lines = lines
    num_kept, num_changed = 0, 0
    for line in range(num_lines):
        span = room[0, line], room[1, line]
        new = span
        if room[2, line]:
            new = _cut_phrase(out, span, phrase, classes, any_ending)
            num_changed += new[1] - new[0] != span[1] - span[0]
            if span[0] < span[1] and skip_space(out, new[0], new[1], classes) == new[1]:
                continue
        room[0, num_kept], room[1, num_kept] = new
        room[2, num_kept] = room[2, line]
        num_kept += 1
    return num_kept, num_changed


@kernel
def _cut_phrase(out: Any, span: Any, phrase: int, classes: Any, any_ending: bool) -> Any:
    """The span of the line without the phrase: "items in cart" anywhere, "Read more..." behind, "Sign-in" in front."""
    if phrase == 0:
        return _cut_items(out, span, classes)
    start, end = span
    if phrase == 1:
        return start, _before_read_more(out, span, classes, any_ending)
    after = _match(out, start, end, _SIGN_IN, True)
    if after == _NOWHERE:
        return span
    if after < end and classes[code_point(out, after, end)] & SPACE:
        after += width(out[after])
    return after, end


@kernel
def _cut_items(out: Any, span: Any, classes: Any) -> Any:
    """Close up the line over each "items in cart" and a blank before it."""
    start, end = span
    position, size, copied = start, start, start
    while position < end:
        byte = out[position]
        may_start = byte >= 0x80 or byte == ord("i") or byte == ord("I")
        after = _match(out, position, end, _ITEMS_IN_CART, True) if may_start else _NOWHERE
        if after == _NOWHERE:
            position += width(byte)
            continue
        before = last_code_point_start(out, copied, position)
        if before == position or not classes[code_point(out, before, position)] & SPACE:
            before = position
        for place in range(copied, before):
            out[size] = out[place]
            size += 1
        position = copied = after
    for place in range(copied, end):
        out[size] = out[place]
        size += 1
    return start, size


@kernel
def _before_read_more(out: Any, span: Any, classes: Any, any_ending: bool) -> Any:
    """Where the line ends without "read more", three dots (or any three characters) and a blank before them."""
    start, end = span
    dots = end
    for _ in range(3):
        before = last_code_point_start(out, start, dots)
        if before == dots or not (any_ending or out[before] == ord(".")):
            return end
        dots = before
    first = dots - len(_READ_MORE)
    if first < start or _match(out, first, dots, _READ_MORE, True) != dots:
        return end
    blank = last_code_point_start(out, start, first)
    return blank if blank < first and classes[code_point(out, blank, first)] & SPACE else first


@kernel
def _close_up(lines: Any, out: Any, begin: int) -> Any:
    """Move the lines together, a line feed between them; where the document ends."""
    room, num_lines = lines
    size = begin
    for line in range(num_lines):
        if line > 0:
            out[size] = ord("\n")
            size += 1
        for position in range(room[0, line], room[1, line]):
            out[size] = out[position]
            size += 1
    return size
