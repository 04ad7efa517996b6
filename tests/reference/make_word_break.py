"""Writes filters/kernels/word_break.py: the properties of Unicode 15.0 that word boundaries depend on.

Run with `python -m tests.reference.make_word_break FOLDER`, where FOLDER holds uniseg 0.8.1 (pip install --target).
Word_Break comes from there: its tables are Unicode 15.0's WordBreakProperty.txt. It lacks Extended_Pictographic, which
comes from the installed uniseg 0.10.1 and did not change from Unicode 13.0 to its 16.0: 3,537 code points. Tests hold
the result against Unicode's WordBreakTest.txt.
"""

import sys
import textwrap
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from uniseg.emoji import extended_pictographic

from tests.shared import ROOT

PROPERTIES = (
    *("CR", "LF", "Newline", "Extend", "ZWJ", "Format", "Regional_Indicator", "Katakana", "Hebrew_Letter", "ALetter"),
    *("Single_Quote", "Double_Quote", "MidNumLet", "MidLetter", "MidNum", "Numeric", "ExtendNumLet", "WSegSpace"),
)
_HEAD = '''"""Word_Break and Extended_Pictographic of Unicode 15.0; made by tests/reference/make_word_break.py."""

VERSION = "15.0"

# Ranges of code points in base 36: how many code points after the end of the one before, and how many more than one.
'''


def ranges(holds: Callable[[int], bool]) -> str:
    """The code points for which it holds, as `RANGES` keeps them."""
    text = []
    last = 0
    for found, run in groupby(range(0x110000), holds):
        if found:
            numbers = list(run)
            more = len(numbers) - 1
            text.append(_base_36(numbers[0] - last) + (f"+{_base_36(more)}" if more else ""))
            last = numbers[-1]
    return " ".join(text)


def _base_36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return (_base_36(number // 36) if number >= 36 else "") + digits[number % 36]


def _word_break(folder: str) -> list[str]:
    """The value of each code point by the uniseg in the folder."""
    for name in [name for name in sys.modules if name.split(".")[0] == "uniseg"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    from uniseg.wordbreak import word_break

    return [word_break(chr(number)).value for number in range(0x110000)]


def module(folder: str) -> str:
    """The source of filters/kernels/word_break.py; folder: where uniseg 0.8.1 is."""
    values = _word_break(folder)
    named = {name: ranges(lambda number, name=name: values[number] == name) for name in PROPERTIES}
    named["Extended_Pictographic"] = ranges(lambda number: bool(extended_pictographic(chr(number))))
    lines = ["RANGES = {"]
    for name, text in named.items():
        rows = textwrap.wrap(text, 108)
        lines.append(f'    "{name}": (' if len(rows) > 1 else f'    "{name}": "{text}",')
        if len(rows) > 1:
            lines += [f'        "{row} "' for row in rows[:-1]] + [f'        "{rows[-1]}"', "    ),"]
    return _HEAD + "\n".join([*lines, "}"]) + "\n"


if __name__ == "__main__":
    Path(ROOT, "filters", "kernels", "word_break.py").write_text(module(sys.argv[1]), "utf-8")
