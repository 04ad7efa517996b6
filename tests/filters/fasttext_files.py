"""Small fastText models with known weights, written byte by byte: training makes others on each machine."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

SKIPGRAM, SUPERVISED = 2, 3
_MAGIC, _VERSION, _SOFTMAX = 793712314, 12, 3

Vectors = Mapping[str, Sequence[float]]


def write_model(path: Path, words: Vectors, labels: Vectors, kind: int = SUPERVISED) -> str:
    """Write a dense model whose score is softmax(labels @ mean(words of the text)); returns the path.

    Words outside `words` are ignored; vectors all have the same length.
    """
    dimension = len(next(iter(words.values())))
    arguments = (dimension, 5, 1, 1, 5, 1, _SOFTMAX, kind, 0, 0, 0, 100)
    entries = [(word, 0) for word in words] + [(f"__label__{label}", 1) for label in labels]
    parts = [
        struct.pack("<2i", _MAGIC, _VERSION),
        struct.pack("<12id", *arguments, 1e-4),
        struct.pack("<3i2q", len(entries), len(words), len(labels), len(entries), -1),
        *(name.encode() + b"\0" + struct.pack("<qb", 1, entry_kind) for name, entry_kind in entries),
        _matrix(words, dimension),
        _matrix(labels, dimension),
    ]
    path.write_bytes(b"".join(parts))
    return str(path)


def _matrix(rows: Vectors, dimension: int) -> bytes:
    """Not quantized, then rows, columns and float32 values."""
    values = [value for row in rows.values() for value in row]
    return struct.pack("<?2q", False, len(rows), dimension) + struct.pack(f"<{len(values)}f", *values)
