"""Commit records: what a finished piece of work was made from and which files it left, written last.

A record holds the digest of everything that decided its bytes. Work whose record has the wanted digest, and whose files
are there with their recorded digests, is skipped by the next run of the same command; anything else is redone. A record
holds its own digest too: a bit that flips in a count would otherwise pass into the manifest.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from manifests import shards
from manifests.digest import digest_json
from manifests.errors import IntegrityError
from manifests.shards import FileEntry

Record = dict[str, Any]

SEAL = "record_sha256"  # of the record's canonical JSON without this key


class Found(NamedTuple):
    """What an earlier run left of a piece of work.

    record: its commit record if it is wanted and all its files are sound, else None; damaged: what is wrong with those
    that are not, a line each that begins with the path below the corpus folder.
    """

    record: Record | None
    damaged: list[str]


def write_commit(uri: str, digest: str, files: list[FileEntry], **facts: Any) -> Record:
    """Write a record atomically; `files` have paths below the corpus folder."""
    record = {"digest": digest, "files": [asdict(entry) for entry in files], **facts}
    sealed = {**record, SEAL: digest_json(record)}
    shards.write_bytes(uri, json.dumps(sealed, sort_keys=True, indent=1).encode("utf-8"))
    return record


def read_commit(uri: str) -> Record | None:
    """The record at uri, or None if there is none or it is not as it was written (then its work is redone)."""
    try:
        record = json.loads(shards.read_bytes(uri))
        is_whole = isinstance(record, dict) and record.pop(SEAL, None) == digest_json(record)
    except (FileNotFoundError, ValueError):
        return None
    return record if is_whole else None


def find_committed(root: str, uri: str, digest: str) -> Found:
    """What is left of the work with the record at uri; the record only if it has this digest."""
    return find_wanted(root, uri, lambda record: bool(record["digest"] == digest))


def find_wanted(root: str, uri: str, is_wanted: Callable[[Record], bool]) -> Found:
    """What is left of the work with the record at uri; the files of an unwanted one are not looked at."""
    record = read_commit(uri)
    if record is None:
        return Found(None, [f"{uri.removeprefix(f'{root}/')}: damaged (no whole record)"] if shards.exists(uri) else [])
    if not is_wanted(record):
        return Found(None, [])
    damaged = damaged_files(root, record["files"])
    return Found(None if damaged else record, damaged)


def damaged_files(root: str, files: list[dict[str, Any]]) -> list[str]:
    """What is wrong with files that do not have their recorded size and SHA-256, as in `Found`."""
    problems = {entry["path"]: _damage(root, entry) for entry in files}
    return [f"{path}: {problem}" for path, problem in problems.items() if problem]


def _damage(root: str, entry: dict[str, Any]) -> str:
    """What is wrong with a file; "" for a sound one."""
    fs, path = shards.filesystem(shards.join(root, entry["path"]))
    if not fs.exists(path):
        return "missing"
    if (size := fs.size(path)) != entry["bytes"]:
        return f"damaged ({size:,} bytes, {entry['bytes']:,} were written)"
    is_sound = shards.file_entry(root, entry["path"]).sha256 == entry["sha256"]
    return "" if is_sound else "damaged (SHA-256 differs)"


def entries(record: Record) -> list[FileEntry]:
    """The files of a record."""
    return [FileEntry(**entry) for entry in record["files"]]


def check_entry(root: str, entry: FileEntry) -> None:
    """Raise IntegrityError, naming the file, unless its bytes have the recorded digest."""
    uri = shards.join(root, entry.path)
    if not shards.exists(uri):
        raise IntegrityError(f"{uri}: is missing. Run the build again to make it anew.")
    found = shards.file_entry(root, entry.path)
    if found.sha256 != entry.sha256:
        raise IntegrityError(
            f"{uri}: SHA-256 is {found.sha256[:16]}…, recorded is {entry.sha256[:16]}…: "
            "the file was changed or damaged. Remove it and run the build again."
        )
