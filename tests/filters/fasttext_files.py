"""Small fastText models with known weights, written byte by byte: training makes others on each machine."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.reference.fasttext import Model

SKIPGRAM, SUPERVISED = 2, 3
TREE, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4
_MAGIC, _VERSION = 793712314, 12

Vectors = Mapping[str, Sequence[float]]


def write_model(path: Path, words: Vectors, labels: Vectors, kind: int = SUPERVISED) -> str:
    """Write a dense model whose score is softmax(labels @ mean(words of the text)); returns the path.

    Words outside `words` are ignored; vectors all have the same length.
    """
    dimension = len(next(iter(words.values())))
    model = Model(
        words=[word.encode() for word in words],
        labels=list(labels),
        rows=np.array([*words.values()], np.float32),
        weights=np.array([*labels.values()], np.float32).reshape(len(labels), dimension),
    )
    return write_parts(path, model, SOFTMAX, kind)


def write_parts(path: Path, model: Model, loss: int, kind: int = SUPERVISED) -> str:
    """Write a dense model from its parts; returns the path."""
    sizes = (model.max_words, loss, kind, model.num_buckets, model.min_chars, model.max_chars, 100)
    counts = [1] * len(model.words) + (model.label_counts or [1] * len(model.labels))
    names = [*model.words, *(f"__label__{label}".encode() for label in model.labels)]
    kinds = [0] * len(model.words) + [1] * len(model.labels)
    pruned = model.pruned or {}
    parts = [
        struct.pack("<2i", _MAGIC, _VERSION),
        struct.pack("<5i7id", model.rows.shape[1], 5, 1, 1, 5, *sizes, 1e-4),
        struct.pack("<3i2q", len(names), len(model.words), len(model.labels), len(names), _num_pruned(model)),
        *(name + b"\0" + struct.pack("<qb", *rest) for name, *rest in zip(names, counts, kinds, strict=True)),
        *(struct.pack("<2i", bucket, row) for bucket, row in pruned.items()),
        _matrix(model.rows),
        _matrix(model.weights),
    ]
    path.write_bytes(b"".join(parts))
    return str(path)


def _num_pruned(model: Model) -> int:
    return -1 if model.pruned is None else len(model.pruned)


def _matrix(values: np.ndarray) -> bytes:
    """Not quantized, then rows, columns and float32 values."""
    return struct.pack("<?2q", False, *values.shape) + values.astype("<f4").tobytes()
