"""Words as fastText reads them: what lies between ASCII blanks and NUL. No other white space separates."""

from typing import Any

import numpy as np

from filters.kernels.bare import bare_kernel
from filters.kernels.bits import hash_bytes
from filters.kernels.buffers import TextBuffers
from filters.kernels.unicode import code_point_classes
from filters.kernels.words import Words, filled_words
from filters.kernels.words_spacy import char_facts

_SEPARATORS = np.uint64(sum(1 << ord(byte) for byte in " \t\n\v\f\r\0"))


def find_words(text: TextBuffers) -> Words:
    """The words of each text: fasttext.tokenize without the "</s>" that it gives for each line feed."""
    capacity = int(text.offsets[-1] - text.offsets[0]) // 2 + text.num_documents + 1
    return filled_words(text, capacity, code_point_classes(), _find_words)


@bare_kernel
def _find_words(data: Any, offsets: Any, classes: Any, out: Any, word_offsets: Any) -> None:
    starts, ends, hashes, num_chars, has_letter = out
    word = 0
    for document in range(len(offsets) - 1):
        position, limit = offsets[document], offsets[document + 1]
        while position < limit:
            start = position
            while position < limit and not _is_separator(data[position]):
                position += 1
            if position > start:
                starts[word] = start
                ends[word] = position
                hashes[word] = hash_bytes(data, start, position)
                num_chars[word], has_letter[word] = char_facts(data, start, position, classes)
                word += 1
            position += 1
        word_offsets[document + 1] = word


@bare_kernel
def _is_separator(byte: int) -> Any:
    return byte <= 0x20 and (_SEPARATORS >> np.uint64(byte)) & np.uint64(1) != np.uint64(0)
