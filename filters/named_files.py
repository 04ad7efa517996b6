"""Small text files that a config names: lists of domains, words, phrases. Plain, gzip or Zstandard."""

import gzip
import io
import zlib

import zstandard

from manifests import shards
from manifests.errors import RecipeError

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


def read_entries(uri: str) -> list[str]:
    """The lines of a list, in file order, without comments (`#` at the start of a line), blanks and empty lines.

    A `#` later in a line belongs to the entry: URLs have fragments.
    Raises InputError if the file cannot be read, RecipeError if it is no UTF-8 text or holds no entry.
    """
    entries = parse_entries(read_text(uri))
    if not entries:
        raise RecipeError(f"{uri}: holds no entry. A list has one entry a line; remove the key to use no list.")
    return entries


def read_text(uri: str) -> str:
    """The whole file as text. The compression is known by the first bytes.

    Raises InputError if the file cannot be read, RecipeError if it is no UTF-8 text.
    """
    shards.file_digest(uri)  # raises InputError with the path where the file is not there
    try:
        return _inflate(shards.read_bytes(uri)).decode("utf-8-sig")
    except (zstandard.ZstdError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise RecipeError(f"{uri}: is compressed but broken ({error}). Fetch the file again.") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{uri}: byte {error.start} is not UTF-8. Save the file as UTF-8 text.") from None


def parse_entries(text: str) -> list[str]:
    """The lines of a text without comments, blanks around them and empty lines."""
    stripped = (line.strip() for line in text.split("\n"))
    return [line for line in stripped if line and not line.startswith("#")]


def _inflate(data: bytes) -> bytes:
    if data.startswith(_GZIP):
        return gzip.decompress(data)
    if data.startswith(_ZSTD):
        # One-shot decompression refuses frames without a declared size, which stream writers make.
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            return bytes(reader.read())
    return data
