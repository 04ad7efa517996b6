"""The one decorator for compiled kernels, and the time that compiling took."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import event

from filters.kernels.cache import KernelCache, kernel_folder, why_unusable

F = TypeVar("F", bound=Callable[..., Any])

_compiling = event.TimingListener()
event.register("numba:compile", _compiling)


def kernel(function: F) -> F:
    """Compile to native code on first call, release the GIL, keep the machine code on disk (see filters.kernels.cache).

    No fastmath: counts, hashes and scores must be equal on every machine. Integer arithmetic wraps modulo 2**64 where
    a kernel says so; such kernels spell out uint64 on both sides, since numba turns uint64 op int64 into float64.
    Kernels have no declared signature: read-only buffers (from Ray, IPC, memory maps) and writable ones both compile.

    A kernel called by another becomes part of it (forceinline): left to itself, LLVM calls even three-line helpers and
    counts references to their arrays; finding words ran 1.4 times, folding them for MinHash 1.75 times as fast inline.
    """
    dispatcher = numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)
    if why_unusable(kernel_folder()) is None:
        dispatcher._cache = KernelCache(function)  # what numba's enable_caching does, with a cache of ours
    return cast("F", dispatcher)


def compile_seconds() -> float:
    """Wall seconds that this process has spent compiling kernels; 0.0 if it found them all on disk."""
    return float(_compiling.duration) if _compiling.done else 0.0
