"""Where compiled kernels are kept: one private folder per user, which every process of the machine finds by itself.

numba would keep them beside the sources, where an installed package often cannot be written, and would notice changes
in the kernel's own file only, though kernels of other files become part of it. Here each module has a folder whose
name is a digest of its source, of those it imports and of the compiler's versions: code of another state is never
found, whichever checkout or job's copy it runs from, and a change compiles anew what it touches and nothing else.
numba itself tells processors and argument types apart.

Machine code and pickles are loaded from here, so whoever can write here can run code as the user: the folder is made
for its user alone, and one that belongs to or can be written by others is not used. Without a usable folder every
process compiles for itself. Folders of former states are left; the whole folder may be deleted at any time.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]
import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache, InTreeCacheLocator

_SOURCES = Path(__file__).resolve().parent
_VERSIONS = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
_IMPORTED = re.compile(r"^\s*from filters\.kernels\.(\w+) import", re.MULTILINE)
_LOCK = "lock"


def kernel_folder() -> str:
    """$GRISTMILL_CACHE/kernels; GRISTMILL_CACHE is $XDG_CACHE_HOME/gristmill or ~/.cache/gristmill unless set."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(os.environ.get("GRISTMILL_CACHE") or os.path.join(base, "gristmill"), "kernels")


@functools.cache
def why_unusable(folder: str) -> str | None:
    """Make the folder if it is not there; None if kernels can be kept in it, else the reason in words.

    The answer holds for the rest of the process.
    """
    if not os.path.isabs(folder):
        return "it is not an absolute path"
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        info = os.lstat(folder)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if info.st_uid != os.geteuid():
        return "it belongs to another user"
    if info.st_mode & 0o022:
        return "other users can write to it"
    return next((f"other users can replace {parent}" for parent in Path(folder).parents if _replaceable(parent)), None)


def _replaceable(parent: Path) -> bool:
    """Whether another user could put another folder in place of one below: who may write to a folder may rename in it.

    In one with the sticky bit, as /tmp, only owners may.
    """
    info = parent.stat()
    foreign = info.st_uid not in (0, os.geteuid())
    return foreign or (bool(info.st_mode & 0o022) and not info.st_mode & stat.S_ISVTX)


def kept_kernels() -> tuple[int, int]:
    """Number and bytes of the compiled kernels of this state of the sources that are there now."""
    folders = [module_folder(path.stem) for path in sorted(_SOURCES.glob("*.py"))]
    sizes = [path.stat().st_size for folder in folders for path in Path(folder).glob("*.nbc")]
    return len(sizes), sum(sizes)


@functools.cache
def module_folder(module: str) -> str:
    """The folder for the kernels of one module of this package, given by its last name."""
    digest = hashlib.sha256(repr(_VERSIONS).encode())
    for name in sorted(_reached(module)):
        digest.update(f"\n{name}\n{_source(name)}".encode())
    return os.path.join(kernel_folder(), f"{module}-{digest.hexdigest()[:16]}")


def _reached(module: str) -> set[str]:
    """The module with all modules of this package that it imports, directly or not."""
    found, waiting = {module}, [module]
    while waiting:
        new = set(_IMPORTED.findall(_source(waiting.pop()))) - found
        found |= new
        waiting += sorted(new)
    return found


@functools.cache
def _source(module: str) -> str:
    return (_SOURCES / f"{module}.py").read_text("utf-8")


class _Locator(InTreeCacheLocator):  # type: ignore[misc]
    """Tells numba the folder of a kernel's module."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        super().__init__(py_func, py_file)
        self._cache_path = module_folder(Path(py_file).stem)


class _CacheImpl(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]


class KernelCache(FunctionCache):  # type: ignore[misc]
    """The compiled forms of one kernel on disk.

    numba replaces files in one step, but an entry is two files, and two processes that add the first entries for two
    argument types would both take the same file name: one type would get the other's code. Writers therefore take
    turns. What cannot be read or written (full disk, deleted folder) is compiled, which is slow and not wrong.
    """

    _impl_class = _CacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled form for a signature, or None."""
        with contextlib.suppress(OSError):
            return super().load_overload(sig, target_context)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled form for a signature, if the disk lets it."""
        with contextlib.suppress(OSError), _writing():
            super().save_overload(sig, data)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    with open(os.path.join(kernel_folder(), _LOCK), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
