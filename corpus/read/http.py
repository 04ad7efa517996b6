"""The HTTP message inside a WARC response: status, headers, body."""

import io
import re
import zlib
from dataclasses import dataclass

import zstandard
from fastwarc.stream_io import BrotliReader

from corpus.read.headers import header_fields

_STATUS = re.compile(rb"^HTTP/\d(?:\.\d)?\s+(\d{3})\b")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNK_SIZE = re.compile(rb"^\s*([0-9a-fA-F]{1,15})\s*(?:;[^\n]*)?$")
# What a page starts with after white space and comments: the sniffing table of the WHATWG MIME standard, shortened.
_HTML_START = re.compile(
    rb"^(?:\xef\xbb\xbf)?(?>\s+|<!--.*?-->|<\?xml[^>]*>)*+"
    rb"<(?:!doctype html|html|head|body|title|script|style|table|div|h1|iframe|font|meta|a|b|p|br)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_SNIFF_BYTES = 2048


class TooLargeError(Exception):
    """The body inflates to more bytes than allowed."""


class EncodingError(Exception):
    """The body does not inflate; the message says how."""


@dataclass(frozen=True)
class Message:
    """status: None if there is no status line; headers: lower-case names, the first of several; body as stored."""

    status: int | None
    headers: dict[str, str]
    body: bytes


def parse_message(block: bytes) -> Message:
    """Split an HTTP response; takes lines that end with LF alone and folded headers."""
    status = _STATUS.match(block)
    if not status:
        return Message(None, {}, block)
    end = _HEAD_END.search(block)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    return Message(int(status[1]), header_fields(head.split(b"\n")[1:]), body)


def decoded_body(message: Message, max_bytes: int) -> bytes:
    """The body without chunking and compression.

    A body that is not chunked or not packed although its header says so is taken as it is: many crawlers store bodies
    unpacked and keep the header. Raises TooLargeError above max_bytes, EncodingError for a body that breaks inside.
    """
    body = message.body
    if "chunked" in message.headers.get("transfer-encoding", "").lower():
        body = _unchunk(body)
    for coding in reversed(message.headers.get("content-encoding", "").lower().split(",")):
        body = _inflate(body, coding.strip(), max_bytes)
    if len(body) > max_bytes:
        raise TooLargeError(f"the body has more than {max_bytes} bytes")
    return body


def looks_like_html(body: bytes) -> bool:
    """True if the body starts as an HTML page does."""
    return _HTML_START.match(body[:_SNIFF_BYTES]) is not None


def _unchunk(body: bytes) -> bytes:
    parts, position = [], 0
    while True:
        end = body.find(b"\n", position, position + 1024)
        size = _CHUNK_SIZE.match(body[position:end].rstrip(b"\r")) if end >= 0 else None
        if size is None:
            # Not chunked after all, or cut off: what is left is taken as it is.
            parts.append(body[position:])
            break
        num_bytes = int(size[1], 16)
        if num_bytes == 0:
            break
        parts.append(body[end + 1 : end + 1 + num_bytes])
        position = end + 1 + num_bytes
        if body[position : position + 2] == b"\r\n":
            position += 2
        elif body[position : position + 1] == b"\n":
            position += 1
        if position >= len(body):
            break
    return b"".join(parts)


def _inflate(body: bytes, coding: str, max_bytes: int) -> bytes:
    if not body or coding in ("", "identity"):
        return body
    if coding in ("gzip", "x-gzip"):
        return _inflate_zlib(body, 31, max_bytes) if body[:2] == b"\x1f\x8b" else body
    if coding == "deflate":
        # Servers send either a zlib stream or a bare deflate stream under this name.
        has_header = body[0] & 0x0F == 8 and len(body) > 1 and (body[0] << 8 | body[1]) % 31 == 0
        return body if looks_like_html(body) else _inflate_zlib(body, 15 if has_header else -15, max_bytes)
    if coding == "br":
        return body if looks_like_html(body) else _inflate_reader(BrotliReader(io.BytesIO(body)), max_bytes)
    if coding == "zstd":
        if body[:4] != b"\x28\xb5\x2f\xfd":
            return body
        return _inflate_reader(zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True), max_bytes)
    raise EncodingError(f"unknown content encoding {coding[:40]!r}")


def _inflate_zlib(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(window_bits)
    try:
        data = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise EncodingError(str(error)) from error
    if len(data) > max_bytes:
        raise TooLargeError(f"the body inflates to more than {max_bytes} bytes")
    return data


def _inflate_reader(reader: object, max_bytes: int) -> bytes:
    parts, num_bytes = [], 0
    try:
        while data := reader.read(1 << 16):  # type: ignore[attr-defined]
            num_bytes += len(data)
            if num_bytes > max_bytes:
                raise TooLargeError(f"the body inflates to more than {max_bytes} bytes")
            parts.append(data)
    except (OSError, zstandard.ZstdError) as error:
        raise EncodingError(str(error)) from error
    return b"".join(parts)
