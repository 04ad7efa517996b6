"""The files of fastText's supervised models, `.bin` and `.ftz`: read to their last byte, or refused.

The library's own loader trusts a file: one that was cut short crashes the process or never returns. Here every size
and index is checked before it is used. A dense matrix stays in the file (memory-mapped), so that all processes of a
machine share it; a quantized one is unpacked to float32.
"""

import mmap
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.kernels.fasttext import SIGMOID, SOFTMAX, TREE, Dictionary, Network, fill_slots, read_entries
from manifests.errors import ModelError

_MAGIC, _SUPERVISED = 793712314, 3
_LOSSES = {1: TREE, 2: SIGMOID, 3: SOFTMAX, 4: SIGMOID}  # hs, ns, softmax, ova
_MIN_ENTRY_BYTES = 10  # an empty word's NUL, count and kind
_NUM_CENTROIDS = 256  # of each part of a quantized row: its code is one byte
_UNBUILT = 10**15  # fastText's count of a node of the tree that does not exist yet
# Far above any published model (2 to 10 million buckets, n-grams up to 7): larger numbers are damage.
_MAX_BUCKETS, _MAX_NGRAM = 1 << 27, 64

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ModelFile:
    """A model as its file has it; labels as written there, with their prefix."""

    dictionary: Dictionary
    network: Network
    labels: tuple[str, ...]


class _Arguments(NamedTuple):
    dimension: int
    max_words: int
    loss: int
    num_buckets: int
    min_chars: int
    max_chars: int

    @property
    def has_ngrams(self) -> bool:
        return self.max_chars > 0 or self.max_words > 1


class _Refused(Exception):
    """Why a file is no model; the caller knows the file's name."""


def read_model(path: str) -> ModelFile:
    """The model in a local file.

    Raises ModelError where it is no complete supervised model, or where its numbers are not finite or do not fit
    together.
    """
    with open(path, "rb") as file:
        if not file.seek(0, 2):
            raise ModelError(f"{path}: is empty. Fetch the model again.")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return _Reader(np.frombuffer(data, np.uint8)).model()
    except _Refused as reason:
        raise ModelError(f"{path}: {reason}") from None


class _Reader:
    """Reads a model's parts in the order in which they lie in the file."""

    def __init__(self, file: npt.NDArray[np.uint8]) -> None:
        self._file = file
        self._position = 0

    def model(self) -> ModelFile:
        arguments = self._arguments()
        dictionary, counts, labels = self._dictionary(arguments)
        quantized = self._flag()
        rows, norms = self._matrix(arguments.dimension, quantized)
        rows = rows if norms is None else rows * norms[:, np.newaxis]
        self._check_rows(dictionary, arguments, len(rows))
        # A quantized output belongs to a quantized input: fastText reads it so.
        weights, scales = self._matrix(arguments.dimension, self._flag() and quantized)
        if len(weights) != len(labels):
            raise _Refused(f"has weights for {len(weights)} labels, but {len(labels)} labels. {_AGAIN}")
        if self._position != len(self._file):
            raise _Refused(f"holds {len(self._file) - self._position} bytes after its last part. {_AGAIN}")
        network = Network(
            rows,
            np.ascontiguousarray(weights.T),
            np.ones(len(labels), np.float32) if scales is None else scales,
            _tree(counts) if arguments.loss == TREE else np.zeros((0, 2), np.int32),
            arguments.loss,
        )
        return ModelFile(dictionary, network, labels)

    def _take(self, layout: str) -> tuple[Any, ...]:
        layout = f"<{layout}"
        start = self._advance(struct.calcsize(layout))
        return struct.unpack_from(layout, self._file, start)

    def _array(self, kind: type[np.generic], count: int) -> npt.NDArray[Any]:
        start = self._advance(np.dtype(kind).itemsize * count)
        return np.frombuffer(self._file, kind, count, start) if count else np.zeros(0, kind)

    def _advance(self, num_bytes: int) -> int:
        """Pass over the next bytes; returns where they start."""
        start = self._position
        if num_bytes < 0 or start + num_bytes > len(self._file):
            raise _Refused(
                f"its parts do not fit into its {len(self._file)} bytes; it was cut short or damaged. {_AGAIN}"
            )
        self._position += num_bytes
        return start

    def _flag(self) -> bool:
        (value,) = self._take("B")
        return bool(_expect("a flag", value, (0, 1)))

    def _arguments(self) -> _Arguments:
        magic, version = self._take("2i") if len(self._file) >= 8 else (0, 0)
        if magic != _MAGIC or version not in (11, 12):
            raise _Refused(f"is not a fastText model (it starts with {magic}, {version}). Name a .bin or .ftz file.")
        dimension, _, _, _, _, max_words, loss, kind, num_buckets, min_chars, max_chars, _ = self._take("12i")
        self._take("d")
        if kind != _SUPERVISED:
            raise _Refused("holds word vectors, not a classifier. Name a model trained with `supervised`.")
        if version == 11:
            max_chars = 0  # such models have no character n-grams, whatever they say
        found = _Arguments(
            dimension, max_words, _LOSSES[_expect("loss", loss, _LOSSES)], num_buckets, min_chars, max_chars
        )
        if dimension < 1 or max(max_words, max_chars) > _MAX_NGRAM or (found.has_ngrams and num_buckets < 1):
            raise _Refused(f"has impossible settings ({found}). {_AGAIN}")
        return found

    def _dictionary(self, arguments: _Arguments) -> tuple[Dictionary, npt.NDArray[np.int64], tuple[str, ...]]:
        """The dictionary, the labels' counts, the labels."""
        num_entries, num_words, num_labels, _, num_pruned = self._take("3i2q")
        if num_words < 0 or num_labels < 1 or num_entries != num_words + num_labels:
            raise _Refused(f"has {num_entries} entries, {num_words} words and {num_labels} labels. {_AGAIN}")
        starts, counts = self._entries(num_entries, num_words)
        slots = np.zeros(1 << (2 * num_entries).bit_length(), np.uint64)
        fill_slots(self._file, starts, slots)
        names = [bytes(self._file[starts[i] : starts[i + 1] - _MIN_ENTRY_BYTES]) for i in range(num_words, num_entries)]
        try:
            labels = tuple(name.decode("utf-8") for name in names)
        except UnicodeDecodeError:
            raise _Refused(f"has labels that are not UTF-8. {_AGAIN}") from None
        bucket_rows = self._bucket_rows(arguments, num_words, num_pruned)
        dictionary = Dictionary(
            self._file,
            starts,
            slots,
            bucket_rows,
            num_words,
            max(arguments.num_buckets, 1),
            arguments.min_chars,
            arguments.max_chars,
            arguments.max_words,
        )
        return dictionary, counts[num_words:], labels

    def _entries(self, num_entries: int, num_words: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where entries start (and the last ends), and their counts."""
        self._advance(num_entries * _MIN_ENTRY_BYTES)
        start = self._position - num_entries * _MIN_ENTRY_BYTES
        starts, counts = np.empty(num_entries + 1, np.int64), np.empty(num_entries, np.int64)
        kinds = np.empty(num_entries, np.int64)
        end = read_entries(self._file, start, starts, counts, kinds)
        if end < 0:
            self._advance(len(self._file))  # never fits
        self._position = int(end)
        if kinds[:num_words].any() or (kinds[num_words:] != 1).any():
            raise _Refused(f"does not list its words before its labels. {_AGAIN}")
        return starts, counts

    def _bucket_rows(self, arguments: _Arguments, num_words: int, num_pruned: int) -> npt.NDArray[np.int32]:
        """The row of each bucket, -1 where it was pruned; empty for a model that was not pruned."""
        pairs = self._array(np.int32, 2 * max(num_pruned, 0)).reshape(-1, 2)
        if num_pruned < 0 or not arguments.has_ngrams:
            return np.zeros(0, np.int32)
        buckets, rows = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64) + num_words
        if arguments.num_buckets > _MAX_BUCKETS or _outside(buckets, 0, arguments.num_buckets):
            raise _Refused(f"lists buckets beyond its {arguments.num_buckets}. {_AGAIN}")
        if _outside(rows, num_words, 1 << 31):
            raise _Refused(f"lists rows of buckets that cannot be. {_AGAIN}")
        found = np.full(arguments.num_buckets, -1, np.int32)
        found[buckets] = rows
        return found

    def _check_rows(self, dictionary: Dictionary, arguments: _Arguments, num_rows: int) -> None:
        """Every row that a text can ask for is there."""
        last = dictionary.num_words - 1
        if arguments.has_ngrams:
            pruned = dictionary.bucket_rows
            last = max(last, int(pruned.max())) if len(pruned) else last + dictionary.num_buckets
        if last >= num_rows:
            raise _Refused(f"has {num_rows} rows where its dictionary asks for {last + 1}. {_AGAIN}")

    def _matrix(self, dimension: int, quantized: bool) -> tuple[Floats, Floats | None]:
        """Rows (num_rows, dimension), and a factor for each where norms are kept apart."""
        if quantized:
            return self._quantized(dimension)
        num_rows, num_columns = self._take("2q")
        _expect("the length of a row", num_columns, (dimension,))
        values = self._array(np.float32, num_rows * num_columns)
        return _finite(values.reshape(num_rows, dimension)), None

    def _quantized(self, dimension: int) -> tuple[Floats, Floats | None]:
        has_norms = self._flag()
        num_rows, num_columns, num_codes = self._take("2qi")
        _expect("the length of a row", num_columns, (dimension,))
        codes = self._array(np.uint8, num_codes)
        parts = self._quantizer(dimension)
        if num_rows < 0 or num_rows * len(parts) != num_codes:
            raise _Refused(f"has {num_codes} codes for {num_rows} rows of {len(parts)}. {_AGAIN}")
        codes = codes.reshape(num_rows, len(parts))
        rows = np.concatenate([part[codes[:, place]] for place, part in enumerate(parts)], axis=1)
        if not has_norms:
            return rows, None
        norm_codes = self._array(np.uint8, num_rows)
        (norms,) = self._quantizer(1)
        return rows, norms[norm_codes, 0]

    def _quantizer(self, dimension: int) -> list[Floats]:
        """The centroids (256, size) of each part of a row; all parts but the last have the same size."""
        stated, num_parts, size, last_size = self._take("4i")
        if stated != dimension or size < 1 or last_size < 1 or size * (num_parts - 1) + last_size != dimension:
            raise _Refused(f"has {num_parts} parts of {size} ({last_size}) in rows of {dimension}. {_AGAIN}")
        if num_parts < 1 or last_size > size:
            raise _Refused(f"has {num_parts} parts of {size} ({last_size}) in rows of {dimension}. {_AGAIN}")
        values = _finite(self._array(np.float32, dimension * _NUM_CENTROIDS))
        sizes = [size] * (num_parts - 1) + [last_size]
        ends = np.cumsum(sizes)[:-1] * _NUM_CENTROIDS
        return [part.reshape(_NUM_CENTROIDS, -1) for part in np.split(values, ends)]


_AGAIN = "Fetch the model again."


def _expect(what: str, value: int, allowed: Any) -> int:
    if value not in allowed:
        raise _Refused(f"{what} is {value}, which is none of {', '.join(map(str, allowed))}. {_AGAIN}")
    return value


def _outside(values: npt.NDArray[np.int64], low: int, high: int) -> bool:
    """Whether any value is below low, or high or above."""
    return bool(len(values)) and (int(values.min()) < low or int(values.max()) >= high)


def _finite(values: Floats) -> Floats:
    """The values; refused if one is no finite number."""
    # A part at a time: the largest models have gigabytes, and the test makes a byte for each number.
    for part in np.array_split(values, len(values) * values.itemsize // (1 << 24) + 1):
        if not np.isfinite(part).all():
            raise _Refused(f"holds weights that are no finite numbers. {_AGAIN}")
    return values


def _tree(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """The Huffman tree over labels with these counts, as fastText builds it: children of the nodes after the labels."""
    num_labels = len(counts)
    if counts.min() < 0 or int(counts.max()) * num_labels >= _UNBUILT:
        raise _Refused(f"has counts of labels that cannot be. {_AGAIN}")
    weights = [*counts.tolist(), *[_UNBUILT] * (num_labels - 1)]
    children = np.empty((num_labels - 1, 2), np.int32)
    leaf, node = num_labels - 1, num_labels
    for parent in range(num_labels, 2 * num_labels - 1):
        for side in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                children[parent - num_labels, side] = leaf
                leaf -= 1
            else:
                children[parent - num_labels, side] = node
                node += 1
        weights[parent] = sum(weights[child] for child in children[parent - num_labels])
    return children
