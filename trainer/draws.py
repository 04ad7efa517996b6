"""Random draws as a function of what they are for, without state: equal on any number of workers and after a resume."""

import hashlib

import numpy as np
import numpy.typing as npt

from trainer.order import Rows, mix

Draws = npt.NDArray[np.uint64]
_GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)


def draw(key: str, *counters: Rows) -> Draws:
    """uint64, uniform: one for each place of the counters, which are broadcast; other keys are other draws.

    Value number c of splitmix64 seeded with the draw for the counters before c (Steele, Lea and Flood 2014); the first
    seed is the start of the key's SHA-512. counters: int64, not negative. uint64, wraps mod 2**64.
    """
    state = np.frombuffer(hashlib.sha512(key.encode()).digest(), dtype="<u8", count=1)
    for counter in counters:
        state = mix(state + (counter.astype(np.uint64) + np.uint64(1)) * _GOLDEN_RATIO)
    return state


def fraction(draws: Draws) -> npt.NDArray[np.float64]:
    """float64 in [0, 1): the upper 53 bits."""
    result: npt.NDArray[np.float64] = (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return result


def below(draws: Draws, bound: Rows | int) -> Rows:
    """int64 in [0, bound), for bounds in [1, 2**32): the upper 32 bits, scaled (Lemire 2019)."""
    scaled = ((draws >> np.uint64(32)) * np.asarray(bound, dtype=np.uint64)) >> np.uint64(32)
    return scaled.astype(np.int64)
