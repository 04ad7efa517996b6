"""The order of rows as a function of (seed, epoch, position): no state, no shuffle buffer, any number of workers.

Two levels, so that a corpus larger than memory is still read in runs: blocks of rows (one Parquet row group each) are
permuted, consecutive blocks of that order form a window, and rows are permuted inside their window. A corpus of one
window, up to WINDOW_BYTES of tokens, gets a permutation of all its rows.
"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from manifests.manifest import Shard
from manifests.shards import ROW_GROUP_ROWS

Rows = npt.NDArray[np.int64]
WINDOW_BYTES = 256 * 1024 * 1024
NUM_ROUNDS = 8


def permute(values: Rows, size: int, key: str, *, inverse: bool = False) -> Rows:
    """A keyed bijection of [0, size), or the one that undoes it, applied to each value.

    Balanced Feistel network over the smallest even number of bits that holds size, with cycle walking: a result
    outside the domain is put through again, less than four times on average. Arithmetic is uint64, wraps mod 2**64.
    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains", cycle-walking cipher.
    """
    half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
    keys = np.frombuffer(hashlib.sha512(key.encode()).digest(), dtype="<u8", count=NUM_ROUNDS)
    network = _feistel_back if inverse else _feistel
    result = network(values.astype(np.uint64), half_bits, keys)
    outside = np.flatnonzero(result >= size)
    while outside.size:
        result[outside] = network(result[outside], half_bits, keys)
        outside = outside[result[outside] >= size]
    return result.astype(np.int64)


def _feistel(values: npt.NDArray[np.uint64], half_bits: int, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (mix(right + key) & mask)
    return (left << shift) | right


def _feistel_back(
    values: npt.NDArray[np.uint64], half_bits: int, keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for key in keys[::-1]:
        left, right = right ^ (mix(left + key) & mask), left
    return (left << shift) | right


def mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every input bit moves every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@dataclass(frozen=True)
class Order:
    """Row numbers by position. `block_rows`: rows of each block, in storage order; all > 0, at least one block."""

    seed: int
    block_rows: tuple[int, ...]
    blocks_per_window: int

    @property
    def num_rows(self) -> int:
        return sum(self.block_rows)

    def rows(self, positions: Rows) -> Rows:
        """Row number at each position; position p is place p % num_rows of epoch p // num_rows."""
        epochs, inside = np.divmod(positions, self.num_rows)
        result = np.empty_like(inside)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            result[chosen] = self._epoch_rows(inside[chosen], int(epoch))
        return result

    def positions(self, rows: Rows, epoch: int) -> Rows:
        """The position of each row in an epoch: what `rows` undoes."""
        first_rows, ends = _layout(self, epoch)
        storage_order = np.argsort(first_rows)
        blocks = storage_order[np.searchsorted(first_rows[storage_order], rows, side="right") - 1]
        places = _starts(ends, blocks) + rows - first_rows[blocks]
        return epoch * self.num_rows + self._in_windows(places, epoch, inverse=True)

    def _epoch_rows(self, positions: Rows, epoch: int) -> Rows:
        first_rows, ends = _layout(self, epoch)
        places = self._in_windows(positions, epoch, inverse=False)
        blocks = np.searchsorted(ends, places, side="right")
        return first_rows[blocks] + places - _starts(ends, blocks)

    def _in_windows(self, places: Rows, epoch: int, *, inverse: bool) -> Rows:
        """Places in the order of blocks, shuffled inside their windows, or the other way round."""
        _, ends = _layout(self, epoch)
        last_blocks = np.arange(self.blocks_per_window - 1, len(ends), self.blocks_per_window)
        window_ends = np.union1d(ends[last_blocks], ends[-1:])
        windows = np.searchsorted(window_ends, places, side="right")
        result = np.empty_like(places)
        for window in np.unique(windows):
            start = int(window_ends[window - 1]) if window else 0
            chosen = windows == window
            key = f"rows\0{self.seed}\0{epoch}\0{window}"
            size = int(window_ends[window]) - start
            result[chosen] = start + permute(places[chosen] - start, size, key, inverse=inverse)
        return result


def _starts(ends: Rows, blocks: Rows) -> Rows:
    """Where blocks begin in the order whose blocks end at `ends`."""
    starts: Rows = np.where(blocks > 0, ends[blocks - 1], 0)
    return starts


@functools.lru_cache(maxsize=4)
def _layout(order: Order, epoch: int) -> tuple[Rows, Rows]:
    """For the blocks in this epoch's order: number of the first row, and where the block ends in the order."""
    sizes = np.array(order.block_rows, dtype=np.int64)
    blocks = permute(np.arange(len(sizes), dtype=np.int64), len(sizes), f"blocks\0{order.seed}\0{epoch}")
    starts = np.cumsum(sizes) - sizes
    return starts[blocks], np.cumsum(sizes[blocks])


def order_of(packed: Sequence[Shard], row_bytes: int, seed: int) -> Order:
    """The order over packed shards; needs nothing but the manifest. row_bytes: bytes of the tokens of one row."""
    block_rows = [
        min(ROW_GROUP_ROWS, shard.rows - start) for shard in packed for start in range(0, shard.rows, ROW_GROUP_ROWS)
    ]
    return Order(seed, tuple(block_rows), max(1, WINDOW_BYTES // (ROW_GROUP_ROWS * row_bytes)))
