"""From labelled lines to the bytes of a fastText model: its dictionary, its training, its quantizing, its file.

fastText and every tool that reads its models can use the files, `.bin` (dense) and `.ftz` (quantized) alike.
"""

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field
from scipy.cluster.vq import vq

from filters.base import Strict
from filters.kernels.buffers import text_buffers
from filters.kernels.fasttext_train import Features, Tokens, train, word_hashes
from manifests.errors import RecipeError

END_MARK = "</s>"

_MAGIC, _VERSION, _SOFTMAX, _SUPERVISED = 793712314, 12, 3, 3
# More buckets than n-grams are wasted; fastText's own default is the most.
_MAX_BUCKETS, _MIN_BUCKETS = 2_000_000, 1_000
_PART_NUMBERS = 2  # of a row that share one byte when it is quantized; fastText's default
_NUM_CENTROIDS = 256
_CENTROID_ROUNDS = 25

Floats = npt.NDArray[np.float32]


class FastTextConfig(Strict):
    """How a model is trained. quantize: how many words and n-grams stay, in a few bytes each; None: all, in full."""

    seed: int = Field(default=1, ge=0, lt=1 << 31)
    ngrams: int = Field(default=2, ge=1, le=10)
    dim: int = Field(default=64, ge=2, le=1024, multiple_of=_PART_NUMBERS)
    epochs: int = Field(default=5, ge=1)
    learning_rate: float = Field(default=0.5, gt=0.0, le=10.0)
    min_count: int = Field(default=1, ge=1)
    quantize: int | None = Field(default=None, ge=1)


@dataclass(frozen=True)
class _Model:
    """words: the dictionary's words with their counts, most frequent first; labels with the numbers of their texts."""

    words: list[tuple[str, int]]
    labels: list[tuple[str, int]]
    features: Features
    rows: Floats
    weights: Floats


def train_model(lines: dict[str, list[str]], config: FastTextConfig) -> bytes:
    """The bytes of a model's file. lines: for each label its texts, each as classifier_texts.one_line gives it.

    The texts of a label are taken in their order, those of all labels in turns by their share. Equal lines and config
    give equal bytes. Raises RecipeError if the training runs away.
    """
    in_turns = _in_turns(lines)
    words, tokens = _tokens(in_turns, list(lines), config.min_count)
    num_buckets = min(max(len(tokens.words), _MIN_BUCKETS), _MAX_BUCKETS) if config.ngrams > 1 else 0
    features = Features(np.arange(len(words) + num_buckets, dtype=np.int32), len(words), config.ngrams)
    # Words start at random, n-grams at nothing: those never seen then stay without a say.
    rows = np.zeros((len(features.row_of), config.dim), np.float32)
    random = np.random.Generator(np.random.PCG64(config.seed))
    rows[: len(words)] = random.uniform(-1 / config.dim, 1 / config.dim, (len(words), config.dim))
    labels = [(label, len(texts)) for label, texts in lines.items()]
    model = _Model(words, labels, features, rows, np.zeros((len(lines), config.dim), np.float32))
    _fit(model, tokens, config)
    if config.quantize is not None:
        model = _pruned(model, config.quantize)
        _fit(model, tokens, config)
    return _file(model, config)


def _in_turns(lines: dict[str, list[str]]) -> list[tuple[str, str]]:
    """(label, text) of every text; at any point each label has had its share."""
    places = [((i + 0.5) / len(texts), label, text) for label, texts in lines.items() for i, text in enumerate(texts)]
    return [(label, text) for _, label, text in sorted(places)]


def _tokens(
    lines: Sequence[tuple[str, str]], labels: list[str], min_count: int
) -> tuple[list[tuple[str, int]], Tokens]:
    """The words that count, most frequent first and the end mark among them, and the texts in their numbers."""
    texts = [[*filter(None, line.split(" ")), END_MARK] for _, line in lines]
    counts = Counter(word for text in texts for word in text)
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    words = [(word, count) for word, count in ranked if count >= min_count or word == END_MARK]
    every = text_buffers(pa.array([word for word, _ in ranked], pa.large_string()))
    hashes = dict(zip((word for word, _ in ranked), word_hashes(every.data, every.offsets).tolist(), strict=True))
    number = {word: i for i, (word, _) in enumerate(words)}
    lengths = np.array([len(text) for text in texts], np.int64)
    return words, Tokens(
        np.array([number.get(word, -1) for text in texts for word in text], np.int32),
        np.array([hashes[word] for text in texts for word in text], np.int32),
        np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        np.array([labels.index(label) for label, _ in lines], np.int32),
    )


def _fit(model: _Model, tokens: Tokens, config: FastTextConfig) -> None:
    train(tokens, model.features, model.rows, model.weights, (config.epochs, config.learning_rate))
    if not (np.isfinite(model.rows).all() and np.isfinite(model.weights).all()):
        raise RecipeError(
            f"classifier: the training ran away with learning_rate = {config.learning_rate} and epochs = "
            f"{config.epochs}. Lower them."
        )


def _pruned(model: _Model, num_kept: int) -> _Model:
    """The model with the end mark and the rows of the greatest length only; words stay before n-grams."""
    lengths = np.linalg.norm(model.rows, axis=1)
    lengths[next(i for i, (word, _) in enumerate(model.words) if word == END_MARK)] = np.inf
    kept = np.sort(np.argsort(-lengths, kind="stable")[: min(num_kept, np.count_nonzero(lengths))])
    row_of = np.full(len(lengths), -1, np.int32)
    row_of[kept] = np.arange(len(kept))
    return _Model(
        model.words,
        model.labels,
        model.features._replace(row_of=row_of),
        np.ascontiguousarray(model.rows[kept]),
        model.weights,
    )


def _file(model: _Model, config: FastTextConfig) -> bytes:
    num_words, row_of = model.features.num_words, model.features.row_of
    quantized = config.quantize is not None
    words = [word for word, row in zip(model.words, row_of[:num_words], strict=True) if row >= 0]
    buckets = np.flatnonzero(row_of[num_words:] >= 0)
    num_buckets = len(row_of) - num_words
    arguments = (config.dim, 5, config.epochs, config.min_count, 5, config.ngrams, _SOFTMAX, _SUPERVISED)
    entries = [(word, count, 0) for word, count in words]
    entries += [(f"__label__{label}", count, 1) for label, count in model.labels]
    return b"".join(
        [
            struct.pack("<2i", _MAGIC, _VERSION),
            struct.pack("<12id", *arguments, num_buckets, 0, 0, 100, 1e-4),
            struct.pack("<3i", len(entries), len(words), len(model.labels)),
            struct.pack("<2q", sum(count for _, count, _ in entries), len(buckets) if quantized else -1),
            *(name.encode() + b"\0" + struct.pack("<qb", count, kind) for name, count, kind in entries),
            np.stack([buckets, np.arange(len(buckets))], axis=1).astype("<i4").tobytes() if quantized else b"",
            _quantized(model.rows, config.seed) if quantized else _dense(model.rows),
            _dense(model.weights),
        ]
    )


def _dense(matrix: Floats) -> bytes:
    return struct.pack("<?2q", False, *matrix.shape) + matrix.astype("<f4").tobytes()


def _quantized(rows: Floats, seed: int) -> bytes:
    """Each row as its length and its direction, the direction in parts of two numbers, each in one byte."""
    num_rows, dim = rows.shape
    lengths = np.linalg.norm(rows, axis=1).astype(np.float32)
    directions = (rows / np.where(lengths > 0, lengths, 1)[:, np.newaxis]).astype(np.float32)
    parts = [_centroids(directions[:, start : start + _PART_NUMBERS], seed) for start in range(0, dim, _PART_NUMBERS)]
    codes = np.stack([code for code, _ in parts], axis=1)
    length_codes, length_centroids = _centroids(lengths[:, np.newaxis], seed)
    return b"".join(
        [
            struct.pack("<??2qi", True, True, num_rows, dim, codes.size),
            codes.tobytes(),
            struct.pack("<4i", dim, len(parts), _PART_NUMBERS, _PART_NUMBERS),
            *(centroids.astype("<f4").tobytes() for _, centroids in parts),
            length_codes.tobytes(),
            struct.pack("<4i", 1, 1, 1, 1),
            length_centroids.astype("<f4").tobytes(),
        ]
    )


def _centroids(points: Floats, seed: int) -> tuple[npt.NDArray[np.uint8], Floats]:
    """The centroid of each point (num_points,) and the centroids (_NUM_CENTROIDS, dim), by Lloyd's rounds.

    The first ones are points at random; one that no point is nearest to stays where it is.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    centroids = points[random.integers(0, len(points), _NUM_CENTROIDS)]
    for _ in range(_CENTROID_ROUNDS):
        nearest, _ = vq(points, centroids, check_finite=False)
        counts = np.bincount(nearest, minlength=_NUM_CENTROIDS)
        sums = [np.bincount(nearest, column, _NUM_CENTROIDS) for column in points.T]
        means = np.stack(sums, axis=1) / np.maximum(counts, 1)[:, np.newaxis]
        centroids = np.where(counts[:, np.newaxis] > 0, means, centroids).astype(np.float32)
    return vq(points, centroids, check_finite=False)[0].astype(np.uint8), centroids
