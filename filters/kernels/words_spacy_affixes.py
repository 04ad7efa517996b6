"""Prefixes, suffixes and infixes of spaCy's English: how many bytes of a string are one.

Each function is one of spaCy's expressions written out. Single code points are in the table of classes; here is what
is longer or needs others beside it. Of several suffixes spaCy's search takes the longest, of prefixes the first of its
list, which is never a longer one.
"""

from typing import Any

from filters.kernels.bare import bare_kernel
from filters.kernels.unicode import code_point, last_code_point_start, width
from filters.kernels.words_spacy_strings import MAX_STRING_BYTES, UNIT, find_string

# Bits of `SpacyTables.classes`, besides LETTER and SPACE of filters.kernels.unicode.
ALPHA, LOWER, UPPER, QUOTE = 4, 8, 16, 32
PREFIX, SUFFIX, INFIX = 64, 128, 256
ENDS_BEFORE_DOT = 512  # a dot after one of these is a suffix
CURRENCY, DECIMAL, WORD = 1024, 2048, 4096

_ELLIPSIS, _DEGREE, _EN_DASH, _EM_DASH, _QUOTE_MARK = 0x2026, 0xB0, 0x2013, 0x2014, 0x2019


@bare_kernel
def _is_digit(byte: int) -> Any:
    return ord("0") <= byte <= ord("9")


@bare_kernel
def _num_dots(data: Any, first: int, last: int) -> Any:
    """Dots in a row from `first` on."""
    position = first
    while position < last and data[position] == ord("."):
        position += 1
    return position - first


@bare_kernel
def prefix_size(data: Any, first: int, last: int, classes: Any) -> Any:
    """Bytes of the prefix of data[first:last]; 0 for none."""
    byte = data[first]
    if classes[code_point(data, first, last)] & PREFIX:
        return width(byte)
    second = data[first + 1] if first + 1 < last else 0
    if byte == ord("."):
        dots = _num_dots(data, first, last)
        return dots if dots > 1 else 0
    if byte == ord("+"):
        return 0 if _is_digit(second) else 1
    if (byte == ord("C") or byte == ord("A")) and second == ord("$"):
        return 2
    if byte == ord("U") and second == ord("S") and first + 2 < last and data[first + 2] == ord("$"):
        return 3
    return 0


@bare_kernel
def suffix_size(data: Any, first: int, last: int, classes: Any, strings: Any) -> Any:
    """Bytes of the longest suffix of data[first:last]; 0 for none."""
    if first >= last:
        return 0
    start = last_code_point_start(data, first, last)
    number = code_point(data, start, last)
    if number == ord("."):
        return _dot_size(data, first, start, classes)
    before_start = last_code_point_start(data, first, start)
    before = code_point(data, before_start, start) if start > first else 0
    if number == _ELLIPSIS and before == _ELLIPSIS:
        return last - before_start
    if classes[number] & SUFFIX:
        return last - start
    if (number == ord("s") or number == ord("S")) and (before == ord("'") or before == _QUOTE_MARK):
        return last - before_start
    if _is_digit(before) and (number == ord("+") or classes[number] & CURRENCY):
        return last - start
    if number == ord("$"):
        return _dollar_size(data, first, last)
    return _unit_size(data, first, last, strings)


@bare_kernel
def _dot_size(data: Any, first: int, dot: int, classes: Any) -> Any:
    """Bytes of the suffix that ends with the dot at `dot`."""
    start = dot
    while start > first and data[start - 1] == ord("."):
        start -= 1
    if start < dot:
        return dot + 1 - start
    if dot == first:
        return 0
    before_start = last_code_point_start(data, first, dot)
    before = code_point(data, before_start, dot)
    if classes[before] & ENDS_BEFORE_DOT:
        return 1
    if before_start == first:
        return 0
    second_start = last_code_point_start(data, first, before_start)
    second = code_point(data, second_start, before_start)
    if classes[before] & UPPER and classes[second] & UPPER:
        return 1
    folded = before | 0x20
    return 1 if second == _DEGREE and (folded == ord("c") or folded == ord("f") or folded == ord("k")) else 0


@bare_kernel
def _dollar_size(data: Any, first: int, last: int) -> Any:
    """Bytes of "C$", "A$" or "US$" behind a digit; 0 where the dollar is none of these."""
    before = data[last - 2] if last - first >= 2 else 0
    size = 2 if before == ord("C") or before == ord("A") else 3
    if size == 3 and not (before == ord("S") and last - first >= 3 and data[last - 3] == ord("U")):
        return 0
    return size if last - size > first and _is_digit(data[last - size - 1]) else 0


@bare_kernel
def _unit_size(data: Any, first: int, last: int, strings: Any) -> Any:
    """Bytes of the unit behind the last digit, if all that follows the digit is a unit."""
    position = last - 1
    while position >= max(first, last - 1 - MAX_STRING_BYTES):
        if _is_digit(data[position]):
            found = find_string(data, position + 1, last, strings, UNIT) != 0
            return last - position - 1 if found else 0
        position -= 1
    return 0


@bare_kernel
def infix_size(data: Any, span: Any, position: int, classes: Any) -> Any:
    """Bytes of the infix that starts at position; 0 for none."""
    first, last = span
    byte = data[position]
    # Most code points of a core are letters or digits: none of these starts an infix.
    if byte >= 0x80 or not (ord("a") <= (byte | 0x20) <= ord("z") or _is_digit(byte)):
        number = code_point(data, position, last)
        if classes[number] & INFIX:
            return width(byte)
        if byte == ord(".") and position + 1 < last and data[position + 1] == ord("."):
            return _num_dots(data, position, last)
        if position > first:
            before_start = last_code_point_start(data, first, position)
            before = code_point(data, before_start, position)
            return _joint_size(data, position, last, (number, before), classes)
    return 0


@bare_kernel
def _joint_size(data: Any, position: int, last: int, numbers: Any, classes: Any) -> Any:
    """Bytes of the infix at position that needs a fitting code point on both of its sides."""
    number, before = numbers
    end = min(position + width(data[position]), last)
    after = code_point(data, end, last) if end < last else 0
    before_class, after_class = classes[before], classes[after] if end < last else 0
    if number == ord("."):
        return 1 if before_class & (LOWER | QUOTE) and after_class & (UPPER | QUOTE) else 0
    if number == ord(","):
        return 1 if before_class & ALPHA and after_class & ALPHA else 0
    operator = number == ord("-") or number == ord("+") or number == ord("*") or number == ord("^")
    if operator and _is_digit(before) and (_is_digit(after) or after == ord("-")):
        return 1
    if not (before_class & ALPHA or _is_digit(before)):
        return 0
    if number == ord(":") or number == ord("<") or number == ord(">") or number == ord("=") or number == ord("/"):
        return 1 if after_class & ALPHA else 0
    return _hyphen_size(data, position, last, number, classes)


@bare_kernel
def _hyphen_size(data: Any, position: int, last: int, number: Any, classes: Any) -> Any:
    """Bytes of a hyphen, dash or tilde, or of up to three hyphens or two long dashes, before a letter."""
    most = 3 if number == ord("-") else 2 if number == _EM_DASH else 1
    if number != ord("-") and number != ord("~") and number != _EN_DASH and number != _EM_DASH:
        return 0
    end = position
    for _ in range(most):
        end = min(end + width(data[end]), last)
        after = code_point(data, end, last) if end < last else 0
        if end < last and classes[after] & ALPHA:
            return end - position
        if after != number:
            return 0
    return 0
