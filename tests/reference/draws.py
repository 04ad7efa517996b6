"""Slow twin of trainer/draws.py: splitmix64 in Python's integers."""

import hashlib

WRAP = 2**64


def mix(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % WRAP
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % WRAP
    return value ^ (value >> 31)


def draw(key: str, *counters: int) -> int:
    state = int.from_bytes(hashlib.sha512(key.encode()).digest()[:8], "little")
    for counter in counters:
        state = mix((state + (counter + 1) * 0x9E3779B97F4A7C15) % WRAP)
    return state


def fraction(value: int) -> float:
    return (value // 2**11) / 2**53


def below(value: int, bound: int) -> int:
    return (value // 2**32) * bound // 2**32
