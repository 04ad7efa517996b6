"""Eight bytes at a time: loads, masks and the one hash of byte strings.

All arithmetic is on uint64 and wraps modulo 2**64; constants are spelled as uint64, since numba turns uint64 op int64
into float64. Bytes are taken as little-endian, so every hash is the same on every machine that numba runs on.
"""

from typing import Any

import numpy as np

from filters.kernels.jit import intrinsic, kernel

LOW_BITS = np.uint64(0x0101010101010101)
HIGH_BITS = np.uint64(0x8080808080808080)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_EIGHT = np.uint64(8)
_SEVEN = np.uint64(7)
_LENGTH_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd
_STEP_FACTOR = np.uint64(0xD6E8FEB86659FD93)  # odd, as are all factors: multiplication is then a bijection
_MIX_SHIFT = np.uint64(32)


def _load(_: Any, data: Any, position: Any) -> Any:
    from llvmlite import ir  # type: ignore[import-untyped]
    from numba import types

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        address = builder.gep(array.data, [args[1]])
        return builder.load(builder.bitcast(address, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, types.int64), code


def _trailing_zeros(_: Any, word: Any) -> Any:
    from llvmlite import ir
    from numba import types

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), code


def _ones(_: Any, word: Any) -> Any:
    from numba import types

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), code


# load_8(data, position) -> uint64: data[position:position + 8], unaligned; the caller has checked the bound.
load_8: Any = intrinsic(_load)
# trailing_zeros(word) -> int64 in 0..64; num_ones(word) -> int64 in 0..64.
trailing_zeros: Any = intrinsic(_trailing_zeros)
num_ones: Any = intrinsic(_ones)


@kernel
def low_bytes(num_bytes: int) -> Any:
    """uint64 with the lowest num_bytes (0..8) bytes all ones."""
    if num_bytes >= 8:
        return _ALL
    return (np.uint64(1) << (np.uint64(num_bytes) * _EIGHT)) - np.uint64(1)


@kernel
def load_up_to_8(data: Any, start: int, num_bytes: int) -> Any:
    """uint64: num_bytes (0..8) bytes from start, the rest zero. Never reads past the end of data."""
    if start + 8 <= len(data):
        return load_8(data, start) & low_bytes(num_bytes)
    word = np.uint64(0)
    for byte in range(num_bytes):
        word |= np.uint64(data[start + byte]) << (np.uint64(byte) * _EIGHT)
    return word


@kernel
def equal_bytes(word: Any, byte: Any) -> Any:
    """uint64 with the high bit set in each byte of word that equals `byte` (uint64), exact in every byte."""
    difference = word ^ (LOW_BITS * byte)
    low_seven = ~HIGH_BITS
    return ~(((difference & low_seven) + low_seven) | difference | low_seven)


@kernel
def next_byte(data: Any, position: int, limit: int, byte: Any) -> Any:
    """Where `byte` (uint64) is next in data[position:limit]; limit where it is not."""
    while position < limit:
        size = min(8, limit - position)
        found = trailing_zeros(equal_bytes(load_up_to_8(data, position, size), byte)) >> 3
        if found < size:
            return position + found
        position += size
    return limit


@kernel
def num_code_points(data: Any, start: int, end: int) -> Any:
    """Code points that start in data[start:end]: bytes that are not 10xxxxxx."""
    num = end - start
    position = start
    while position + 8 <= end:
        word = load_8(data, position)
        num -= num_ones(word & ~(word << np.uint64(1)) & HIGH_BITS)
        position += 8
    word = load_up_to_8(data, position, end - position)
    return num - num_ones(word & ~(word << np.uint64(1)) & HIGH_BITS)


@kernel
def mix(value: Any) -> Any:
    """A bijection of uint64 in which each input bit flips each output bit about half the time (MurmurHash3's)."""
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@kernel
def hash_bytes(data: Any, start: int, end: int) -> Any:
    """uint64 hash of data[start:end]; equal bytes, equal hash, wherever they lie. Wraps modulo 2**64.

    state = length * 0x9E3779B97F4A7C15; for each 8 bytes (little-endian, the last zero-padded; at least one such):
    state = (state ^ bytes) * 0xD6E8FEB86659FD93, then state ^= state >> 32; the result is mix(state).
    Every step is a bijection, so two strings of one length up to 8 bytes never share a hash. Not for secrets: the
    constants are public.
    """
    num_bytes = end - start
    if num_bytes <= 8:
        return hash_up_to_8(load_up_to_8(data, start, num_bytes), num_bytes)
    state = np.uint64(num_bytes) * _LENGTH_FACTOR
    position = start
    while position + 8 <= end:
        state = _step(state, load_8(data, position))
        position += 8
    if position < end:
        state = _step(state, load_up_to_8(data, position, end - position))
    return mix(state)


@kernel
def hash_up_to_8(word: Any, num_bytes: int) -> Any:
    """hash_bytes of 0 to 8 bytes that are at hand as a zero-padded uint64."""
    return mix(_step(np.uint64(num_bytes) * _LENGTH_FACTOR, word))


@kernel
def hash_up_to_16(first: Any, second: Any, num_bytes: int) -> Any:
    """hash_bytes of 0 to 16 bytes that are at hand as two zero-padded uint64."""
    state = _step(np.uint64(num_bytes) * _LENGTH_FACTOR, first)
    return mix(_step(state, second) if num_bytes > 8 else state)


@kernel
def _step(state: Any, word: Any) -> Any:
    state = (state ^ word) * _STEP_FACTOR
    return state ^ (state >> _MIX_SHIFT)
