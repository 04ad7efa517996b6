"""The one decorator for compiled kernels."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile to native code on first call, release the GIL, keep the machine code on disk.

    No fastmath: counts, hashes and scores must be equal on every machine. Integer arithmetic wraps modulo 2**64 where
    a kernel says so; such kernels spell out uint64 on both sides, since numba turns uint64 op int64 into float64.
    Kernels have no declared signature: read-only buffers (from Ray, IPC, memory maps) and writable ones both compile.
    """
    return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))
