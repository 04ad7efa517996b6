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
SENTENCE_END = 4  # listed below
NUM_CODE_POINTS = 0x110000

# Code points with Unicode's property Sentence_Terminal (PropList.txt), which Python's tables do not have: 159 marks
# such as . ! ? 。 ؟ ।, the same set that datatrove 0.10.1 ends lines with. No quotation marks, brackets or ellipses.
_SENTENCE_ENDS = (
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D6 "
    "17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 "
    "2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB "
    "FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 "
    "111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 "
    "1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 "
    "16B37-16B38 16B44 16E98 1BC9F 1DA88 "
)


def all_characters() -> npt.NDArray[np.str_]:
    """Every code point as a string of one character: str (0x110000,). NumPy asks Python's own tables about them.

    A loop over chr() takes 0.1 s for each property; np.strings takes 0.01.
    """
    return np.arange(NUM_CODE_POINTS, dtype=np.uint32).view("U1")


@cache
def code_point_classes() -> npt.NDArray[np.uint8]:
    """LETTER, SPACE and SENTENCE_END bits of each code point: uint8 (0x110000,), read-only. Made once in a process."""
    classes = np.zeros(NUM_CODE_POINTS, np.uint8)
    classes[np.strings.isalpha(all_characters())] |= LETTER
    classes[np.strings.isspace(all_characters())] |= SPACE
    for span in _SENTENCE_ENDS.split():
        first, _, last = span.partition("-")
        classes[int(first, 16) : int(last or first, 16) + 1] |= SENTENCE_END
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
def code_point(data: Any, position: int, limit: int) -> Any:
    """The code point that starts at position. data is valid UTF-8; a sequence cut off by limit reads as U+FFFD."""
    lead: Any = np.int64(data[position])
    size = width(lead)
    if size == 1:
        return lead
    if position + size > limit:
        return 0xFFFD
    number: Any = lead & (0x7F >> size)
    for following in range(position + 1, position + size):
        number = (number << 6) | (np.int64(data[following]) & 0x3F)
    return number if number < NUM_CODE_POINTS else 0xFFFD


@kernel
def last_code_point_start(data: Any, start: int, end: int) -> int:
    """Where the last code point of data[start:end] starts; start where the text is empty."""
    position = max(start, end - 1)
    while position > start and (data[position] & 0xC0) == 0x80:
        position -= 1
    return position
