"""WARC and WET bytes, one gzip member per record, written as Common Crawl does; no clock, no host name."""

import base64
import hashlib
import uuid
import zlib
from collections.abc import Sequence

_CRAWLER = "gristmill-sample/1"
_GZIP = 31  # window bits of zlib that ask for a gzip member; it writes time 0

Headers = Sequence[tuple[str, str]]


def gzip_member(data: bytes) -> bytes:
    """One gzip member without time or name."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    return packer.compress(data) + packer.flush()


def record(kind: str, url: str | None, date: str, block: bytes, headers: Headers = ()) -> bytes:
    """A WARC/1.0 record, not packed. Headers of the same name replace the computed ones."""
    fields = {
        "WARC-Type": kind,
        "WARC-Date": date,
        "WARC-Record-ID": record_id(kind, url or "", date),
        **({"WARC-Target-URI": url} if url else {}),
        "Content-Length": str(len(block)),
        **dict(headers),
    }
    head = "WARC/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return head.encode() + b"\r\n" + block + b"\r\n\r\n"


def record_id(kind: str, url: str, date: str) -> str:
    """An id that depends on what the record is, not on when or where it was written."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{kind} {date} {url}')}>"


def payload_digest(body: bytes) -> str:
    """SHA-1 in base 32, as Common Crawl writes it."""
    return "sha1:" + base64.b32encode(hashlib.sha1(body).digest()).decode()


def warcinfo(date: str, file_name: str) -> bytes:
    """The first record of a file."""
    block = f"software: {_CRAWLER}\r\nformat: WARC File Format 1.0\r\nisPartOf: sample\r\n".encode()
    headers = [("WARC-Filename", file_name), ("Content-Type", "application/warc-fields")]
    return record("warcinfo", None, date, block, headers)


def request(url: str, date: str) -> bytes:
    """The request record that belongs to a response."""
    host, _, path = url.partition("://")[2].partition("/")
    block = f"GET /{path} HTTP/1.1\r\nUser-Agent: {_CRAWLER}\r\nAccept: text/html\r\nHost: {host}\r\n\r\n".encode()
    headers = [
        ("WARC-Concurrent-To", record_id("response", url, date)),
        ("Content-Type", "application/http; msgtype=request"),
    ]
    return record("request", url, date, block, headers)


def metadata(url: str, date: str, language: str) -> bytes:
    """The metadata record that belongs to a response."""
    block = f"fetchTimeMs: {len(url) * 7}\r\nlanguages-cld2: {language}\r\n".encode()
    headers = [
        ("WARC-Concurrent-To", record_id("response", url, date)),
        ("Content-Type", "application/warc-fields"),
    ]
    return record("metadata", url, date, block, headers)


def http_message(status: str, headers: Headers, body: bytes) -> bytes:
    """An HTTP/1.1 response; Content-Length is added unless the body comes in chunks."""
    fields = dict(headers)
    if "Transfer-Encoding" not in fields:
        fields["Content-Length"] = str(len(body))
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return head.encode() + b"\r\n" + body


def response(url: str, date: str, message: bytes, body: bytes) -> bytes:
    """A response record around an HTTP message."""
    headers = [
        ("WARC-Payload-Digest", payload_digest(body)),
        ("Content-Type", "application/http; msgtype=response"),
    ]
    return record("response", url, date, message, headers)


def conversion(url: str, date: str, text: str, language: str) -> bytes:
    """A record of a WET file: the text of a page."""
    headers = [
        ("WARC-Identified-Content-Language", language),
        ("WARC-Refers-To", record_id("response", url, date)),
        ("Content-Type", "text/plain"),
    ]
    return record("conversion", url, date, text.encode(), headers)
