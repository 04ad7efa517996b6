"""One writer at a time in an output folder.

On a local file system the lock is an flock on OUT/.lock: the kernel lets go of it when the process ends, however it
ends. On an object store, or where flock is unknown, it is that file's existence: it is made with an exclusive put and
removed at the end, so a killed process leaves it behind. Its text says who holds it.
"""

import contextlib
import errno
import fcntl
import os
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

from manifests.errors import StorageError, storage_error
from manifests.shards import filesystem, is_local, join

NAME = ".lock"
# What flock answers on file systems that do not know it, as Lustre mounted without the option `flock`.
_NO_FLOCK = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


@contextlib.contextmanager
def locked(out: str) -> Iterator[None]:
    """Be the only writer in `out`, a folder or URI, for the time of the block; the folder is made if need be.

    Raises StorageError, saying who holds the folder, if another process does, or if the lock cannot be written.
    """
    uri = join(out, NAME)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(_flocked(uri) if is_local(out) else _put(uri))
        except OSError as error:
            if error.errno not in _NO_FLOCK or not is_local(out):
                raise storage_error(uri, error) from error
            held.enter_context(_put(uri))
        yield


@contextlib.contextmanager
def _flocked(uri: str) -> Iterator[None]:
    path = filesystem(uri)[1]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    file = _open_locked(path, uri)
    try:
        os.ftruncate(file, 0)
        os.write(file, _holder().encode())
        yield
    finally:
        if _lies_at(path, file):
            os.unlink(path)
        os.close(file)


def _open_locked(path: str, uri: str) -> int:
    """A file descriptor of the file at path, locked. Its holder removes the file, so it may vanish before the lock."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _lies_at(path, file):
                return file
        except BlockingIOError:
            holder = os.read(file, 1000).decode("utf-8", "replace")
            os.close(file)
            raise _taken(uri, holder, "Wait until it has ended, or stop it, or give another --out.") from None
        except OSError:
            if os.fstat(file).st_size == 0:  # made by this open
                os.unlink(path)
            os.close(file)
            raise
        os.close(file)


def _lies_at(path: str, file: int) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _put(uri: str) -> Iterator[None]:
    fs, path = filesystem(uri)
    text = f"{_holder()}, {uuid.uuid4().hex}".encode()  # the number tells this lock from any other
    try:
        _create(fs, path, text)
    except FileExistsError:
        holder = fs.cat_file(path).decode("utf-8", "replace").rpartition(", ")[0]
        remedy = f"If it is still at work, wait until it has ended. If it was killed, remove {uri} and run this again."
        raise _taken(uri, holder, remedy) from None
    try:
        yield
    finally:
        if fs.exists(path) and fs.cat_file(path) == text:
            fs.rm_file(path)


def _create(fs: Any, path: str, data: bytes) -> None:
    """Write a file that must not be there yet: in one step where the store can do that, else after a look."""
    if fs.exists(path):
        raise FileExistsError(path)
    try:
        with fs.open(path, "xb") as file:
            file.write(data)
    except (NotImplementedError, ValueError):  # "xb" is unknown there, as in HDFS
        fs.pipe_file(path, data)


def _holder() -> str:
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return f"host {socket.gethostname()}, process {os.getpid()}, since {now}"


def _taken(uri: str, holder: str, remedy: str) -> StorageError:
    out = uri.removesuffix(f"/{NAME}")
    return StorageError(f"{out}: another process writes to this folder ({holder or 'who is not said yet'}). {remedy}")
