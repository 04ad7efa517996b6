"""Digests and ids that are equal on every machine, in every process, for every version of Python."""

import hashlib
import json

import xxhash


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no blanks, UTF-8 characters as they are; equal values give equal text.

    Raises ValueError for NaN and infinities, which JSON cannot hold.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_json(value: object) -> str:
    """SHA-256 (64 hex characters) of the canonical JSON of a value."""
    return digest_bytes(canonical_json(value).encode("utf-8"))


def digest_bytes(data: bytes) -> str:
    """SHA-256 (64 hex characters) of bytes."""
    return hashlib.sha256(data).hexdigest()


def unit_id(source: str, file: str) -> str:
    """16 hex characters (xxh3-64) for an input file: source name and path below the source's root."""
    return xxhash.xxh3_64_hexdigest(f"{source}\0{file}".encode())


def document_id(source: str, file: str, position: int) -> str:
    """32 hex characters (xxh3-128) for a record: source, file below the root, byte offset or row number."""
    return xxhash.xxh3_128_hexdigest(f"{source}\0{file}\0{position}".encode())


def hash_fraction(text: str, purpose: str, seed: int) -> float:
    """A number in [0, 1) that depends only on text, purpose and seed; used to reserve and to shuffle.

    53 bits of xxh3-64, so every value is exact in a float64.
    """
    return (xxhash.xxh3_64_intdigest(f"{purpose}\0{seed}\0{text}".encode()) >> 11) / 2.0**53
