"""Units: one per input file, named the same on every machine.

A path of a source is a local path, a glob (`*`, `?`, `[...]`, `**`) or an fsspec URI (`s3://`, `memory://`), also with
a glob. The source's root is the part of the path before the first wildcard, up to its last slash; for a plain file it
is the file's folder. A unit's name is its path below that root, so a corpus built from a copy elsewhere is the same.
"""

import os
import re
from dataclasses import dataclass
from typing import Any

from corpus.recipe import Source
from manifests.digest import unit_id
from manifests.errors import InputError
from manifests.shards import filesystem, is_local

_WILDCARD = re.compile(r"[*?\[]")
# Version marks that object stores give, best first; a local file has its modification time.
_MARKS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")


@dataclass(frozen=True)
class Unit:
    """One input file.

    unit_id: 16 hex characters over source and file; file: path below the source's root; uri: where it lies now;
    num_bytes and mark (etag or modification time): for a quick look at whether it is still the same file.
    """

    unit_id: str
    source: str
    file: str
    uri: str
    num_bytes: int
    mark: str


def plan_units(source: Source) -> list[Unit]:
    """The files of a source as units, sorted by name below the root, each file once.

    Raises InputError, naming the path, for a missing file, a glob without matches, a folder, a file or bucket that
    cannot be read, and for two files that would have the same name.
    """
    by_uri: dict[str, Unit] = {}
    for path in source.paths:
        for unit in _expand(source, path):
            by_uri.setdefault(unit.uri, unit)
    by_file: dict[str, Unit] = {}
    for unit in by_uri.values():
        other = by_file.setdefault(unit.file, unit)
        if other is not unit:
            raise InputError(
                f"source {source.name!r}: {other.uri} and {unit.uri} both have the name {unit.file!r} below their "
                f"roots. Put one of them into a source of its own, or use one glob above both folders."
            )
    return [by_file[file] for file in sorted(by_file)]


def unit_of(source: Source, uri: str) -> Unit:
    """The unit of one file of a source, for reading a record again; raises InputError if no path of it matches."""
    inner = filesystem(uri)[1]
    for path in source.paths:
        if not inner.startswith(_root(filesystem(path)[1])):
            continue
        for unit in _expand(source, path):
            if filesystem(unit.uri)[1] == inner:
                return unit
    raise InputError(f"{uri}: no path of source {source.name!r} leads to this file; its paths are {source.paths}.")


def _root(path: str) -> str:
    """The folder that names are relative to, with its last slash; "" for a name without a folder."""
    wildcard = _WILDCARD.search(path)
    return path[: path.rfind("/", 0, wildcard.start() if wildcard else len(path)) + 1]


def _expand(source: Source, path: str) -> list[Unit]:
    where = f"source {source.name!r}, path {path!r}"
    try:
        fs, inner = filesystem(path)
        if _WILDCARD.search(path):
            # Without this, a listing kept from an earlier call would hide files that came since.
            fs.invalidate_cache()
            found = fs.glob(inner, detail=True)
            files = {name: info for name, info in found.items() if info["type"] == "file"}
            if not files:
                raise InputError(f"{where}: no file matches. Check the pattern; relative paths start at the recipe.")
        else:
            files = {inner: fs.info(inner)}
    except FileNotFoundError as error:
        raise InputError(f"{where}: not found. Check the path; relative paths start at the recipe.") from error
    except PermissionError as error:
        raise InputError(f"{where}: permission denied. Give this user (or these credentials) read access.") from error
    except ImportError as error:
        raise InputError(f"{where}: {error}. Install the file system's package into this environment.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: cannot be listed: {error}. Check the address and the connection.") from error
    return [_unit(source, path, fs, name, info) for name, info in files.items()]


def _unit(source: Source, path: str, fs: Any, name: str, info: dict[str, Any]) -> Unit:
    where = f"source {source.name!r}, path {path!r}"
    if info["type"] == "directory":
        raise InputError(f"{where}: is a folder. Name its files, for example {path.rstrip('/') + '/*'!r}.")
    if is_local(path) and not os.access(name, os.R_OK):
        raise InputError(f"{where}: {name} cannot be read. Give this user read permission.")
    root = _root(filesystem(path)[1])
    assert name.startswith(root), (name, root)
    file = name[len(root) :]
    mark = next((str(info[key]) for key in _MARKS if info.get(key) is not None), "")
    uri = name if is_local(path) else fs.unstrip_protocol(name)
    return Unit(unit_id(source.name, file), source.name, file, uri, int(info["size"] or 0), mark)
