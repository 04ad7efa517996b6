"""Small archives made in memory, and the rows that readers make of them."""

import gzip
from pathlib import Path
from typing import Any

from corpus.read import UnitReader
from corpus.recipe import Source
from corpus.units import plan_units

PAGE = b"<!doctype html><html><body><p>Hello</p></body></html>"


def http(body: bytes = PAGE, status: str = "200 OK", **headers: str) -> bytes:
    """An HTTP response; header names are given with _ for -."""
    headers = {"Content_Type": "text/html", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items() if value)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def record(block: bytes, kind: str = "response", **headers: str) -> bytes:
    """A WARC record; header names are given with _ for -."""
    fields = {
        "WARC_Type": kind,
        "WARC_Target_URI": "http://example.org/",
        "WARC_Date": "2024-01-02T03:04:05Z",
        "Content_Type": "application/http; msgtype=response",
        "Content_Length": str(len(block)),
        **headers,
    }
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value)
    return f"WARC/1.0\r\n{lines}\r\n".encode() + block + b"\r\n\r\n"


def packed(*records: bytes) -> bytes:
    """One gzip member a record."""
    return b"".join(gzip.compress(item, mtime=0) for item in records)


def rows_of(path: Path, data: bytes, format: str, **settings: Any) -> list[dict[str, Any]]:
    """Write the file, read it, return its rows."""
    path.write_bytes(data)
    source = Source(name="s", format=format, paths=[str(path)], **settings)  # type: ignore[arg-type]
    (unit,) = plan_units(source)
    return [row for table in UnitReader(unit, source) for row in table.to_pylist()]


def outcomes(rows: list[dict[str, Any]]) -> list[str | None]:
    """The reason of each row."""
    return [row["reason"] for row in rows]
