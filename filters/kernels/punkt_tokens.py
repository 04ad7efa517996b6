"""Punkt's tokens: what it knows of them, and whether a sentence ends among those around a mark.

That is NLTK 3.8.1's Punkt, in its own order: what a token is by itself, then what the one behind it says.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
from filters.kernels.bits import mix
from filters.kernels.unicode import (
    LETTER,
    NUM_CODE_POINTS,
    SPACE,
    all_characters,
    code_point,
    code_point_classes,
    width,
)
from filters.kernels.words import skip_space

# Classes of code points beside LETTER and SPACE. NAME is what the expression [^\W\d] finds, \w is NAME or DECIMAL.
NAME, DECIMAL, UPPER, LOWER = 4, 8, 16, 32
# What is known of a type, a token in lower case: bits of one number. Those between are punkt's own, of the letter cases
# that it was met in: at the start of a sentence, inside one, or either.
ABBREVIATION, BEGAN_UPPER, INSIDE_UPPER, EITHER_UPPER, BEGAN_LOWER, INSIDE_LOWER, EITHER_LOWER = (
    1 << bit for bit in range(7)
)
STARTER, COLLOCATION = 128, 256
_ANY_UPPER = np.uint64(BEGAN_UPPER | INSIDE_UPPER | EITHER_UPPER)
_ANY_LOWER = np.uint64(BEGAN_LOWER | INSIDE_LOWER | EITHER_LOWER)
NUMBER = b"##number##"  # the type of every number

# What a token is.
_BREAK, _ABBREVIATED, _ELLIPSIS, _PERIOD_FINAL = 1, 2, 4, 8

# ASCII bytes by what they may be.
MARK, NON_WORD, _NO_START, CLOSING, _PUNCTUATION = 1, 2, 4, 8, 16
BYTES = np.zeros(256, np.uint8)
for _kind, _of_kind in (
    (MARK, b".?!"),
    (NON_WORD, b")\";}]*:@'({[?!"),
    (_NO_START, b'("`{[:;&#*@)}]-,'),
    (CLOSING, b"\"')]}"),
    (_PUNCTUATION, b";:,.!?"),
):
    BYTES[list(_of_kind)] |= _kind
_KELVIN, _KELVIN_LEAD = 0x212A, 0xE2  # its lower case is an ASCII "k"
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_NONE = np.uint64(0)
_ONE = np.uint64(1)


@cache
def nltk_classes() -> npt.NDArray[np.uint8]:
    """LETTER, SPACE, NAME, DECIMAL, UPPER and LOWER of each code point, by Python: uint8 (0x110000 + 2,), read-only.

    The last two are of no code point: room for marks that a kernel sets among them.
    """
    characters = all_characters()
    table = np.zeros(NUM_CODE_POINTS + 2, np.uint8)
    found = table[:NUM_CODE_POINTS]
    found |= code_point_classes() & (LETTER | SPACE)
    decimal = np.strings.isdecimal(characters)
    found[decimal] |= DECIMAL
    found[np.strings.isalnum(characters) & ~decimal] |= NAME
    found[ord("_")] |= NAME
    found[np.strings.isupper(characters)] |= UPPER
    found[np.strings.islower(characters)] |= LOWER
    table.setflags(write=False)
    return table


def punkt_table(
    types: dict[bytes, int], collocations: set[tuple[bytes, bytes]]
) -> tuple[npt.NDArray[np.uint64], np.uint64]:
    """What punkt knows, for `find_sentences`: bits by type and pairs of types that do not end a sentence between them.

    Types are ASCII in lower case. Returns uint64 (a power of two, 2), keys and bits by open addressing, 0 for free,
    and the key of NUMBER.
    """
    bits = {_key_of(name): known for name, known in types.items()}
    pairs = {int(_pair_key(np.uint64(_key_of(one)), np.uint64(_key_of(other)))) for one, other in collocations}
    bits |= dict.fromkeys(pairs, COLLOCATION)
    assert len(bits) == len(types) + len(collocations), "two keys are one"
    slots = np.zeros((1 << (2 * len(bits)).bit_length(), 2), np.uint64)
    for key in sorted(bits):
        slot = key % len(slots)
        while slots[slot, 0]:
            slot = (slot + 1) % len(slots)
        slots[slot] = key, bits[key]
    slots.setflags(write=False)
    return slots, np.uint64(_key_of(NUMBER))


def _key_of(name: bytes) -> int:
    return int(_key(np.frombuffer(name, np.uint8), 0, len(name)))


@bare_kernel
def has_break(data: Any, start: int, end: int, known: Any) -> Any:
    """Whether a sentence ends at some token of data[start:end] but the last."""
    classes = known[0]
    position = skip_space(data, start, end, classes)
    before = position
    before_end = position
    before_kind = 0
    while position < end:
        behind = _token_end(data, position, end, classes)
        kind = _first_look(data, position, behind, known)
        if before < before_end and _is_break(data, (before, before_end, before_kind), (position, behind, kind), known):
            return True
        before, before_end, before_kind = position, behind, kind
        position = skip_space(data, behind, end, classes)
    return False


@bare_kernel
def _token_end(data: Any, start: int, end: int, classes: Any) -> Any:
    """The end of the token that starts at a visible code point: a dash, an ellipsis, a word, or a mark."""
    position = _repeated_end(data, start, end, classes)
    if position > start:
        return position
    position = min(start + width(data[start]), end)
    if BYTES[data[start]] & _NO_START:
        return position
    while position < end and not _ends_word(data, position, end, classes):
        position += width(data[position])
    return min(position, end)


@bare_kernel
def _ends_word(data: Any, position: int, end: int, classes: Any) -> Any:
    if _parts_words(data, position, end, classes):
        return True
    return data[position] == ord(",") and (position + 1 == end or _parts_words(data, position + 1, end, classes))


@bare_kernel
def _parts_words(data: Any, position: int, end: int, classes: Any) -> Any:
    return (
        BYTES[data[position]] & NON_WORD != 0
        or classes[code_point(data, position, end)] & SPACE != 0
        or _repeated_end(data, position, end, classes) > position
    )


@bare_kernel
def _repeated_end(data: Any, start: int, end: int, classes: Any) -> Any:
    """The end of two or more hyphens, two or more periods, or three or more with white space between; else start."""
    byte = data[start]
    if byte != ord("-") and byte != ord("."):
        return start
    position = start + 1
    while position < end and data[position] == byte:
        position += 1
    if position > start + 1:
        return position
    found, num, position = start, 1, start
    while byte == ord(".") and position + 1 < end and data[position + 1] != ord("\n"):
        follower = position + 1 + width(data[position + 1])
        is_space = classes[code_point(data, position + 1, end)] & SPACE
        if not is_space or follower >= end or data[follower] != ord("."):
            break
        num += 1
        position = follower
        found = position + 1 if num > 2 else found
    return found


@bare_kernel
def _first_look(data: Any, start: int, end: int, known: Any) -> Any:
    """What a token is by itself."""
    if data[end - 1] != ord("."):
        return _BREAK if end == start + 1 and BYTES[data[start]] & MARK else 0
    if end == start + 1:
        return _PERIOD_FINAL | _BREAK
    if data[end - 2] == ord("."):
        position = start
        while data[position] == ord("."):
            position += 1
            if position == end:
                return _PERIOD_FINAL | _ELLIPSIS
        return _PERIOD_FINAL
    slots = known[1]
    hyphen = end - 1
    while hyphen > start and data[hyphen - 1] != ord("-"):
        hyphen -= 1
    is_known = _bits(slots, _key(data, start, end - 1)) | _bits(slots, _key(data, hyphen, end - 1))
    return _PERIOD_FINAL | (_ABBREVIATED if is_known & np.uint64(ABBREVIATION) != _NONE else _BREAK)


@bare_kernel
def _is_break(data: Any, token: Any, follower: Any, known: Any) -> Any:
    """Whether a sentence ends between two tokens, each start, end and kind: punkt's second pass."""
    classes, slots, _ = known
    start, end, kind = token
    if not kind & _PERIOD_FINAL:
        return kind & _BREAK != 0
    key = _type_key(data, start, end, True, known)
    follower_key = _type_key(data, follower[0], follower[1], follower[2] & _BREAK != 0, known)
    if _bits(slots, _pair_key(key, follower_key)) != _NONE:
        return False
    is_initial = _is_initial(data, start, end, classes)
    starts, is_upper = _looks_like_start(data, follower[0], follower[1], _bits(slots, follower_key), classes)
    if kind & (_ABBREVIATED | _ELLIPSIS) and not is_initial:
        is_starter = _bits(slots, follower_key) & np.uint64(STARTER) != _NONE
        if starts > 0 or (is_upper and is_starter):
            return True
    if is_initial or key == known[2]:
        was_lower = _bits(slots, follower_key) & _ANY_LOWER != _NONE
        if starts < 0 or (starts == 0 and is_initial and is_upper and not was_lower):
            return False
    return kind & _BREAK != 0


@bare_kernel
def _looks_like_start(data: Any, start: int, end: int, bits: Any, classes: Any) -> Any:
    """By its letter case and what is known of its type, does a token start a sentence: 1, surely not: -1, who knows: 0.

    Second, whether it starts with an upper-case letter.
    """
    case = classes[code_point(data, start, end)]
    is_upper = case & UPPER != 0
    if end == start + 1 and BYTES[data[start]] & _PUNCTUATION:
        return -1, is_upper
    if is_upper and bits & _ANY_LOWER != _NONE and bits & np.uint64(INSIDE_UPPER) == _NONE:
        return 1, is_upper
    if case & LOWER and (bits & _ANY_UPPER != _NONE or bits & np.uint64(BEGAN_LOWER) == _NONE):
        return -1, is_upper
    return 0, is_upper


@bare_kernel
def _is_initial(data: Any, start: int, end: int, classes: Any) -> Any:
    return start + width(data[start]) == end - 1 and classes[code_point(data, start, end)] & NAME != 0


@bare_kernel
def _type_key(data: Any, start: int, end: int, without_period: bool, known: Any) -> Any:
    """The key of a token's type; without its last period, if it is not all."""
    if _is_number(data, start, end, known[0]):
        return known[2]
    if without_period and end > start + 1 and data[end - 1] == ord("."):
        end -= 1
    return _key(data, start, end)


@bare_kernel
def _is_number(data: Any, start: int, end: int, classes: Any) -> Any:
    position = start + (data[start] == ord("-"))
    if position < end and (data[position] == ord(".") or data[position] == ord(",")):
        position += 1
    if position >= end or not classes[code_point(data, position, end)] & DECIMAL:
        return False
    while position < end:
        byte = data[position]
        is_mark = byte == ord(",") or byte == ord(".") or byte == ord("-")
        if not is_mark and not classes[code_point(data, position, end)] & DECIMAL:
            return False
        position += width(byte)
    return True


@bare_kernel
def _key(data: Any, start: int, end: int) -> Any:
    """uint64, never 0: one number for data[start:end] in lower case, as far as that is ASCII. Wraps modulo 2**64."""
    key, size = _NONE, _NONE
    position = start
    while position < end:
        byte = data[position]
        if ord("A") <= byte <= ord("Z"):
            byte |= 0x20
        elif byte == _KELVIN_LEAD and code_point(data, position, end) == _KELVIN:
            byte = ord("k")
            position += 2
        key = (key ^ np.uint64(byte)) * _HASH_FACTOR
        key ^= key >> np.uint64(32)
        size += _ONE
        position += 1
    return mix(key ^ size) | _ONE


@bare_kernel
def _pair_key(first: Any, second: Any) -> Any:
    """uint64, never 0: one number for two types in a row. Wraps modulo 2**64."""
    return mix(first ^ (second * _HASH_FACTOR)) | _ONE


@bare_kernel
def _bits(slots: Any, key: Any) -> Any:
    """What is known of a key; 0 for nothing."""
    slot = key & np.uint64(len(slots) - 1)
    while slots[slot, 0] != _NONE:
        if slots[slot, 0] == key:
            return slots[slot, 1]
        slot = (slot + _ONE) & np.uint64(len(slots) - 1)
    return _NONE
