"""Units: one per input file, named the same on every machine.

A path of a source is a local path, a glob (`*`, `?`, `[...]`, `**`) or an fsspec URI (`s3://`, `memory://`), also with
a glob. A path that is a file as it stands is that file, whatever characters it has. The source's root is the part of
the path before the first wildcard, up to its last slash; for a plain file it is the file's folder. A unit's name is its
path below that root, so a corpus built from a copy elsewhere is the same. In the name of a folder a wildcard is written
as `[*]`, `[?]` or `[[]`.

Links of the local file system are followed, to files and to folders, also below `**`; a linked file is named as the
link is. Only a link to a folder around itself is not entered, since that has no end.
"""

import fnmatch
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from corpus.recipe import Source
from manifests.digest import unit_id
from manifests.errors import InputError
from manifests.shards import filesystem, is_local, version_mark

_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Unit:
    """One input file.

    unit_id: 16 hex characters over source and file; file: path below the source's root; uri: where it lies now.
    num_bytes and mark are for a quick look at whether it is still the same file: mark is its etag or modification time,
    "" where the file system tells neither. Then nothing is known, and two units without a mark may differ.
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
        pattern = filesystem(path)[1]
        # The widest root that the path can have: listing it for files elsewhere would be for nothing.
        if not inner.startswith(_root(pattern, literal=False)):
            continue
        for unit in _expand(source, path):
            if filesystem(unit.uri)[1] == inner:
                return unit
    raise InputError(f"{uri}: no path of source {source.name!r} leads to this file; its paths are {source.paths}.")


def _root(path: str, *, literal: bool) -> str:
    """The folder that names are relative to, with its last slash; "" for a name without a folder."""
    wildcard = None if literal else _WILDCARD.search(path)
    return path[: path.rfind("/", 0, wildcard.start() if wildcard else len(path)) + 1]


def _expand(source: Source, path: str) -> list[Unit]:
    """The units of one path; every failure to list or look at a file is an InputError that names it."""
    where = f"source {source.name!r}, path {path!r}"
    try:
        fs, inner = filesystem(path)
        literal = not _WILDCARD.search(inner) or fs.isfile(inner)
        found = {inner: fs.info(inner)} if literal else _matches(fs, inner, is_local(path))
        if not found:
            raise InputError(
                f"{where}: no file matches. Check the pattern; relative paths in a recipe start at its folder."
            )
        root = _root(inner, literal=literal)
        return [_unit(source, path, root, name, info) for name, info in found.items()]
    except FileNotFoundError as error:
        name = _named(error, where)
        remedy = "Mend or remove the link" if os.path.islink(error.filename or "") else "Check the path"
        raise InputError(f"{name}: not found. {remedy}; relative paths in a recipe start at its folder.") from error
    except PermissionError as error:
        name = _named(error, where)
        raise InputError(f"{name}: permission denied. Give this user (or these credentials) read access.") from error
    except ImportError as error:
        raise InputError(f"{where}: {error}. Install the file system's package into this environment.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: cannot be listed: {error}. Check the address and the connection.") from error


def _named(error: OSError, where: str) -> str:
    """Where it happened, with the file if it is another than the path itself."""
    name = str(error.filename or "")
    return where if not name or name in where else f"{where}: {name!r}"


def _matches(fs: Any, pattern: str, local: bool) -> dict[str, dict[str, Any]]:
    """What the file system says of each file that matches."""
    if local:
        root = _root(pattern, literal=False)
        parts = pattern[len(root) :].split("/")
        # Asked by name, the file system follows links; a dangling one raises FileNotFoundError.
        return {name: fs.info(name) for name in sorted(set(_local_files(root, parts, ())))}
    # Without this, a listing kept from an earlier call would hide files that came since.
    fs.invalidate_cache()
    found = fs.glob(pattern, detail=True)
    return {name: info for name, info in found.items() if info["type"] != "directory"}


def _local_files(folder: str, parts: list[str], around: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Files below `folder` (with its last slash) whose path matches, some twice where `**` does, and dangling links.

    fsspec's own glob leaves out linked files and folders, and folders that may not be read. around: device and number
    of the folders that this one lies in.
    """
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in around:
        return
    first, rest = parts[0], parts[1:]
    if first == "**" and rest:
        yield from _local_files(folder, rest, around)
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if first == "**" or fnmatch.fnmatchcase(entry.name, first)]
    for entry in found:
        if entry.is_dir():
            below = parts if first == "**" else rest
            if below:
                yield from _local_files(f"{entry.path}/", below, (*around, here))
        elif (not rest and entry.is_file()) or (
            entry.is_symlink() and first != "**" and not os.path.exists(entry.path)
        ):
            yield entry.path


def _unit(source: Source, path: str, root: str, name: str, info: dict[str, Any]) -> Unit:
    where = f"source {source.name!r}, path {path!r}"
    if info["type"] == "directory":
        raise InputError(f"{where}: is a folder. Name its files, for example {path.rstrip('/') + '/*'!r}.")
    if not name.isascii() and not _is_utf8(name):
        raise InputError(f"{where}: the name {name!r} is not UTF-8. Rename the file.")
    if is_local(path) and info["type"] != "file":
        raise InputError(f"{where}: {name} is no regular file. Name a file, or write its content into one.")
    if is_local(path) and not os.access(name, os.R_OK):
        raise InputError(f"{where}: {name} cannot be read. Give this user read permission.")
    assert name.startswith(root), (name, root)
    file = name[len(root) :]
    uri = name if is_local(path) else filesystem(path)[0].unstrip_protocol(name)
    return Unit(unit_id(source.name, file), source.name, file, uri, int(info["size"] or 0), version_mark(info))


def _is_utf8(name: str) -> bool:
    """False for names with bytes that are not UTF-8, which Python holds as lone surrogates."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
