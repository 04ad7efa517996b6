"""128-bit keys of folded texts: equal where two texts have the same words, whatever their case, punctuation and space.

Words are folded as for MinHash (see filters.kernels.minhash), so texts with equal keys have equal signatures.
All arithmetic is on uint64 and wraps modulo 2**64.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import mix
from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.minhash import absorb, fold_table, fold_words
from filters.kernels.words import Words

_START_HIGH = np.uint64(0x243F6A8885A308D3)  # the first digits of pi
_START_LOW = np.uint64(0x13198A2E03707344)  # and the next


def word_keys(text: TextBuffers, words: Words) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Keys of a batch's texts, and how many folded words each has.

    words: runs of the same batch, see filters.kernels.words.
    Returns uint64 (num_documents, 2), high and low half, and int64 (num_documents,); a text without words has key 0, 0.
    """
    keys = np.zeros((text.num_documents, 2), np.uint64)
    num_words = np.zeros(text.num_documents, np.int64)
    bounds = (words.starts, words.ends, words.offsets)
    _hash_texts(text.data, text.offsets, bounds, fold_table(), keys, num_words)
    return keys, num_words


@kernel
def _hash_texts(data: Any, offsets: Any, words: Any, table: Any, keys: Any, num_words: Any) -> None:
    """See word_keys."""
    starts, ends, bounds = words
    room = 0
    for document in range(len(bounds) - 1):
        num_bytes = offsets[document + 1] - offsets[document]
        room = max(room, bounds[document + 1] - bounds[document] + 2 * (num_bytes // 3))
    hashes = np.empty(room, np.uint64)
    for document in range(len(bounds) - 1):
        first, last = bounds[document], bounds[document + 1]
        count = fold_words(data, starts[first:last], ends[first:last], table, hashes)
        num_words[document] = count
        if count == 0:
            continue
        high, low = _START_HIGH, _START_LOW
        for word in range(count):
            high = absorb(high, hashes[word])
            low = absorb(low, hashes[word])
        keys[document, 0] = mix(high ^ np.uint64(count))
        keys[document, 1] = mix(low ^ np.uint64(count))
