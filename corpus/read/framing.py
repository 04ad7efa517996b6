"""Where the records of a WARC or WET file start and end, in plain and in packed bytes."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from corpus.read.compression import UnpackedStream
from corpus.read.headers import header_fields
from corpus.read.rows import clean
from corpus.read.stream import InputStream

_MAX_LINE_BYTES = 64 * 1024
_MAX_HEADER_LINES = 1000
_SKIP_BYTES = 1 << 20
_LENGTH = re.compile(r"^[0-9]{1,18}$")
_BLANK = b"\r\n\t \0"


@dataclass(frozen=True)
class Record:
    """A framed record.

    headers: lower-case names, the first of several; block: its bytes if it is of the wanted type, else b"";
    defect, error: set if it cannot be used; ends_stream: nothing can be read after it.
    """

    headers: dict[str, str] = field(default_factory=dict)
    block: bytes = b""
    wanted: bool = False
    defect: str | None = None
    error: str | None = None
    ends_stream: bool = False

    @property
    def url(self) -> str | None:
        """The target URI; some writers put it into angle brackets."""
        uri = clean(self.headers.get("warc-target-uri", ""))
        return (uri[1:-1] if uri.startswith("<") and uri.endswith(">") else uri) or None

    @property
    def date(self) -> str | None:
        """WARC-Date as declared."""
        return clean(self.headers.get("warc-date", "")) or None


def placed_records(stream: InputStream, wanted: str, max_bytes: int) -> Iterator[tuple[int, int, Record]]:
    """(offset, length, record) for each record of the file, at least one; a broken file ends with a defective record.

    wanted: the WARC-Type whose blocks are kept; blocks of more than max_bytes are skipped with a defect.
    """
    unpacked = UnpackedStream(stream)
    framer = _Framer(unpacked, wanted, max_bytes)
    places = _Places(unpacked)
    held: tuple[int, Record] | None = None
    for start, record in framer.records():
        offset = places.offset_of(start)
        if held:
            yield held[0], offset - held[0], held[1]
        held = (offset, record)
    assert held is not None  # an empty file gives a record with a defect
    stream.drain()
    yield held[0], max(0, stream.num_bytes - held[0]), held[1]


class _Places:
    """File positions of records, asked for in ascending order of their plain positions."""

    def __init__(self, unpacked: UnpackedStream) -> None:
        self._unpacked = unpacked
        self._in_member = -1
        self._last = -1

    def offset_of(self, start: int) -> int:
        if self._unpacked.packing == "plain":
            return start
        members = self._unpacked.members
        while len(members) > 1 and members[1][0] <= start:
            members.popleft()
            self._in_member = -1
        self._in_member += 1
        member_start = members[0][1] if members else 0
        # Ascending even if a member holds more records than it has bytes.
        self._last = max(member_start + self._in_member, self._last + 1)
        return self._last


class _Framer:
    """Splits plain bytes into records."""

    def __init__(self, unpacked: UnpackedStream, wanted: str, max_bytes: int) -> None:
        self._unpacked = unpacked
        self._input = io.BufferedReader(unpacked, 1 << 16)
        self._wanted = wanted
        self._max_bytes = max_bytes
        self._position = 0

    def records(self) -> Iterator[tuple[int, Record]]:
        """(plain position, record) for each record; at least one."""
        first = True
        while True:
            line = self._skip_blank_lines()
            start = self._position - len(line)
            if not line:
                if self._unpacked.broken:
                    yield 0 if first else start, _broken("read.broken", self._unpacked.broken)
                elif first:
                    yield 0, _broken("read.no_records", "the file holds no record")
                return
            if line[:5].upper() != b"WARC/":
                yield 0 if first else start, self._not_a_record(line, first)
                return
            record = self._record()
            yield start, record
            if record.ends_stream:
                return
            first = False

    def _line(self) -> bytes:
        line = self._input.readline(_MAX_LINE_BYTES)
        self._position += len(line)
        return line

    def _skip_blank_lines(self) -> bytes:
        while line := self._line():
            if line.strip(_BLANK):
                return line
        return b""

    def _not_a_record(self, line: bytes, first: bool) -> Record:
        shown = ascii(line[:40].decode("latin-1"))
        if not first:
            return _broken("read.broken", f"expected a record that starts with WARC/, found {shown}")
        if line.startswith(b"filedesc:"):
            return _broken(
                "read.not_an_archive", "an ARC file, the format before WARC; convert it with warcio recompress"
            )
        return _broken("read.not_an_archive", f"the file does not start with WARC/ but with {shown}")

    def _record(self) -> Record:
        headers = self._headers()
        if headers is None:
            return _broken("read.truncated", self._unpacked.broken or "the file ends inside a record's header")
        declared = headers.get("content-length", "")
        if not _LENGTH.match(declared):
            what = f"is {declared[:40]!r}" if declared else "is missing"
            return Record(headers, b"", False, "read.broken", f"Content-Length {what}", True)
        length = int(declared)
        wanted = headers.get("warc-type", "").lower() == self._wanted
        too_large = wanted and length > self._max_bytes
        block = self._input.read(length) if wanted and not too_large else b""
        self._position += len(block)
        num_read = len(block) if wanted and not too_large else self._skip(length)
        if num_read < length:
            error = self._unpacked.broken or f"the file ends after {num_read} of {length} bytes of the record"
            return Record(headers, b"", wanted, "read.truncated", error, True)
        if not self._ends_here():
            error = f"Content-Length {length} does not lead to the record's end"
            return Record(headers, b"", wanted, "read.broken", error, True)
        if too_large:
            error = f"the record has {length} bytes, more than max_record_bytes = {self._max_bytes}"
            return Record(headers, b"", wanted, "read.too_large", error)
        return Record(headers, block, wanted)

    def _headers(self) -> dict[str, str] | None:
        """Header fields up to the blank line; None if the stream ends before it."""
        lines: list[bytes] = []
        for _ in range(_MAX_HEADER_LINES):
            line = self._line()
            if not line.endswith(b"\n"):
                return None
            if not line.rstrip(b"\r\n"):
                return header_fields(lines)
            lines.append(line)
        return None

    def _skip(self, length: int) -> int:
        left = length
        while left and (data := self._input.read(min(left, _SKIP_BYTES))):
            left -= len(data)
        self._position += length - left
        return length - left

    def _ends_here(self) -> bool:
        """True if a line end, another record or the end of the file follows."""
        following = self._input.peek(5)[:5]
        return (
            not following.strip(_BLANK) or following[:1] in b"\r\n" or following.upper() == b"WARC/"[: len(following)]
        )


def _broken(defect: str, error: str) -> Record:
    return Record(defect=defect, error=error, ends_stream=True)
