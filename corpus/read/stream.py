"""The bytes of an input file, read once from start to end, with digest and count taken on the way."""

import hashlib

from manifests.errors import InputError
from manifests.shards import filesystem

BLOCK_BYTES = 1 << 20


class GuardedFile:
    """A binary, seekable file whose access errors are InputError, so that they are not taken for broken content."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        try:
            fs, path = filesystem(uri)
            self._file = fs.open(path, "rb")
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> InputError:
        cause = error.strerror or str(error) or type(error).__name__
        return InputError(f"{self.uri}: cannot be read: {cause}. Check that the file is there and may be read.")

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, all for -1."""
        try:
            data: bytes = self._file.read(size)
        except OSError as error:
            raise self._error(error) from error
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position; returns it."""
        try:
            return int(self._file.seek(offset, whence))
        except OSError as error:
            raise self._error(error) from error

    def tell(self) -> int:
        """The position."""
        return int(self._file.tell())

    @property
    def closed(self) -> bool:
        """True after close."""
        return bool(self._file.closed)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class InputStream:
    """A binary file of a unit; `read` passes the bytes on and keeps SHA-256 and count.

    Raises InputError where the file has vanished, may not be read, or the connection is lost: such a unit can be
    tried again, unlike one whose bytes are broken. With `offset` and `length` only that part of the file is read.
    """

    def __init__(self, uri: str, offset: int = 0, length: int | None = None) -> None:
        self.uri = uri
        self._left = length
        self.sha256 = hashlib.sha256()
        self.num_bytes = 0
        self._file = GuardedFile(uri)
        if offset:
            self._file.seek(offset)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end of the file."""
        data = self._file.read(size if self._left is None else min(size, self._left))
        if self._left is not None:
            self._left -= len(data)
        self.sha256.update(data)
        self.num_bytes += len(data)
        return data

    def drain(self) -> None:
        """Read what is left, so that the digest is the whole file's."""
        while self.read(BLOCK_BYTES):
            pass

    def close(self) -> None:
        """Close the file."""
        self._file.close()
