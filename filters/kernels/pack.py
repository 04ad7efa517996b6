"""Kernels for packing: best-fit placement, and gathering pieces of documents into rows."""

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.jit import kernel

Ints = npt.NDArray[np.int64]


def best_fit(sizes: Ints, capacity: int) -> tuple[Ints, int]:
    """Place items, in the given order, each into the fullest row that still has room for it.

    sizes: int64 (num_items,), each in [1, capacity]. Returns the row of each item, int64 (num_items,), and the number
    of rows; rows are numbered as they are opened. Of equally full rows the one that became so full last is taken.
    Best-fit-decreasing (Ding et al. 2024, arXiv 2404.10830) is this with sizes in descending order.
    """
    levels = 1
    while levels < capacity + 1:
        levels *= 2
    row_of, num_rows = _best_fit(np.ascontiguousarray(sizes, np.int64), capacity, levels)
    return row_of, num_rows


@kernel
def _best_fit(sizes: Any, capacity: int, levels: int) -> Any:
    # rooms[levels + r] is 1 while a row with r tokens of room is open; each parent holds the sum of its two children.
    rooms = np.zeros(2 * levels, np.int64)
    newest = np.full(capacity + 1, -1, np.int64)  # the last row that came to have this much room
    older = np.empty(len(sizes), np.int64)  # the row that came to have as much room before this one
    row_of = np.empty(len(sizes), np.int64)
    num_rows = 0
    for item in range(len(sizes)):
        size = sizes[item]
        room = _least_room(rooms, levels, size)
        if room < 0:
            row, room = num_rows, capacity
            num_rows += 1
        else:
            row = newest[room]
            newest[room] = older[row]
            if newest[room] < 0:
                _mark(rooms, levels + room, -1)
        row_of[item] = row
        left = room - size
        if left > 0:
            if newest[left] < 0:
                _mark(rooms, levels + left, 1)
            older[row] = newest[left]
            newest[left] = row
    return row_of, num_rows


@kernel
def _least_room(rooms: Any, levels: int, size: int) -> int:
    """The least room of at least `size` among open rows, or -1. size < levels."""
    node = levels + size
    if rooms[node] > 0:
        return size
    # Climb until a right neighbour holds an open row, then go down to its leftmost leaf.
    while node > 1 and (node % 2 == 1 or rooms[node + 1] == 0):
        node //= 2
    if node <= 1:
        return -1
    node += 1
    while node < levels:
        node = 2 * node if rooms[2 * node] > 0 else 2 * node + 1
    return node - levels


@kernel
def _mark(rooms: Any, node: int, change: int) -> None:
    while node >= 1:
        rooms[node] += change
        node //= 2


@kernel
def copy_pieces(tokens: Any, starts: Any, lengths: Any, places: Any, out: Any) -> None:
    """Copy tokens[starts[i]:starts[i] + lengths[i]] to out[places[i]:...] for each i.

    tokens, out: uint8 (text), uint16 or uint32, 1-D, of one type; starts, lengths, places: int64 (num_pieces,). Pieces
    do not overlap in out. What no piece covers is left as it is.
    """
    for piece in range(len(starts)):
        start, place = starts[piece], places[piece]
        for index in range(lengths[piece]):
            out[place + index] = tokens[start + index]


@kernel
def sum_pieces(tokens: Any, starts: Any, lengths: Any, weights: Any) -> Any:
    """int64 (num_pieces,): the sum of weights[token] over the tokens of each piece.

    tokens: uint16 or uint32 (num_tokens,); starts, lengths: int64 (num_pieces,); weights: int32 (vocab_size,), an entry
    for every token.
    """
    sums = np.zeros(len(starts), np.int64)
    for piece in range(len(starts)):
        total = 0
        for index in range(starts[piece], starts[piece] + lengths[piece]):
            total += weights[tokens[index]]
        sums[piece] = total
    return sums
