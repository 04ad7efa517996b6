"""Commit records: what a finished piece of work was made from and which files it left, written last.

A record holds the digest of everything that decided its bytes. Work whose record has the wanted digest, and whose files
are there with their recorded digests, is skipped by the next run of the same command; anything else is redone.
"""

import json
from dataclasses import asdict
from typing import Any

from manifests import shards
from manifests.errors import IntegrityError
from manifests.shards import FileEntry

Record = dict[str, Any]


def write_commit(uri: str, digest: str, files: list[FileEntry], **facts: Any) -> Record:
    """Write a record atomically; `files` have paths below the corpus folder."""
    record = {"digest": digest, "files": [asdict(entry) for entry in files], **facts}
    shards.write_bytes(uri, json.dumps(record, sort_keys=True, indent=1).encode("utf-8"))
    return record


def read_commit(uri: str) -> Record | None:
    """The record at uri, or None if there is none or it is not whole (then its work is redone)."""
    try:
        record = json.loads(shards.read_bytes(uri))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return record if isinstance(record, dict) and {"digest", "files"} <= record.keys() else None


def committed(root: str, uri: str, digest: str) -> Record | None:
    """The record at uri if it has this digest and all its files are there undamaged, else None."""
    record = read_commit(uri)
    if record is None or record["digest"] != digest or not files_sound(root, record["files"]):
        return None
    return record


def files_sound(root: str, files: list[dict[str, Any]]) -> bool:
    """True if every file exists with its recorded size and SHA-256."""
    fs, _ = shards.filesystem(root)
    for entry in files:
        path = shards.filesystem(shards.join(root, entry["path"]))[1]
        if not fs.exists(path) or fs.size(path) != entry["bytes"]:
            return False
    return all(shards.file_entry(root, entry["path"]).sha256 == entry["sha256"] for entry in files)


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
