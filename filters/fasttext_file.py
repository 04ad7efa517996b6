"""The files of fastText's supervised models, `.bin` and `.ftz`: read to their last byte, or refused.

The library's own loader trusts a file: one that was cut short crashes the process or never returns. Here every size
and index is checked before it is used. A dense matrix stays in the file (memory-mapped), so that all processes of a
machine share it; a quantized one is unpacked to float32.
"""

import mmap
import struct
from collections.abc import Container
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.kernels.fasttext import Dictionary, fill_slots, read_entries
from filters.kernels.fasttext_scores import SIGMOID, SOFTMAX, TREE, Network
from manifests.errors import ModelError

_MAGIC, _VERSIONS, _SUPERVISED = 793712314, (11, 12), 3
_LOSSES = {1: TREE, 2: SIGMOID, 3: SOFTMAX, 4: SIGMOID}  # hs, ns, softmax, ova
_MIN_ENTRY_BYTES = 10  # an empty word's NUL, count and kind
_NUM_CENTROIDS = 256  # of each part of a quantized row: its code is one byte
_UNBUILT = 10**15  # fastText's count of a node of the tree that does not exist yet
# Far above any published model (2 to 10 million buckets, n-grams up to 7): larger numbers are damage.
_MAX_BUCKETS, _MAX_NGRAM = 1 << 27, 64
_AGAIN = "Fetch the model again."

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ModelFile:
    """A model as its file has it; labels as written there, with their prefix."""

    dictionary: Dictionary
    network: Network
    labels: tuple[str, ...]


def read_model(path: str) -> ModelFile:
    """The model in a local file.

    Raises ModelError where it is no complete supervised model, or where its numbers are not finite or do not fit
    together.
    """
    with open(path, "rb") as file:
        if not file.seek(0, 2):
            raise ModelError(f"{path}: is empty. {_AGAIN}")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return _Reader(data).model()
    except _Refused as reason:
        raise ModelError(f"{path}: {reason}") from None


class _Refused(Exception):
    """Why a file is no model; the caller knows the file's name."""


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


class _Entries(NamedTuple):
    """Words, then labels: where each starts (and the last ends), the labels' counts and names."""

    starts: Integers
    num_words: int
    counts: Integers
    labels: tuple[str, ...]


class _Reader:
    """Reads a model's parts in the order in which they lie in the file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._file = np.frombuffer(data, np.uint8)
        self._position = 0

    def model(self) -> ModelFile:
        arguments = self._arguments()
        entries, bucket_rows = self._dictionary(arguments)
        quantized = self._flag()
        rows, norms = self._matrix(arguments.dimension, quantized)
        rows = rows if norms is None else rows * norms[:, np.newaxis]
        rows, buckets = _arrange(rows, entries.num_words, arguments, bucket_rows)
        # A quantized output belongs to a quantized input: fastText reads it so.
        weights, scales = self._matrix(arguments.dimension, self._flag() and quantized)
        if len(weights) != len(entries.labels):
            raise _Refused(f"has weights for {len(weights)} labels, but {len(entries.labels)} labels. {_AGAIN}")
        if self._position != len(self._data):
            raise _Refused(f"holds {len(self._data) - self._position} bytes after its last part. {_AGAIN}")
        slots = np.zeros(1 << (2 * len(entries.starts)).bit_length(), np.uint64)
        fill_slots(self._file, entries.starts, slots)
        dictionary = Dictionary(
            *(self._file, entries.starts, slots, buckets, entries.num_words),
            *(max(arguments.num_buckets, 1), arguments.min_chars, arguments.max_chars, arguments.max_words),
        )
        scales = np.ones(len(weights), np.float32) if scales is None else scales
        tree = _tree(entries.counts) if arguments.loss == TREE else np.zeros((0, 2), np.int32)
        row_bytes = rows.reshape(-1).view(np.uint8)
        row_bytes.setflags(write=False)
        network = Network(row_bytes, np.array(weights.T, order="C"), scales, tree, arguments.loss)
        return ModelFile(dictionary, network, entries.labels)

    def _take(self, layout: str) -> tuple[Any, ...]:
        start = self._advance(struct.calcsize(f"<{layout}"))
        return struct.unpack_from(f"<{layout}", self._data, start)

    def _array(self, kind: type[np.generic], count: int) -> npt.NDArray[Any]:
        start = self._advance(np.dtype(kind).itemsize * count)
        return np.frombuffer(self._data, kind, count, start) if count else np.zeros(0, kind)

    def _advance(self, num_bytes: int) -> int:
        """Pass over the next bytes; returns where they start."""
        start, size = self._position, len(self._data)
        if num_bytes < 0 or start + num_bytes > size:
            raise _Refused(f"its parts do not fill its {size} bytes; it was cut short or damaged. {_AGAIN}")
        self._position += num_bytes
        return start

    def _flag(self) -> bool:
        (value,) = self._take("B")
        return bool(_expect("a flag", value, (0, 1)))

    def _arguments(self) -> _Arguments:
        magic, version = self._take("2i") if len(self._data) >= 8 else (0, 0)
        if magic != _MAGIC or version not in _VERSIONS:
            raise _Refused(f"is not a fastText model (it starts with {magic}, {version}). Name a .bin or .ftz file.")
        dimension, _, _, _, _, max_words, loss, kind, num_buckets, min_chars, max_chars, _ = self._take("12i")
        self._take("d")
        if kind != _SUPERVISED:
            raise _Refused("holds word vectors, not a classifier. Name a model trained with `supervised`.")
        if version == _VERSIONS[0]:
            max_chars = 0  # such models have no character n-grams, whatever they say
        loss = _LOSSES[_expect("loss", loss, _LOSSES)]
        found = _Arguments(dimension, max_words, loss, num_buckets, min_chars, max_chars)
        if dimension < 1 or max(max_words, max_chars) > _MAX_NGRAM or (found.has_ngrams and num_buckets < 1):
            raise _Refused(f"has impossible settings: {found}. {_AGAIN}")
        return found

    def _dictionary(self, arguments: _Arguments) -> tuple[_Entries, Integers | None]:
        """The entries, and for a pruned model each bucket's row after those of the words, or -1."""
        num_entries, num_words, num_labels, _, num_pruned = self._take("3i2q")
        if num_words < 0 or num_labels < 1 or num_entries != num_words + num_labels:
            raise _Refused(f"has {num_entries} entries, {num_words} words and {num_labels} labels. {_AGAIN}")
        start = self._advance(num_entries * _MIN_ENTRY_BYTES)  # they take at least so much
        starts = np.empty(num_entries + 1, np.int64)
        counts, kinds = np.empty((2, num_entries), np.int64)
        end = int(read_entries(self._file, start, starts, counts, kinds))
        self._position = start
        self._advance(end - start)
        if kinds[:num_words].any() or (kinds[num_words:] != 1).any():
            raise _Refused(f"does not list its words before its labels. {_AGAIN}")
        ends = starts[1:] - _MIN_ENTRY_BYTES
        try:
            labels = tuple(self._data[starts[i] : ends[i]].decode() for i in range(num_words, num_entries))
        except UnicodeDecodeError:
            raise _Refused(f"has labels that are not UTF-8. {_AGAIN}") from None
        entries = _Entries(starts, num_words, counts[num_words:], labels)
        return entries, self._bucket_rows(arguments, num_pruned)

    def _bucket_rows(self, arguments: _Arguments, num_pruned: int) -> Integers | None:
        pairs = self._array(np.int32, 2 * max(num_pruned, 0)).reshape(-1, 2).astype(np.int64)
        if num_pruned < 0 or not arguments.has_ngrams:
            return None
        if arguments.num_buckets > _MAX_BUCKETS or _outside(pairs[:, 0], arguments.num_buckets):
            raise _Refused(f"lists buckets beyond its {arguments.num_buckets}. {_AGAIN}")
        found = np.full(arguments.num_buckets, -1, np.int64)
        found[pairs[:, 0]] = pairs[:, 1]
        return found

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
        stated, num_parts, size, last = self._take("4i")
        if stated != dimension or num_parts < 1 or not 1 <= last <= size or size * (num_parts - 1) + last != dimension:
            raise _Refused(f"has {num_parts} parts of {size} ({last}) in rows of {dimension}. {_AGAIN}")
        values = _finite(self._array(np.float32, dimension * _NUM_CENTROIDS))
        ends = np.arange(1, num_parts) * size * _NUM_CENTROIDS
        return [part.reshape(_NUM_CENTROIDS, -1) for part in np.split(values, ends)]


def _expect(what: str, value: int, allowed: Container[int]) -> int:
    if value not in allowed:
        raise _Refused(f"{what} is {value}, which cannot be. {_AGAIN}")
    return value


def _outside(values: Integers, limit: int) -> bool:
    """Whether any value is below 0, or the limit or above."""
    return bool(((values < 0) | (values >= limit)).any())


def _finite(values: Floats) -> Floats:
    """The values; refused if one is no finite number."""
    # A part at a time: the largest models have gigabytes, and the test makes a byte for each number.
    for part in np.array_split(values, values.nbytes // (1 << 24) + 1):
        if not np.isfinite(part).all():
            raise _Refused(f"holds weights that are no finite numbers. {_AGAIN}")
    return values


def _arrange(
    rows: Floats, num_words: int, arguments: _Arguments, bucket_rows: Integers | None
) -> tuple[Floats, npt.NDArray[np.uint64]]:
    """Rows of words, then of buckets in their order, and Dictionary.buckets. Refused if a row is not there."""
    num_rows = num_words + (arguments.num_buckets if arguments.has_ngrams else 0)
    if bucket_rows is None:
        if len(rows) < num_rows:
            raise _Refused(f"has {len(rows)} rows where its dictionary asks for {num_rows}. {_AGAIN}")
        return rows, np.zeros((0, 2), np.uint64)
    kept = bucket_rows >= 0
    if len(rows) < num_words or _outside(bucket_rows[kept], len(rows) - num_words):
        raise _Refused(f"has {len(rows)} rows, less than its dictionary asks for. {_AGAIN}")
    buckets = np.zeros((-(-len(kept) // 64), 2), np.uint64)
    bits = np.zeros(8 * len(buckets), np.uint8)
    packed = np.packbits(kept, bitorder="little")
    bits[: len(packed)] = packed
    buckets[:, 0] = bits.view("<u8")
    counts = np.bitwise_count(buckets[:, 0]).astype(np.int64)
    buckets[:, 1] = num_words + np.cumsum(counts) - counts
    return np.concatenate([rows[:num_words], rows[num_words + bucket_rows[kept]]]), buckets


def _tree(counts: Integers) -> npt.NDArray[np.int32]:
    """The Huffman tree over labels with these counts, as fastText builds it: children of the nodes after the labels."""
    num_labels = len(counts)
    if int(counts.min()) < 0 or int(counts.max()) * num_labels >= _UNBUILT:
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
