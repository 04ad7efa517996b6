"""The order of rows as a function of (key, epoch, position): no state, no shuffle buffer, any number of workers.

Two levels, so that a corpus larger than memory is still read in runs: blocks of rows (one Parquet row group each) are
permuted, consecutive blocks of that order form a window, and rows are permuted inside their window. What fits into
one window gets a permutation of all its rows.
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


def hash_fractions(values: Rows, key: str) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each value, int64 >= 0, that depends on value and key alone; multiples of 2**-53."""
    start = np.frombuffer(hashlib.sha512(key.encode()).digest(), dtype="<u8", count=1)[0]
    fractions: npt.NDArray[np.float64] = (mix(values.astype(np.uint64) + start) >> np.uint64(11)) / 2.0**53
    return fractions


class Order:
    """Row numbers by position: place p % num_rows of epoch p // num_rows.

    key: names the order, for example by the seed; another key is another order. first_rows, sizes: int64
    (num_blocks,), the blocks' first row and number of rows, all > 0. strata: int64 (num_blocks,), the blocks' kinds
    (sources): every window has its share of each kind, to one block. Windows are of window_rows and at most one block
    more.
    """

    def __init__(self, key: str, first_rows: Rows, sizes: Rows, strata: Rows, window_rows: int) -> None:
        self.key = key
        self.first_rows = first_rows
        self.sizes = sizes
        self.strata = strata
        self.window_rows = window_rows
        self.num_rows = int(sizes.sum())
        self._layout = functools.lru_cache(maxsize=2)(self._make_layout)

    def rows(self, positions: Rows) -> Rows:
        """The row number at each position, from any epoch. int64 in and out."""
        epochs, inside = np.divmod(positions, self.num_rows)
        result = np.empty_like(inside)
        for epoch in np.unique(epochs).tolist():
            chosen = epochs == epoch
            result[chosen] = self._epoch_rows(inside[chosen], epoch)
        return result

    def held(self, rows: Rows) -> Rows:
        """Those of the rows that are in this order."""
        if not len(self.sizes):
            return rows[:0]
        blocks = self._blocks(rows)
        inside = rows - self.first_rows[blocks]
        return rows[(inside >= 0) & (inside < self.sizes[blocks])]

    def positions(self, rows: Rows, epoch: int) -> Rows:
        """The position of each row in an epoch: what `rows` undoes. All rows must be of this order."""
        layout = self._layout(epoch)
        blocks = self._blocks(rows)
        places = layout.starts[np.argsort(layout.blocks)[blocks]] + rows - self.first_rows[blocks]
        return epoch * self.num_rows + self._in_windows(places, epoch, inverse=True)

    def _blocks(self, rows: Rows) -> Rows:
        """The last block that starts at or before each row; the first one for rows before it."""
        blocks: Rows = np.maximum(np.searchsorted(self.first_rows, rows, side="right") - 1, 0)
        return blocks

    def _epoch_rows(self, positions: Rows, epoch: int) -> Rows:
        layout = self._layout(epoch)
        places = self._in_windows(positions, epoch, inverse=False)
        number = np.searchsorted(layout.starts, places, side="right") - 1
        rows: Rows = self.first_rows[layout.blocks[number]] + places - layout.starts[number]
        return rows

    def _in_windows(self, places: Rows, epoch: int, *, inverse: bool) -> Rows:
        """Places in the order of blocks, shuffled inside their windows, or the other way round."""
        bounds = self._layout(epoch).windows
        windows = np.searchsorted(bounds, places, side="right") - 1
        result = np.empty_like(places)
        for window in np.unique(windows).tolist():
            start, end = int(bounds[window]), int(bounds[window + 1])
            chosen = windows == window
            key = f"rows\0{self.key}\0{epoch}\0{window}"
            result[chosen] = start + permute(places[chosen] - start, end - start, key, inverse=inverse)
        return result

    def _make_layout(self, epoch: int) -> "_Layout":
        """Blocks of each kind in a random order, spread evenly over the epoch with a jitter inside their distance."""
        place = np.empty(len(self.sizes), np.float64)
        for stratum in np.unique(self.strata).tolist():
            mine = np.flatnonzero(self.strata == stratum)
            rank = permute(np.arange(len(mine)), len(mine), f"blocks\0{self.key}\0{epoch}\0{stratum}")
            jitter = hash_fractions(np.arange(len(mine)), f"jitter\0{self.key}\0{epoch}\0{stratum}")
            place[mine] = (rank + jitter) / len(mine)
        blocks = np.argsort(place, kind="stable")
        sizes = self.sizes[blocks]
        starts = np.cumsum(sizes) - sizes
        windows = starts[np.unique(starts // self.window_rows, return_index=True)[1]]
        return _Layout(blocks, starts, np.append(windows, self.num_rows))


@dataclass(frozen=True)
class _Layout:
    """The blocks in an epoch's order; where each starts; where windows start, and after them the number of rows."""

    blocks: Rows
    starts: Rows
    windows: Rows


@dataclass(frozen=True, eq=False)
class Blocks:
    """All row groups, int64 (num_blocks,): number of the shard, number in it, first row, rows."""

    shards: Rows
    numbers: Rows
    first_rows: Rows
    sizes: Rows


def blocks_of(packed: Sequence[Shard]) -> Blocks:
    """The row groups of packed shards; needs nothing but the manifest."""
    sizes = [block_sizes(shard.rows) for shard in packed]
    numbers = [np.arange(len(part), dtype=np.int64) for part in sizes]
    flat = np.array([size for part in sizes for size in part], dtype=np.int64)
    shard = np.repeat(np.arange(len(packed), dtype=np.int64), [len(part) for part in sizes])
    return Blocks(shard, np.concatenate([np.empty(0, np.int64), *numbers]), np.cumsum(flat) - flat, flat)


def block_sizes(num_rows: int) -> list[int]:
    """Rows of each row group of a packed shard."""
    return [min(ROW_GROUP_ROWS, num_rows - start) for start in range(0, num_rows, ROW_GROUP_ROWS)]
