"""Files packed with gzip, Zstandard or LZ4, as a stream of plain bytes that remembers where each member starts.

Archives of the web pack each record into a member (gzip) or frame (Zstandard, LZ4) of its own, so that a record can be
read alone. The packing is recognised by its first bytes, since file names are often wrong.
"""

import io
import struct
import zlib
from collections import deque
from typing import Any, Protocol

import zstandard
from fastwarc.stream_io import Lz4Reader

from corpus.read.stream import InputStream

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
LZ4 = b"\x04\x22\x4d\x18"
# A skippable frame of this kind at the start of a .warc.zst holds the dictionary of all records.
_ZSTD_DICTIONARY = b"\x5d\x2a\x4d\x18"
# Input is unpacked in slices so that a bomb swells to some tens of MiB at most before its record's limit stops it:
# deflate gives 1,032 bytes for one, Zstandard 128 KiB for four.
_SLICE_BYTES = {"gzip": 16 * 1024, "zstd": 2 * 1024}
_MAX_DICTIONARY_BYTES = 16 * 1024 * 1024


class _Source(Protocol):
    def read(self, size: int) -> bytes: ...


class UnpackedStream(io.RawIOBase):
    """Plain bytes of a packed or plain file, to be wrapped by io.BufferedReader.

    `packing` is "plain", "gzip", "zstd" or "lz4". After an error in the packed bytes the stream ends there and
    `broken` says why. `members` holds (plain position, file position) of each member begun, oldest first; a reader
    drops those it has passed. Positions count from the start of the given stream.
    """

    def __init__(self, source: InputStream | _Source) -> None:
        super().__init__()
        self._input = _Pushback(source)
        self.broken: str | None = None
        self.members: deque[tuple[int, int]] = deque()
        self.position = 0
        self._plain = b""
        self._taken = 0
        self._unpacker: Any = None
        self._dictionary: zstandard.ZstdCompressionDict | None = None
        self.packing = self._recognise()

    @property
    def file_position(self) -> int:
        """Bytes of the file used so far."""
        return self._input.position

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with plain bytes; 0 at the end or where the packed bytes are broken."""
        while self._taken >= len(self._plain):
            self._taken = 0
            self._plain = self._next_bytes()
            if not self._plain:
                return 0
        size = min(len(buffer), len(self._plain) - self._taken)
        buffer[:size] = self._plain[self._taken : self._taken + size]
        self._taken += size
        self.position += size
        return size

    def _recognise(self) -> str:
        head = self._input.peek(4)
        if head[:2] == GZIP:
            return "gzip"
        if head == ZSTD or (head[1:] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50):
            return "zstd"
        return "lz4" if head == LZ4 else "plain"

    def _next_bytes(self) -> bytes:
        """The next plain bytes, not empty unless at the end."""
        if self.packing == "plain":
            return self._input.read(1 << 16)
        while self.broken is None:
            try:
                if self._unpacker is None and not self._begin_member():
                    break
                if data := self._unpack():
                    return data
            except (zlib.error, zstandard.ZstdError, OSError, struct.error) as error:
                self.broken = f"{self.packing} data is broken: {error}"
        return b""

    def _begin_member(self) -> bool:
        head = self._input.peek(4)
        start = self._input.position
        if not head.strip(b"\0") and not self._input.skip_zeros():
            return False
        if head == _ZSTD_DICTIONARY and start == 0:
            self._load_dictionary()
        if self._recognise() != self.packing:
            self.broken = f"{self.packing} data is followed by something else at byte {self._input.position}"
            return False
        self.members.append((self.position, self._input.position))
        if self.packing == "gzip":
            self._unpacker = zlib.decompressobj(wbits=31)
        elif self.packing == "zstd":
            self._unpacker = zstandard.ZstdDecompressor(dict_data=self._dictionary).decompressobj()
        else:
            self._unpacker = Lz4Reader(_Lz4Frame(self._input))
        return True

    def _unpack(self) -> bytes:
        if self.packing == "lz4":
            data: bytes = self._unpacker.read(1 << 16)
            if not data:
                self._unpacker = None
            return data
        packed = self._input.read(_SLICE_BYTES[self.packing])
        if not packed:
            self.broken = f"the file ends inside its {self.packing} data"
            return b""
        data = self._unpacker.decompress(packed)
        if self._unpacker.eof:
            self._input.push_back(self._unpacker.unused_data)
            self._unpacker = None
        return data

    def _load_dictionary(self) -> None:
        """Read the dictionary frame of a .warc.zst; the dictionary may itself be a Zstandard frame."""
        (size,) = struct.unpack("<I", self._input.read(8)[4:])
        if size > _MAX_DICTIONARY_BYTES:
            raise zstandard.ZstdError(f"its dictionary has {size} bytes, more than {_MAX_DICTIONARY_BYTES}")
        data = self._input.read_exactly(size)
        if data[:4] == ZSTD:
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_DICTIONARY_BYTES)
        self._dictionary = zstandard.ZstdCompressionDict(data)


class _Pushback:
    """An input whose last bytes can be given back, with the position in the file."""

    def __init__(self, source: InputStream | _Source) -> None:
        self._source = source
        self._buffer = b""
        self._start = 0
        self.position = 0

    def peek(self, size: int) -> bytes:
        while len(self._buffer) - self._start < size:
            block = self._source.read(1 << 17)
            if not block:
                break
            self._buffer = self._buffer[self._start :] + block
            self._start = 0
        return self._buffer[self._start : self._start + size]

    def read(self, size: int) -> bytes:
        if self._start >= len(self._buffer):
            self.peek(1)
        data = self._buffer[self._start : self._start + size]
        self._start += len(data)
        self.position += len(data)
        return data

    def read_exactly(self, size: int) -> bytes:
        """`size` bytes; raises OSError if the file ends before."""
        parts = []
        while size:
            part = self.read(size)
            if not part:
                raise OSError("the file ends inside a frame")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def push_back(self, data: bytes) -> None:
        """Give back the last bytes read; they are still in the buffer, since a read never spans two of them."""
        self._start -= len(data)
        self.position -= len(data)
        assert self._start >= 0

    def skip_zeros(self) -> bool:
        """Skip the zero bytes with which tapes are padded; False if nothing follows."""
        while head := self.peek(1):
            if head != b"\0":
                return True
            self.read(1)
        return False


class _Lz4Frame(io.RawIOBase):
    """One LZ4 frame as a file that ends where the frame ends, which Lz4Reader alone does not tell."""

    def __init__(self, source: _Pushback) -> None:
        super().__init__()
        self._source = source
        self._position = 0
        self._ended = False
        header = source.read_exactly(7)
        flags = header[4]
        self._block_checksum = 4 if flags & 0x10 else 0
        self._content_checksum = 4 if flags & 0x04 else 0
        # The header grows by the content size and by a dictionary id where the flags say so.
        self._chunk = header + source.read_exactly((8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0))

    def read(self, size: int = -1) -> bytes:
        if not self._chunk and not self._ended:
            self._chunk = self._next_block()
        size = len(self._chunk) if size < 0 else size
        data, self._chunk = self._chunk[:size], self._chunk[size:]
        self._position += len(data)
        return data

    def tell(self) -> int:
        return self._position

    def _next_block(self) -> bytes:
        head = self._source.read_exactly(4)
        (word,) = struct.unpack("<I", head)
        if word == 0:
            self._ended = True
            return head + self._source.read_exactly(self._content_checksum)
        size = word & 0x7FFFFFFF
        if size > 4 * 1024 * 1024:  # the largest block that the format allows
            raise OSError(f"an LZ4 block says that it has {size} bytes")
        return head + self._source.read_exactly(size + self._block_checksum)
