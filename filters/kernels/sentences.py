"""Sentences of lines by a few marks and titles: C4's native splitter, on any lines."""

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.buffers import TextBuffers
from filters.kernels.c4_lines import ends_sentence, title_table
from filters.kernels.jit import kernel


def count_native_sentences(
    text: TextBuffers, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Sentences of each line: int64 (num_lines,), 0 for an empty one. starts, ends: int64 (num_lines,), bytes.

    One, and one more after each . ! ? that another sentence follows; see the page of filters.c4.
    """
    counts = np.zeros(len(starts), np.int64)
    _count(text.data, (starts, ends), title_table(), counts)
    return counts


@kernel
def _count(data: Any, spans: Any, titles: Any, counts: Any) -> None:
    starts, ends = spans
    for line in range(len(counts)):
        counts[line] = ends[line] > starts[line]
        for position in range(starts[line], ends[line]):
            byte = data[position]
            if byte == ord(".") or byte == ord("!") or byte == ord("?"):
                counts[line] += ends_sentence(data, position, (starts[line], ends[line]), titles)
