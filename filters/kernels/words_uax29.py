"""Words by the default word boundaries of Unicode 15.0 (UAX #29): segments with a letter or a number."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
from filters.kernels.bits import HIGH_BITS, LOW_BITS, hash_bytes, load_up_to_8, low_bytes, trailing_zeros
from filters.kernels.buffers import TextBuffers
from filters.kernels.unicode import LETTER, NUM_CODE_POINTS, all_characters, code_point, code_point_classes, width
from filters.kernels.word_break import RANGES
from filters.kernels.words import Words, ascii_letters, filled_words

# Values of Word_Break as the kernel tells them apart. Format counts as Extend: no rule tells the two apart.
_OTHER, _CR, _BREAK, _EXTEND, _ZWJ, _SPACE, _FLAG, _KATAKANA, _HEBREW, _LETTER, _QUOTE, _DOUBLE_QUOTE = range(12)
_MID_NUM_LET, _MID_LETTER, _MID_NUM, _NUMERIC, _EXTEND_NUM_LET = range(12, 17)
_VALUES = {
    "CR": _CR,
    "LF": _BREAK,
    "Newline": _BREAK,
    "Extend": _EXTEND,
    "Format": _EXTEND,
    "ZWJ": _ZWJ,
    "WSegSpace": _SPACE,
    "Regional_Indicator": _FLAG,
    "Katakana": _KATAKANA,
    "Hebrew_Letter": _HEBREW,
    "ALetter": _LETTER,
    "Single_Quote": _QUOTE,
    "Double_Quote": _DOUBLE_QUOTE,
    "MidNumLet": _MID_NUM_LET,
    "MidLetter": _MID_LETTER,
    "MidNum": _MID_NUM,
    "Numeric": _NUMERIC,
    "ExtendNumLet": _EXTEND_NUM_LET,
}
# The same byte of the table also says these.
_VALUE, _IS_PICTOGRAPHIC, _IS_LETTER, _IS_WORD = 0x1F, 0x20, 0x40, 0x80
_LOW_SEVEN = ~HIGH_BITS
_TO_0, _PAST_9 = LOW_BITS * np.uint64(0x80 - ord("0")), LOW_BITS * np.uint64(0x80 - ord("9") - 1)


@cache
def word_break_table() -> npt.NDArray[np.uint8]:
    """For each code point its Word_Break value, whether it is pictographic, a letter, a letter or number: read-only.

    Boundaries are Unicode 15.0's on every machine; letters and numbers are Python's (str.isalpha, str.isalnum).
    """
    table = np.zeros(NUM_CODE_POINTS, np.uint8)
    for name, text in RANGES.items():
        bits = np.uint8(_VALUES.get(name, _IS_PICTOGRAPHIC))
        last = 0
        for span in text.split():
            gap, _, more = span.partition("+")
            first = last + int(gap, 36)
            last = first + int(more or "0", 36)
            table[first : last + 1] |= bits
    table[code_point_classes() & LETTER != 0] |= _IS_LETTER
    table[np.strings.isalnum(all_characters())] |= _IS_WORD
    table.setflags(write=False)
    return table


def find_words(text: TextBuffers) -> Words:
    """The words of each text. One pass over the bytes, 29 bytes of memory a word."""
    # Words may touch ("語語"), so there may be one each byte.
    capacity = int(text.offsets[-1] - text.offsets[0]) + 1
    return filled_words(text, capacity, word_break_table(), _find_words)


@bare_kernel
def _find_words(data: Any, offsets: Any, table: Any, out: Any, word_offsets: Any) -> None:
    starts, ends, hashes, num_chars, has_letter = out
    word = 0
    for document in range(len(offsets) - 1):
        position, limit = offsets[document], offsets[document + 1]
        while position < limit:
            end, chars, kinds = _ascii_word(data, position, limit)
            if chars == 0:
                if _is_apart(data, position, limit):
                    position += 1
                    continue
                end, chars, kinds = _segment(data, position, limit, table)
            if kinds & _IS_WORD:
                starts[word] = position
                ends[word] = end
                hashes[word] = hash_bytes(data, position, end)
                num_chars[word] = chars
                has_letter[word] = kinds & _IS_LETTER != 0
                word += 1
            position = end
        word_offsets[document + 1] = word


@bare_kernel
def _ascii_word(data: Any, start: int, limit: int) -> Any:
    """End, code points and kinds of a word of ASCII letters and digits that surely ends there; else 0 code points."""
    position = start
    kinds = _IS_WORD
    while position < limit:
        size = min(8, limit - position)
        word = load_up_to_8(data, position, size)
        letters = ascii_letters(word & _LOW_SEVEN) & ~word
        seven = word & _LOW_SEVEN
        digits = (seven + _TO_0) & ~(seven + _PAST_9) & HIGH_BITS & ~word
        num_inside = min(size, trailing_zeros(~(letters | digits) & HIGH_BITS) >> 3)
        if letters & low_bytes(num_inside):
            kinds |= _IS_LETTER
        position += num_inside
        if num_inside < 8:
            break
    if position == start or not _is_ascii_end(data, position, limit):
        return start, 0, 0
    return position, position - start, kinds


@bare_kernel
def _is_alphanumeric(byte: int) -> Any:
    return ord("a") <= (byte | 0x20) <= ord("z") or ord("0") <= byte <= ord("9")


@bare_kernel
def _is_ascii_end(data: Any, position: int, limit: int) -> Any:
    """Whether a word of ASCII letters and digits ends before position, whatever comes after the next two bytes."""
    if position == limit:
        return True
    byte = data[position]
    if byte >= 0x80 or byte == ord("_"):
        return False
    if byte == ord(".") or byte == ord(",") or byte == ord("'") or byte == ord(":") or byte == ord(";"):
        return position + 1 == limit or (data[position + 1] < 0x80 and not _is_alphanumeric(data[position + 1]))
    return True


@bare_kernel
def _is_apart(data: Any, position: int, limit: int) -> Any:
    """Whether an ASCII byte at the start of a segment is no word and joins no word that begins behind it."""
    byte = data[position]
    if byte >= 0x80 or byte == ord("_") or _is_alphanumeric(byte):
        return False
    return position + 1 == limit or data[position + 1] < 0x80


@bare_kernel
def _segment(data: Any, start: int, limit: int, table: Any) -> Any:
    """End, code points and kinds of the segment that starts at start. The numbers of rules are those of UAX #29."""
    kinds: Any = np.int64(table[code_point(data, start, limit)])
    value: Any = kinds & _VALUE
    position = min(start + width(data[start]), limit)
    if value in (_CR, _BREAK):  # WB3, WB3a
        follows = value == _CR and position < limit and data[position] == ord("\n")
        return position + follows, 1 + follows, 0
    chars = 1
    before: Any = _OTHER  # the value before the last one, both without what WB4 skips
    last = value
    raw = value
    flags = 1
    while position < limit:
        kind = np.int64(table[code_point(data, position, limit)])
        value = kind & _VALUE
        end = min(position + width(data[position]), limit)
        if value in (_EXTEND, _ZWJ):  # WB4
            raw = value
        else:
            joined = (raw == _ZWJ and kind & _IS_PICTOGRAPHIC) or (raw == _SPACE and value == _SPACE)  # WB3c, WB3d
            if not joined and not (last == _FLAG and value == _FLAG and flags == 1):  # WB15, WB16
                following = _following(data, end, limit, table) if _is_middle(value) else _OTHER
                if not _is_joined(before, last, value, following):
                    break
            flags += 1
            before, last, raw = last, value, value
        kinds |= kind
        chars += 1
        position = end
    return position, chars, kinds


@bare_kernel
def _following(data: Any, position: int, limit: int, table: Any) -> Any:
    """The value of the next code point that WB4 does not skip."""
    while position < limit:
        value = np.int64(table[code_point(data, position, limit)]) & _VALUE
        if value != _EXTEND and value != _ZWJ:
            return value
        position += width(data[position])
    return _OTHER


@bare_kernel
def _is_middle(value: Any) -> Any:
    return _QUOTE <= value <= _MID_NUM


@bare_kernel
def _is_letter(value: Any) -> Any:
    return value in (_LETTER, _HEBREW)


@bare_kernel
def _joins_letters(value: Any) -> Any:
    return value in (_MID_LETTER, _MID_NUM_LET, _QUOTE)


@bare_kernel
def _joins_numbers(value: Any) -> Any:
    return value in (_MID_NUM, _MID_NUM_LET, _QUOTE)


@bare_kernel
def _is_joined(before: Any, last: Any, value: Any, following: Any) -> Any:
    """Whether there is no boundary between last and value: WB5 to WB13b."""
    if _is_letter(value) or value in (_NUMERIC, _KATAKANA):
        if last == _EXTEND_NUM_LET:  # WB13b
            return True
        if value == _KATAKANA:  # WB13
            return last == _KATAKANA
        if _is_letter(last) or last == _NUMERIC:  # WB5, WB8, WB9, WB10
            return True
        if value == _NUMERIC:  # WB11
            return before == _NUMERIC and _joins_numbers(last)
        if value == _HEBREW and before == _HEBREW and last == _DOUBLE_QUOTE:  # WB7c
            return True
        return _is_letter(before) and _joins_letters(last)  # WB7
    if value == _EXTEND_NUM_LET:  # WB13a
        return _is_letter(last) or last in (_NUMERIC, _KATAKANA, _EXTEND_NUM_LET)
    if last == _HEBREW and (value == _QUOTE or (value == _DOUBLE_QUOTE and following == _HEBREW)):  # WB7a, WB7b
        return True
    if _is_letter(last) and _joins_letters(value):  # WB6
        return _is_letter(following)
    return last == _NUMERIC and _joins_numbers(value) and following == _NUMERIC  # WB12
