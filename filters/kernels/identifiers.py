"""Which texts may hold an e-mail address, IP address, phone, account or card number: one pass over the bytes.

A hint is cheap and never misses; the exact search runs only on texts with its hint.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel

# Bits of a hint. Each says that the bytes hold a match of the pattern beside it.
EMAIL = 1  # [\x21-\xff]@[0-9A-Za-z\x80-\xff]
IBAN = 2  # [A-Z][A-Z][0-9][0-9]
CARD = 4  # [0-9]([ -]?[0-9]){11}
IPV4 = 8  # [0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]
IPV6 = 16  # [23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:
INTERNATIONAL_PHONE = 32  # \+[ (]{0,2}[0-9]
NATIONAL_PHONE = 64  # [0-9]([^0-9A-Za-z]{0,3}[0-9]){6}

_DIGIT, _UPPER, _LOWER, _HEX, _MARK = 1, 2, 4, 8, 16
_AT, _PLUS, _DASH, _DOT, _COLON, _SPACE, _OPEN = (ord(character) for character in "@+-.: (")
_TWO, _THREE = ord("2"), ord("3")


def _byte_classes() -> npt.NDArray[np.uint8]:
    classes = np.zeros(256, np.uint8)
    classes[ord("0") : ord("9") + 1] |= _DIGIT | _HEX
    classes[ord("A") : ord("Z") + 1] |= _UPPER
    classes[ord("a") : ord("z") + 1] |= _LOWER
    classes[[_AT, _PLUS, _COLON]] |= _MARK
    classes[ord("A") : ord("F") + 1] |= _HEX
    classes[ord("a") : ord("f") + 1] |= _HEX
    return classes


_CLASSES = _byte_classes()


def find_hints(text: TextBuffers) -> npt.NDArray[np.uint8]:
    """The hints of each text, as bits: uint8 (num_documents,)."""
    hints = np.zeros(text.num_documents, np.uint8)
    _find_hints(text.data, text.offsets, _CLASSES, hints)
    return hints


@kernel
def _find_hints(data: Any, offsets: Any, classes: Any, hints: Any) -> None:
    for document in range(len(hints)):
        start, end = offsets[document], offsets[document + 1]
        hints[document] = _digit_hints(data, start, end, classes) | _mark_hints(data, start, end, classes)


@kernel
def _digit_hints(data: Any, start: int, end: int, classes: Any) -> int:
    """CARD, IPV4, NATIONAL_PHONE, IBAN: what is known by a digit and the bytes before it."""
    hints = 0
    card_digits = phone_digits = gap = dots = run = 0
    for position in range(start, end):
        byte = data[position]
        kind = classes[byte]
        if kind & _DIGIT:
            card_digits = card_digits + 1 if gap == 0 or (gap == 1 and _joins_card(data[position - 1])) else 1
            phone_digits, gap, run = phone_digits + 1, 0, run + 1
            if card_digits >= 12:
                hints |= CARD
            if phone_digits >= 7:
                hints |= NATIONAL_PHONE
            if dots >= 3:
                hints |= IPV4
            if _is_iban_start(data, start, position, classes):
                hints |= IBAN
            continue
        if phone_digits == 0 and card_digits == 0 and dots == 0:
            continue  # nothing has begun: most bytes end here
        # A dot continues a dotted number after 1 to 3 digits, and begins one after any digits.
        dots = 0 if byte != _DOT or run == 0 else dots + 1 if run <= 3 else 1
        run = 0
        gap += 1
        if gap > 3 or kind & (_UPPER | _LOWER):
            phone_digits = 0
        if gap > 1 or kind & (_UPPER | _LOWER):
            card_digits = 0
    return hints


@kernel
def _joins_card(byte: int) -> bool:
    return byte in (_SPACE, _DASH)


@kernel
def _is_iban_start(data: Any, start: int, position: int, classes: Any) -> bool:
    """True at the second digit after two capital letters and a digit."""
    return (
        position - start >= 3
        and classes[data[position - 1]] & _DIGIT != 0
        and classes[data[position - 2]] & _UPPER != 0
        and classes[data[position - 3]] & _UPPER != 0
    )


@kernel
def _mark_hints(data: Any, start: int, end: int, classes: Any) -> int:
    """EMAIL, IPV6, INTERNATIONAL_PHONE: what is known by the bytes around `@`, `:` and `+`."""
    hints = 0
    for position in range(start, end):
        byte = data[position]
        if not classes[byte] & _MARK:
            continue
        if byte == _AT:
            if start < position < end - 1 and data[position - 1] > _SPACE and _starts_host(data[position + 1], classes):
                hints |= EMAIL
        elif byte == _PLUS:
            digit = position + 1
            while digit < end and digit <= position + 2 and (data[digit] == _SPACE or data[digit] == _OPEN):
                digit += 1
            if digit < end and classes[data[digit]] & _DIGIT:
                hints |= INTERNATIONAL_PHONE
        elif byte == _COLON and _ends_global_group(data, start, position, classes):
            colon = position + 1
            while colon < end and colon <= position + 4 and classes[data[colon]] & _HEX:
                colon += 1
            if colon < end and data[colon] == _COLON:
                hints |= IPV6
    return hints


@kernel
def _starts_host(byte: int, classes: Any) -> bool:
    return byte >= 128 or classes[byte] & (_DIGIT | _UPPER | _LOWER) != 0


@kernel
def _ends_global_group(data: Any, start: int, position: int, classes: Any) -> bool:
    """True after four hexadecimal digits of which the first is 2 or 3: global addresses are in 2000::/3."""
    if position - start < 4 or (data[position - 4] != _TWO and data[position - 4] != _THREE):
        return False
    group = classes[data[position - 3]] & classes[data[position - 2]] & classes[data[position - 1]]
    return bool(group & _HEX)
