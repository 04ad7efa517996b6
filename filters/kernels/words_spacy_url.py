"""Whether a string is an address as spaCy's url_match has it, in time linear in its length.

spaCy's expression backtracks: a long string with many colons takes it cubic time. What it accepts is
`[scheme://][anything@]host[:port][/path, ?query or #fragment]`; a host is an IPv4 address outside the private ranges,
or labels before a last part of 2 to 63 lower-case letters (any letters where a script has no case). What looks like a
scheme may also be part of what is before an "@", so a host may start at the string, behind the scheme, or behind any
"@" but one that comes first.
"""

from typing import Any

import numpy as np

from filters.kernels.bare import bare_kernel
from filters.kernels.bits import next_byte
from filters.kernels.unicode import code_point, width

_DOT, _AT, _COLON = np.uint64(ord(".")), np.uint64(ord("@")), np.uint64(ord(":"))
_MAX_LABEL_CHARS = 64
_MAX_TOP_CHARS = 63
_LAST_HOST_CHAR = 0xFFFF
_FIRST_HOST_CHAR_BEYOND_ASCII = 0xA1


@bare_kernel
def is_url(data: Any, first: int, last: int, classes: Any, bits: Any) -> Any:
    """Whether data[first:last], without white space, is an address.

    classes: uint16 (0x110000,); bits: which of its bits say lower-case letter, decimal digit and word character.
    """
    if next_byte(data, first, last, _DOT) == last:
        return False
    if _is_host_and_path(data, first, last, classes, bits):
        return True
    scheme_end = _scheme_end(data, first, last, classes, bits[2])
    if scheme_end > first and _is_host_and_path(data, scheme_end, last, classes, bits):
        return True
    position = next_byte(data, first + 1, last, _AT)
    while position < last:
        if _is_host_and_path(data, position + 1, last, classes, bits):
            return True
        position = next_byte(data, position + 1, last, _AT)
    return False


@bare_kernel
def _scheme_end(data: Any, first: int, last: int, classes: Any, word_bit: int) -> Any:
    """Where "scheme://" ends; first where there is none."""
    colon = next_byte(data, first, last, _COLON)
    if colon + 3 > last or data[colon + 1] != ord("/") or data[colon + 2] != ord("/"):
        return first
    position = first
    chars = 0
    while position < colon:
        byte = data[position]
        marks = byte == ord("+") or byte == ord("-") or byte == ord(".")
        if not marks and not classes[code_point(data, position, colon)] & word_bit:
            return first
        position += width(byte)
        chars += 1
    return colon + 3 if chars >= 2 else first


@bare_kernel
def _is_host_and_path(data: Any, first: int, last: int, classes: Any, bits: Any) -> Any:
    """Whether data[first:last] is a host, perhaps with port and path."""
    end = _address_end(data, first, last, classes, bits[1])
    if end > 0 and _is_port_and_path(data, end, last, classes, bits[1]):
        return True
    end = _domain_end(data, first, last, classes, bits[0])
    return end > 0 and _is_port_and_path(data, end, last, classes, bits[1])


@bare_kernel
def _is_port_and_path(data: Any, position: int, last: int, classes: Any, digit_bit: int) -> Any:
    if position < last and data[position] == ord(":"):
        end, digits = _run(data, position + 1, last, classes, digit_bit)
        if not 2 <= digits <= 5:
            return False
        position = end
    return position == last or data[position] == ord("/") or data[position] == ord("?") or data[position] == ord("#")


@bare_kernel
def _run(data: Any, position: int, last: int, classes: Any, bit: int) -> Any:
    """End and code points of the run of one class that starts at position."""
    chars = 0
    while position < last and classes[code_point(data, position, last)] & bit:
        position += width(data[position])
        chars += 1
    return position, chars


@bare_kernel
def _domain_end(data: Any, first: int, last: int, classes: Any, lower_bit: int) -> Any:
    """Where labels with a dot each and the last part end; 0 where there are none."""
    position = first
    labels = 0
    while True:
        end = _label_end(data, position, last)
        if end == 0:
            break
        position = end + 1
        labels += 1
    end, chars = _run(data, position, last, classes, lower_bit)
    return end if labels > 0 and 2 <= chars <= _MAX_TOP_CHARS else 0


@bare_kernel
def _label_end(data: Any, first: int, last: int) -> Any:
    """Where the dot behind a label is: 1 to 64 code points that begin and end with a letter or digit; else 0."""
    position = first
    chars = 0
    joiner = True
    while position < last and chars <= _MAX_LABEL_CHARS:
        number = code_point(data, position, last)
        if number == ord("."):
            return position if chars > 0 and not joiner else 0
        joiner = number == ord("-") or number == ord("_")
        if not _is_host_char(number) and not (joiner and chars > 0):
            return 0
        position += width(data[position])
        chars += 1
    return 0


@bare_kernel
def _is_host_char(number: Any) -> Any:
    return (
        ord("a") <= number <= ord("z")
        or ord("0") <= number <= ord("9")
        or ord("A") <= number <= ord("Z")
        or _FIRST_HOST_CHAR_BEYOND_ASCII <= number <= _LAST_HOST_CHAR
    )


@bare_kernel
def _address_end(data: Any, first: int, last: int, classes: Any, digit_bit: int) -> Any:
    """Where an IPv4 address outside the private ranges ends; 0 where there is none.

    Digits of any script count where the expression says "any digit", only ASCII ones where it names them.
    """
    if first >= last or not ord("1") <= data[first] <= ord("9"):
        return 0
    position = first
    network: Any = 0
    for index in range(4):
        end, digits = _run(data, position, last, classes, digit_bit)
        if not 1 <= digits <= 3:
            return 0
        octet = _octet(data, position, end)
        if not _is_octet(octet, digits, index) or (index < 3 and not (end < last and data[end] == ord("."))):
            return 0
        if index < 2:
            network = network << 12 | octet
        position = end + 1
    return 0 if _is_private(network >> 12, network & 0xFFF) else position - 1


@bare_kernel
def _octet(data: Any, first: int, last: int) -> Any:
    """Up to three digits in base 16, other scripts' digits as 10: 0x2A means "2" and any digit."""
    value: Any = 0
    position = first
    while position < last:
        byte = data[position]
        value = value * 16 + (byte - ord("0") if byte < 0x80 else 10)
        position += width(byte)
    return value


@bare_kernel
def _is_octet(value: Any, digits: int, index: int) -> Any:
    """Whether the digits may stand at this place: the first is 1 to 223, the last 1 to 254, others have any zeros."""
    first, second, third = value >> 8, (value >> 4) & 15, value & 15
    if digits < 3:
        leading = second if digits == 2 else third
        return 0 < index < 3 or 1 <= leading <= 9
    if first != 2:
        return first == 1
    if index == 0:
        return second <= 1 or (second == 2 and third <= 3)
    return second <= 4 or (second == 5 and third <= (5 if index < 3 else 4))


@bare_kernel
def _is_private(first: Any, second: Any) -> Any:
    """10, 127, 169.254, 192.168 and 172.16 to 172.31."""
    if first == 0x10 or first == 0x127:
        return True
    if (first == 0x169 and second == 0x254) or (first == 0x192 and second == 0x168):
        return True
    tens = second >> 4
    return first == 0x172 and ((tens == 1 and 6 <= (second & 15) <= 9) or tens == 2 or second == 0x30 or second == 0x31)
