"""Files that appear under their final name only when they are whole, on any fsspec file system.

A path here is a string: a local path or a URI (`s3://`, `gs://`, `memory://`). Local files are written to a temporary
name in the same folder, synced and renamed; on object stores a file is put in one piece after it is complete.
"""

import contextlib
import functools
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.errors import InputError, IntegrityError, StorageError, storage_error

# Version marks that file systems give, best first; a local file has its modification time.
_MARKS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
ROW_GROUP_BYTES = 16 * 1024 * 1024
ROW_GROUP_ROWS = 8192


@dataclass(frozen=True)
class FileEntry:
    """What a manifest says of one file: path below the corpus folder, rows (0 if not a table), bytes, SHA-256."""

    path: str
    rows: int
    bytes: int
    sha256: str


def join(uri: str, *parts: str) -> str:
    """Append parts to a path or URI with single slashes."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URI, and the path in it.

    Raises InputError for a protocol that is unknown, or whose library is not installed.
    """
    try:
        if is_local(uri):  # not url_to_fs, which takes "::" in a file's name for a chain of file systems
            fs = fsspec.filesystem("file")
            return fs, fs._strip_protocol(uri)
        return fsspec.core.url_to_fs(uri)  # type: ignore[no-any-return]
    except ImportError as error:
        raise InputError(f"{uri}: {error}. Install that package with pip, on every node.") from None
    except ValueError as error:
        raise InputError(f"{uri}: {error}. Give a path or a URI such as s3://, gs:// or memory://.") from None


def is_local(uri: str) -> bool:
    """True for plain paths and file:// URIs."""
    return "://" not in uri or uri.startswith(("file://", "local://"))


def version_mark(info: dict[str, Any]) -> str:
    """Etag or time of change out of what a file system says of a file; "" if it tells neither: nothing is known."""
    return next((str(info[key]) for key in _MARKS if info.get(key) is not None), "")


def exists(uri: str) -> bool:
    """True if a file or folder is there."""
    fs, path = filesystem(uri)
    return bool(fs.exists(path))


def list_files(uri: str) -> list[str]:
    """All files below a folder as paths relative to it, sorted; [] where the folder does not exist."""
    fs, path = filesystem(uri)
    if not fs.exists(path):
        return []
    root = path.rstrip("/") + "/"
    return sorted(found[len(root) :] for found in fs.find(path) if found.startswith(root))


def remove(uri: str) -> None:
    """Remove a file or a folder with everything in it; nothing happens if it is not there."""
    fs, path = filesystem(uri)
    if fs.exists(path):
        fs.rm(path, recursive=True)


def read_bytes(uri: str) -> bytes:
    """The whole file. Raises FileNotFoundError if it is not there."""
    fs, path = filesystem(uri)
    data: bytes = fs.cat_file(path)
    return data


class _HashingFile:
    """Passes writes on and keeps count and SHA-256, so that no file is read twice."""

    def __init__(self, inner: BinaryIO) -> None:
        self.inner = inner
        self.sha256 = hashlib.sha256()
        self.num_bytes = 0
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self.sha256.update(view)
        self.num_bytes += len(view)
        self.inner.write(view)
        return len(view)

    def tell(self) -> int:
        return self.num_bytes

    def flush(self) -> None:
        self.inner.flush()

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


@contextlib.contextmanager
def atomic_writer(uri: str) -> Iterator[_HashingFile]:
    """A writable binary file that appears at `uri` only if the block ends without an error.

    Raises StorageError when the target cannot be written, with what to do about it.
    """
    try:
        if is_local(uri):
            yield from _write_local(filesystem(uri)[1])
        else:
            yield from _write_remote(uri)
    except OSError as error:
        raise storage_error(uri, error) from error


def _write_local(path: str) -> Iterator[_HashingFile]:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield _HashingFile(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _write_remote(uri: str) -> Iterator[_HashingFile]:
    fs, path = filesystem(uri)
    with tempfile.NamedTemporaryFile(prefix="gristmill-") as file:
        yield _HashingFile(file)  # type: ignore[arg-type]
        file.flush()
        fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        fs.put_file(file.name, path)


def write_bytes(uri: str, data: bytes, path: str = "") -> FileEntry:
    """Write a whole file atomically. `path` is the name to record, relative to the corpus."""
    with atomic_writer(uri) as file:
        file.write(data)
    return FileEntry(path or uri, 0, len(data), file.sha256.hexdigest())


class TableWriter:
    """Writes a Parquet file whose bytes depend on the rows alone, not on how they were batched.

    Row groups are cut where the strings so far, of all columns, reach ROW_GROUP_BYTES or the rows reach
    ROW_GROUP_ROWS; with `cut_each_write` every call of `write` is one row group instead (for files whose row groups
    are partitions).
    Use `with TableWriter(uri, schema) as writer`; `writer.entry` is there after the block.
    """

    def __init__(self, uri: str, schema: pa.Schema, *, path: str = "", cut_each_write: bool = False) -> None:
        self.uri = uri
        self.schema = schema
        self.path = path or uri
        self.cut_each_write = cut_each_write
        self.num_rows = 0
        self.entry: FileEntry | None = None
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "TableWriter":
        self._file = self._stack.enter_context(atomic_writer(self.uri))
        sink = pa.PythonFile(self._file, mode="w")
        # Checksums of pages take 0.2 s for a GB, written or read; the SHA-256 of the file takes 0.6 s.
        encoding = _encoding(self.schema)
        self._parquet = pq.ParquetWriter(sink, self.schema, compression="zstd", write_page_checksum=True, **encoding)
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        try:
            if kind is None:
                self._flush()
            self._parquet.close()  # also after an error: pyarrow would do so later, into a closed file
        except BaseException:
            self._stack.__exit__(StorageError, StorageError(), None)
            raise
        self._stack.__exit__(kind, value, trace)
        if kind is None:
            self.entry = FileEntry(self.path, self.num_rows, self._file.num_bytes, self._file.sha256.hexdigest())

    def write(self, table: pa.Table) -> None:
        """Append rows; the table must have the writer's schema."""
        self.num_rows += table.num_rows
        if self.cut_each_write:
            self._parquet.write_table(table.combine_chunks(), row_group_size=max(1, table.num_rows))
            return
        for part in _cut_at_boundaries(table, self._pending_rows, self._pending_bytes):
            self._pending.append(part)
            self._pending_rows += part.num_rows
            self._pending_bytes += _string_bytes(part)
            if self._pending_rows >= ROW_GROUP_ROWS or self._pending_bytes >= ROW_GROUP_BYTES:
                self._flush()

    def _flush(self) -> None:
        if self._pending_rows:
            group = pa.concat_tables(self._pending).combine_chunks()
            self._parquet.write_table(group, row_group_size=group.num_rows)
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """How columns are written: long texts, tokens and lists without a dictionary, at quick levels of zstd.

    A dictionary of either is given up as too large after it was made. Tokens at level 1 cost 2 % more bytes than at 3
    and take, with that, 0.57 of the time; texts at level 2 cost 4 % more and take 0.68 of the time.
    """
    levels = {}
    for field in schema:
        is_list = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
        is_quick = is_list or pa.types.is_fixed_size_binary(field.type)
        level = 1 if is_quick else 2 if pa.types.is_large_string(field.type) else 3
        levels[f"{field.name}.list.element" if is_list else field.name] = level
    return {"compression_level": levels, "use_dictionary": [name for name, level in levels.items() if level == 3]}


def _string_ends(table: pa.Table) -> npt.NDArray[np.int64]:
    """Bytes in all columns of strings or binary values up to and with each row, int64 (num_rows,)."""
    lengths = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        if _is_string(column.type):
            lengths += pc.fill_null(pc.binary_length(column), 0).to_numpy()
    return np.cumsum(lengths, dtype=np.int64)


def _is_string(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _string_bytes(table: pa.Table) -> int:
    ends = _string_ends(table)
    return int(ends[-1]) if len(ends) else 0


def _cut_at_boundaries(table: pa.Table, rows: int, size: int) -> Iterator[pa.Table]:
    """Slices of the table that each end at most at the next row-group boundary, counted from the rows already held."""
    ends = _string_ends(table)
    start = 0
    while start < table.num_rows:
        before = int(ends[start - 1]) if start else 0
        full = int(np.searchsorted(ends, before + ROW_GROUP_BYTES - size)) + 1
        stop = min(start + ROW_GROUP_ROWS - rows, full, table.num_rows)
        yield table.slice(start, stop - start)
        start, rows, size = stop, 0, 0


def write_table(uri: str, table: pa.Table, path: str = "") -> FileEntry:
    """Write one Parquet file atomically; returns its entry."""
    with TableWriter(uri, table.schema, path=path) as writer:
        writer.write(table)
    assert writer.entry is not None
    return writer.entry


@contextlib.contextmanager
def _naming(uri: str) -> Iterator[None]:
    """Turns what Arrow raises on broken bytes, at the footer or inside, into an IntegrityError with the file's name."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        cause = " ".join(str(error).split()).rstrip(".")  # Arrow's messages have several lines
        raise IntegrityError(
            f"{uri}: cannot be read as Parquet: {cause}. Remove it and run the build again."
        ) from error


class _ParquetFile(pq.ParquetFile):  # type: ignore[misc]
    """Compares the checksums of the pages that it reads, and names itself where bytes are damaged."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        fs, path = filesystem(uri)
        with _naming(uri):
            super().__init__(path if is_local(uri) else fs.open(path, "rb"), page_checksum_verification=True)

    def read(self, *args: Any, **options: Any) -> pa.Table:
        with _naming(self.uri):
            return super().read(*args, **options)

    def read_row_group(self, *args: Any, **options: Any) -> pa.Table:
        with _naming(self.uri):
            return super().read_row_group(*args, **options)

    def read_row_groups(self, *args: Any, **options: Any) -> pa.Table:
        with _naming(self.uri):
            return super().read_row_groups(*args, **options)


def open_parquet(uri: str) -> pq.ParquetFile:
    """A ParquetFile for reading. Raises IntegrityError, naming the file, if it is not whole or not Parquet.

    Only the footer is looked at here; damaged pages raise IntegrityError, with the file's name, when they are read.
    """
    return _ParquetFile(uri)


def row_groups(uri: str, columns: Iterable[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of a Parquet file, or some of their columns, one after another; the file is open meanwhile.

    Raises IntegrityError, naming the file, where its bytes are damaged.
    """
    names = None if columns is None else list(columns)
    with open_parquet(uri) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=names)


def read_row_groups(uri: str, groups: list[int]) -> pa.Table:
    """Some row groups of a Parquet file. Raises IntegrityError, naming the file, where its bytes are damaged."""
    with open_parquet(uri) as file:
        return file.read_row_groups(groups) if groups else file.schema_arrow.empty_table()


def read_table(uri: str, columns: Iterable[str] | None = None) -> pa.Table:
    """A whole Parquet file, or some of its columns.

    Raises IntegrityError, naming the file, where its bytes are damaged.
    """
    with open_parquet(uri) as file:
        return file.read(columns=None if columns is None else list(columns))


def file_digest(uri: str) -> str:
    """SHA-256 of a file's bytes; remembered per process while size and version mark stay the same.

    Raises InputError naming the file if it cannot be read.
    """
    fs, path = filesystem(uri)
    try:
        info = fs.info(path)
    except OSError as error:
        raise InputError(f"{uri}: cannot be read: {error.strerror or error}. Check the path.") from error
    mark = version_mark(info)
    return _digest_of(uri, info.get("size"), mark) if mark else _digest_of.__wrapped__(uri, 0, "")


@functools.lru_cache(maxsize=4096)
def _digest_of(uri: str, size: int, mark: str) -> str:
    fs, path = filesystem(uri)
    sha256 = hashlib.sha256()
    with fs.open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    return sha256.hexdigest()


def file_entry(root: str, path: str, rows: int = 0) -> FileEntry:
    """The entry of a file that exists below `root`, with its digest taken from its bytes now."""
    uri = join(root, path)
    fs, inner = filesystem(uri)
    return FileEntry(path, rows, int(fs.size(inner)), _digest_of.__wrapped__(uri, 0, ""))
