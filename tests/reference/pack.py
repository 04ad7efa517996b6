"""The slow, obvious twins of filters/kernels/pack.py."""

import numpy as np


def best_fit(sizes, capacity):
    room, stamp, row_of = [], [], []  # per row: room left, and the item that was placed there last
    for item, size in enumerate(sizes):
        fitting = [row for row in range(len(room)) if room[row] >= size]
        if fitting:
            row = min(fitting, key=lambda row: (room[row], -stamp[row]))
        else:
            row = len(room)
            room.append(capacity)
            stamp.append(-1)
        room[row] -= size
        stamp[row] = item
        row_of.append(row)
    return row_of, len(room)


def copy_pieces(tokens, starts, lengths, places, out):
    for start, length, place in zip(starts, lengths, places, strict=True):
        out[place : place + length] = tokens[start : start + length]


def sum_pieces(tokens, starts, lengths, weights):
    return [
        int(np.sum(weights[tokens[start : start + length]], dtype=np.int64))
        for start, length in zip(starts, lengths, strict=True)
    ]
