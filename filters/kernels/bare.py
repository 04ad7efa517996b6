"""The decorator for kernels that make no arrays."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from filters.kernels.jit import Compiled, dispatcher

F = TypeVar("F", bound=Callable[..., Any])


def bare_kernel(function: F) -> F:
    """As filters.kernels.jit.kernel, for code that only writes to arrays it is given.

    numba then counts no references to them. Where many helpers take several arrays, counting takes most of the time:
    cutting spaCy's words ran 1.7 times as fast without. Code that makes an array does not compile. `_nrt` is numba's
    own name for the switch.
    """
    return cast("F", Compiled(function, partial(dispatcher, _nrt=False)))
