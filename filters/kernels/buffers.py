"""Arrow buffers as numpy arrays, without a copy. The only place that touches them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class TextBuffers:
    """UTF-8 of a batch of texts.

    data: uint8 (num_bytes,), may hold bytes outside the batch (slices share their parent's buffer); read-only.
    offsets: int64 (num_documents + 1,), positions in data; document i is data[offsets[i]:offsets[i + 1]].
    """

    data: np.ndarray
    offsets: np.ndarray

    @property
    def num_documents(self) -> int:
        return len(self.offsets) - 1


def text_buffers(column: pa.ChunkedArray | pa.Array) -> TextBuffers:
    """View a string or large_string column; nulls count as empty text. Several chunks are joined (one copy)."""
    if isinstance(column, pa.ChunkedArray):
        column = (
            column.chunk(0)
            if column.num_chunks == 1
            else pa.concat_arrays(column.cast(pa.large_string()).chunks)
            if column.num_chunks
            else pa.array([], pa.large_string())
        )
    if column.type != pa.large_string():
        column = column.cast(pa.large_string())
    if column.null_count:
        column = column.fill_null("")
    _, offsets, data = column.buffers()
    if len(column) == 0 or offsets is None:
        return _read_only(np.zeros(0, np.uint8), np.zeros(len(column) + 1, np.int64))
    # Sliced arrays share buffers: window the offsets.
    window = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return _read_only(np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8), window)


def _read_only(data: np.ndarray, offsets: np.ndarray) -> TextBuffers:
    """Some Arrow buffers are writable, some not; as one kind, each kernel compiles once and can write to none."""
    data.setflags(write=False)
    offsets.setflags(write=False)
    return TextBuffers(data, offsets)


def text_array(data: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """A large_string array over new buffers; data must be valid UTF-8 and offsets start at 0."""
    assert offsets[0] == 0
    assert offsets[-1] <= len(data)
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets, np.int64)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
