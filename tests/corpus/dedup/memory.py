"""How much memory a call takes."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pyarrow as pa


def peak_bytes(call: Callable[[], Any]) -> int:
    """The most that Python and numpy hold during the call, and the most that Arrow does, beyond what was there."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] + int(pool.max_memory())
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)
