"""Shards as whole local files: checked against the manifest's SHA-256, those from object stores kept in a folder.

No daemon and no shared memory: processes that share the folder see only whole files, named by their digest, and any
of them may remove the ones that were longest not used.
"""

import contextlib
import hashlib
import os
import tempfile
import time
import uuid
from dataclasses import dataclass, field

from manifests import shards
from manifests.errors import InputError, IntegrityError, StorageError, storage_error
from manifests.manifest import Shard

CHUNK_BYTES = 1 << 20
FOLDER_VARIABLE = "GRISTMILL_SHARDS"  # names the folder; without it, one of this user in the temporary folder


def _own_folder() -> str:
    return os.path.join(tempfile.gettempdir(), f"gristmill-shards-{os.getuid()}")


@dataclass(frozen=True)
class Cache:
    """A folder for shards of other file systems. What was longest not used goes when they exceed max_bytes."""

    folder: str = field(default_factory=lambda: os.environ.get(FOLDER_VARIABLE) or _own_folder())
    max_bytes: int = 256 * 1024**3

    def fetch(self, uri: str, shard: Shard) -> str:
        """Path of a local copy with the shard's SHA-256.

        Raises IntegrityError where the bytes are others, InputError where there are none, StorageError where the
        folder cannot be written.
        """
        path = os.path.join(self.folder, f"{shard.sha256}.parquet")
        try:
            if _is_whole(path, shard):
                _mark_used(path)
                return path
            os.makedirs(self.folder, exist_ok=True)
            self._make_room(shard.bytes)
            self._download(uri, shard, path)
        except OSError as error:
            raise storage_error(path, error) from error
        return path

    def _download(self, uri: str, shard: Shard, path: str) -> None:
        temporary = f"{path}.{uuid.uuid4().hex}.tmp"
        try:
            found = _copy(uri, temporary)
            if found != shard.sha256:
                raise damaged(uri, temporary, shard, found)
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)

    def _make_room(self, num_bytes: int) -> None:
        if num_bytes > self.max_bytes:
            raise StorageError(
                f"{self.folder}: may hold {self.max_bytes:,} bytes, a shard has {num_bytes:,}. Allow more."
            )
        entries = [entry for entry in os.scandir(self.folder) if entry.name.endswith(".parquet")]
        facts = []
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # another process was quicker
                facts.append((entry.stat().st_atime_ns, entry.stat().st_size, entry.path))
        excess = sum(size for _, size, _ in facts) + num_bytes - self.max_bytes
        for _, size, path in sorted(facts):
            if excess <= 0:
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # a process that has it open goes on reading
            excess -= size


def _mark_used(path: str) -> None:
    """Set the time of use alone: a digest is remembered while the time of change stays the same."""
    os.utime(path, ns=(time.time_ns(), os.stat(path).st_mtime_ns))


def _is_whole(path: str, shard: Shard) -> bool:
    """A file that was damaged in the folder is as good as none."""
    return os.path.exists(path) and shards.file_digest(path) == shard.sha256


def _copy(uri: str, path: str) -> str:
    """Copy a file from any file system to a local path; returns the SHA-256 of what was read."""
    sha256 = hashlib.sha256()
    fs, inner = shards.filesystem(uri)
    try:
        source = fs.open(inner, "rb")
    except OSError as error:
        raise InputError(f"{uri}: cannot be read: {error.strerror or error}. Check the path and the access.") from error
    with source, open(path, "wb") as target:
        while block := source.read(CHUNK_BYTES):
            sha256.update(block)
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    return sha256.hexdigest()


def checked_path(root: str, shard: Shard, cache: Cache) -> str:
    """Local path of a shard of the corpus at `root`, with all its bytes as the manifest says.

    The digest is taken once a process and again when size or time of the file change. Raises IntegrityError, which
    names the row group that is damaged, or says that the shard is missing.
    """
    uri = shards.join(root, shard.path)
    if not shards.exists(uri):
        raise IntegrityError(
            f"{shard.path}: is listed in the manifest of {root} but is not there. Run the build again."
        )
    if not shards.is_local(uri):
        return cache.fetch(uri, shard)
    path: str = shards.filesystem(uri)[1]
    found = shards.file_digest(path)
    if found != shard.sha256:
        raise damaged(uri, path, shard, found)
    return path


def damaged(uri: str, path: str, shard: Shard, found: str) -> IntegrityError:
    """The error for a shard whose bytes, now at the local `path`, are not those of the manifest."""
    return IntegrityError(
        f"{uri}: {_damaged_part(path)}: its SHA-256 is {found[:16]}…, the manifest says {shard.sha256[:16]}…: it "
        "was changed or damaged. Nothing of it was used. Remove it and run the build again."
    )


def _damaged_part(path: str) -> str:
    """Which row groups cannot be read with the checksums of their pages, in words."""
    try:
        with shards.open_parquet(path) as file:
            broken = [number for number in range(file.num_row_groups) if not _is_readable(path, number)]
    except IntegrityError:
        return "the file's end, which lists its row groups, is damaged"
    if not broken:
        return "every row group is whole in itself, so it is another file or damaged between them"
    return f"row group{'s' if len(broken) > 1 else ''} {', '.join(map(str, broken))} damaged"


def _is_readable(path: str, number: int) -> bool:
    try:
        shards.read_row_groups(path, [number])
    except IntegrityError:
        return False
    return True
