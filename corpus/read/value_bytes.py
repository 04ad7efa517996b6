"""How many bytes the values of a table would take if they were written out, as told without doing so."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def row_bytes(batch: pa.RecordBatch, enough: int = 0) -> npt.NDArray[np.int64]:
    """Bytes of strings and numbers in each row, written out: int64 (num_rows,).

    Where the whole batch has no more than `enough` bytes, zeros: then no row has more, and looking costs a tenth of
    the time that reading takes. Raises ArrowInvalid for values outside of their dictionary.
    """
    sizes = np.zeros(batch.num_rows, np.int64)
    if batch.nbytes <= enough and not any(_shares_values(field.type) for field in batch.schema):
        return sizes
    for column in batch.columns:
        sizes += _value_bytes(column)
    return sizes


def _shares_values(kind: pa.DataType) -> bool:
    """True for types that hold a value once for many rows, so that buffers are smaller than what they stand for."""
    if pa.types.is_dictionary(kind) or kind in (pa.string_view(), pa.binary_view()):
        return True
    return any(_shares_values(kind.field(index).type) for index in range(kind.num_fields))


def _value_bytes(array: pa.Array) -> npt.NDArray[np.int64]:
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _value_bytes(array.storage)
    if pa.types.is_dictionary(kind):
        sizes = np.append(_value_bytes(array.dictionary), 0)
        indices = pc.fill_null(array.indices.cast(pa.int64()), len(sizes) - 1).to_numpy(zero_copy_only=False)
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(sizes):
            raise pa.ArrowInvalid("a value is said to stand where its dictionary has none")  # Arrow does not look
        return np.asarray(sizes[indices], np.int64)
    if pa.types.is_struct(kind):
        fields = [_value_bytes(array.field(index)) for index in range(kind.num_fields)]
        return np.sum(fields, axis=0, dtype=np.int64) if fields else np.zeros(len(array), np.int64)
    if pa.types.is_map(kind):
        return _sums(_value_bytes(array.keys) + _value_bytes(array.items), array.offsets.to_numpy())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _sums(_value_bytes(array.values), array.offsets.to_numpy())
    if pa.types.is_fixed_size_list(kind):
        offsets = (array.offset + np.arange(len(array) + 1)) * kind.list_size
        return _sums(_value_bytes(array.values), offsets)
    if pa.types.is_fixed_size_binary(kind):
        return np.full(len(array), kind.byte_width, np.int64)
    if kind in (pa.string_view(), pa.binary_view()):
        return _value_bytes(array.cast(pa.large_binary()))  # views have no kernel for their length
    if kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
        return np.asarray(pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False), np.int64)
    return np.full(len(array), 8, np.int64)


def _sums(sizes: npt.NDArray[np.int64], offsets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Sums over lists, with 8 bytes for each value so that empty ones count."""
    ends = np.concatenate([[0], np.cumsum(sizes + 8)])
    return np.asarray(np.diff(ends[offsets]), np.int64)
