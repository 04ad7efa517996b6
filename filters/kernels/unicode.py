"""Classes of code points for kernels: one byte each, taken from Python's own Unicode tables."""

import unicodedata
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.jit import kernel

# Scores depend on these tables, so filters that use them put this version into their digest.
UNICODE_VERSION = unicodedata.unidata_version

LETTER = 1  # str.isalpha(): general category L*
SPACE = 2  # str.isspace(): White_Space and U+001C..U+001F, where str.split() cuts
NUM_CODE_POINTS = 0x110000


@cache
def code_point_classes() -> npt.NDArray[np.uint8]:
    """uint8 (0x110000,): LETTER and SPACE bits of each code point. Made once in a process (about 0.1 s); read-only."""
    classes = np.zeros(NUM_CODE_POINTS, np.uint8)
    characters = [chr(number) for number in range(NUM_CODE_POINTS)]
    classes[np.array([character.isalpha() for character in characters])] |= LETTER
    classes[np.array([character.isspace() for character in characters])] |= SPACE
    classes.setflags(write=False)
    return classes


@kernel
def width(lead: int) -> int:
    """Bytes of the code point that starts with byte `lead`: 1 to 4; 1 for a byte that starts none."""
    if lead < 0xC0:
        return 1
    if lead < 0xE0:
        return 2
    return 3 if lead < 0xF0 else 4


@kernel
def code_point(data: Any, position: int, limit: int) -> int:
    """The code point that starts at position. data is valid UTF-8; a sequence cut off by limit reads as U+FFFD."""
    lead = np.int64(data[position])
    size = width(lead)
    if size == 1:
        return lead
    if position + size > limit:
        return 0xFFFD
    number = lead & (0x7F >> size)
    for following in range(position + 1, position + size):
        number = (number << 6) | (np.int64(data[following]) & 0x3F)
    return min(number, NUM_CODE_POINTS - 1)


@kernel
def last_code_point_start(data: Any, start: int, end: int) -> int:
    """Where the last code point of data[start:end] starts; start where the text is empty."""
    position = max(start, end - 1)
    while position > start and (data[position] & 0xC0) == 0x80:
        position -= 1
    return position
