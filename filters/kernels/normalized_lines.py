"""Lines as keys under which they are equal when only case, digits, punctuation or blanks differ.

A normalized line is what is left of its code points, one by one:

    white space, punctuation, symbols, control and format characters (categories Z, P, S, Cc, Cf)   nothing
    decimal digits (Nd)                                                                              0
    upper-case letters whose lower-case form is one letter                                           that letter
    everything else, and all code points above U+FFFF                                                itself

Categories are those of Unicode 3.2, frozen in every Python, so that keys do not change with the interpreter; what came
to Unicode later stands for itself. `Call (0)30/12-34!` and `call 99 30 567` are both `call0000000`.
CCNet (Wenzek et al. 2020, section 3.1 and its code) strips a line, lowers it, turns digits to 0 and deletes control
characters and 34 marks, of which none is ASCII. Here all marks go, and blanks inside a line too.
"""

import unicodedata
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import mix
from filters.kernels.jit import kernel
from filters.kernels.minhash import ALONE, absorb, fold_table
from filters.kernels.unicode import code_point, width

_START = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio


@cache
def normalization_table() -> npt.NDArray[np.uint16]:
    """uint16 (65536,): what each code point of the basic plane becomes; 0 where it is left out. Read-only.

    Made once in a process, in 0.03 s.
    """
    table = (fold_table() & np.uint32(ALONE - 1)).astype(np.uint16)  # lower case
    categories = np.array([unicodedata.ucd_3_2_0.category(chr(code)) for code in range(1 << 16)])
    table[np.isin(categories.astype("U1"), ("Z", "P", "S")) | np.isin(categories, ("Cc", "Cf"))] = 0
    table[categories == "Nd"] = ord("0")
    table.setflags(write=False)
    return table


def line_keys(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Hash and number of code points of each normalized line: uint64 and int64, both (num_lines,).

    data: uint8, valid UTF-8; line i is data[starts[i]:ends[i]], which may hold line feeds. Two different normalized
    lines share a hash with a chance of 2**-64. Nothing is allocated for a line. The arithmetic wraps modulo 2**64:
    state = 2**64 / golden ratio; for each code point state = (state ^ code point) * odd factor, state ^= state >> 32;
    the hash is mix(state ^ number of code points).
    """
    keys = np.empty(len(starts), np.uint64)
    num_chars = np.empty(len(starts), np.int64)
    _hash_lines(data, (starts, ends), normalization_table(), keys, num_chars)
    return keys, num_chars


@kernel
def _hash_lines(data: Any, bounds: Any, table: Any, keys: Any, num_chars: Any) -> None:
    starts, ends = bounds
    for line in range(len(starts)):
        position, end = starts[line], ends[line]
        state, num = _START, 0
        while position < end:
            byte = data[position]
            code = np.int64(byte) if byte < 0x80 else code_point(data, position, end)
            position += 1 if byte < 0x80 else width(byte)
            entry = np.int64(table[code]) if code < len(table) else code
            stepped = absorb(state, np.uint64(entry))
            # Chosen without a branch: where words end cannot be guessed, and a wrong guess costs as much as ten steps.
            state = stepped if entry else state
            num += entry != 0
        keys[line], num_chars[line] = mix(state ^ np.uint64(num)), num
