"""The slow, obvious twin of filters.kernels.normalized_lines: Python strings, one character at a time."""

import unicodedata

from tests.reference.minhash import START, absorb, mix


def normalized(line: str) -> str:
    return "".join(map(_normalized, line))


def _normalized(character: str) -> str:
    if character > "\uffff":
        return character
    category = unicodedata.ucd_3_2_0.category
    kind, lower = category(character), character.lower()
    if kind[0] in "ZPS" or kind in ("Cc", "Cf"):
        return ""
    if kind == "Nd":
        return "0"
    return lower if kind == "Lu" and len(lower) == 1 and category(lower) == "Ll" else character


def key(line: str) -> int:
    """The key of a normalized line."""
    state = START
    for character in line:
        state = absorb(state, ord(character))
    return mix(state ^ len(line))
