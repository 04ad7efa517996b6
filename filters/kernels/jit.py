"""The one decorator for compiled kernels, and the time that compiling took.

numba is imported when a kernel is first called: with the forms of 200 kernels it takes a quarter of a second, which
commands that read only stored scores do not pay.
"""

from collections.abc import Callable
from functools import cache, cached_property, update_wrapper
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class Compiled:
    """What numba makes of a function, made when it is called or when a kernel that calls it is compiled."""

    def __init__(self, function: Callable[..., Any], make: Callable[[Callable[..., Any]], Any]) -> None:
        update_wrapper(self, function)
        self._function, self._make = function, make

    @cached_property
    def _made(self) -> Any:
        return self._make(self._function)

    def __call__(self, *arguments: Any) -> Any:
        return self._made(*arguments)

    @property
    def _numba_type_(self) -> Any:
        """Where numba asks an object among a kernel's globals what it is."""
        from numba.core.registry import cpu_target

        made = self._made
        cpu_target.typing_context.refresh()  # an intrinsic is known from its next refresh on
        return cpu_target.typing_context.resolve_value_type(made)


def kernel(function: F) -> F:
    """Compile to native code on first call, release the GIL, keep the machine code on disk (see filters.kernels.cache).

    No fastmath: counts, hashes and scores must be equal on every machine. Integer arithmetic wraps modulo 2**64 where
    a kernel says so; such kernels spell out uint64 on both sides, since numba turns uint64 op int64 into float64.
    Kernels have no declared signature: read-only buffers (from Ray, IPC, memory maps) and writable ones both compile.

    A kernel called by another becomes part of it (forceinline): left to itself, LLVM calls even three-line helpers and
    counts references to their arrays; finding words ran 1.4 times, folding them for MinHash 1.75 times as fast inline.
    """
    return cast("F", Compiled(function, dispatcher))


def intrinsic(function: Callable[..., Any]) -> Any:
    """numba.extending.intrinsic: `function` takes types and returns a signature and what writes the instructions."""
    return Compiled(function, _intrinsic)


def dispatcher(function: Callable[..., Any], **options: Any) -> Any:
    """What numba.njit makes of a function, with a cache of ours."""
    import numba

    from filters.kernels.cache import KernelCache, kernel_folder, why_unusable

    _compiling()
    dispatcher = numba.njit(nogil=True, error_model="numpy", forceinline=True, **options)(function)
    if why_unusable(kernel_folder()) is None:
        dispatcher._cache = KernelCache(function)  # what numba's enable_caching does
    return dispatcher


def compile_seconds() -> float:
    """Wall seconds that this process has spent compiling kernels; 0.0 if it found them all on disk."""
    return float(_compiling().duration) if _compiling().done else 0.0


@cache
def _compiling() -> Any:
    """The timer of compiling that numba has, running since the first kernel."""
    from numba.core import event

    listener = event.TimingListener()
    event.register("numba:compile", listener)
    return listener


def _intrinsic(function: Callable[..., Any]) -> Any:
    from numba.extending import intrinsic

    return intrinsic(function)
