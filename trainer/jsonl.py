"""JSON Lines files, plain or compressed: of examples and of items to evaluate on."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

from manifests import shards
from manifests.errors import InputError


def read_jsonl(path: str) -> Iterator[tuple[int, Any]]:
    """(line number from 1, decoded value) of each line that is not blank. `.gz` and `.zst` are taken apart.

    Raises InputError naming file and line for what is not there, not whole, not UTF-8 or not JSON.
    """
    for number, line in enumerate(_read(path).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{number}: is not JSON in UTF-8: {error}.") from error


def _read(path: str) -> bytes:
    try:
        data = shards.read_bytes(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise InputError(f"{path}: there is no such file. Name JSONL files.") from None
    try:
        if path.endswith(".gz"):
            return gzip.decompress(data)
        return _unzstd(data) if path.endswith(".zst") else data
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is damaged or not whole: {error}.") from error


def _unzstd(data: bytes) -> bytes:
    """All frames. Raises EOFError where the last one is cut off, which the library passes over."""
    import zstandard  # only where a file needs it

    parts = []
    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            parts.append(frame.decompress(data))
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from error
        if not frame.eof:
            raise EOFError("the last frame is cut off")
        data = frame.unused_data
    return b"".join(parts)
