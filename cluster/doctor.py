"""What could go wrong on this machine, looked at before it does.

Nothing of ours is imported with this module, so that `shadowed` can be asked first.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

PACKAGES = ("manifests", "filters", "corpus", "trainer", "cluster")
MIN_FREE_BYTES = 5 * 1024**3


@dataclass(frozen=True)
class Check:
    """One thing looked at: `found` in words, `remedy` where it did not pass."""

    name: str
    passed: bool
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """All checks, in a fixed order."""
    return [_python(), *(_package(name) for name in PACKAGES), *_libraries(), _language_model(), _disk(), _kernels()]


def shadowed() -> list[Check]:
    """The checks of our packages that another of the same name stands before."""
    return [check for check in map(_package, PACKAGES) if not check.passed]


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", sys.version_info >= (3, 11), version, "Use Python 3.11 or newer.")


def _package(name: str) -> Check:
    """Our packages have common names; another distribution's folder of the same name may come first on the path."""
    here = Path(__file__).resolve().parent.parent / name
    spec = util.find_spec(name)
    found = [str(Path(path).resolve()) for path in (spec.submodule_search_locations or [])] if spec else []
    where = found[0] if found else str(spec.origin if spec else "not found")
    remedy = f"It stands before gristmill's own in {here.parent}: uninstall it, or use an environment of its own."
    return Check(f"package {name}", found == [str(here)], where, remedy)


def _libraries() -> list[Check]:
    checks = []
    for name in ("ray", "pyarrow", "numba", "torch", "gigatoken", "fastwarc", "resiliparse"):
        try:
            checks.append(Check(name, True, metadata.version(name)))
        except metadata.PackageNotFoundError:
            checks.append(Check(name, False, "not installed", f"pip install {name}"))
    return checks


def _language_model() -> Check:
    from filters.language import Language
    from manifests.errors import GristmillError

    try:
        Language().check()
    except GristmillError as error:
        return Check("language model", False, "not usable", str(error))
    return Check("language model", True, f"lid.176, sha256 {Language().model_digest[:16]}…")


def _disk() -> Check:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    remedy = "Ray and remote writes need room for temporary files; free some or set TMPDIR."
    return Check("temporary space", free >= MIN_FREE_BYTES, f"{free / 1024**3:.1f} GiB free", remedy)


def _kernels() -> Check:
    """Compiled kernels are kept beside the sources, or where NUMBA_CACHE_DIR says."""
    folder = os.environ.get("NUMBA_CACHE_DIR") or str(Path(__file__).resolve().parent.parent / "filters" / "kernels")
    remedy = "Kernels are compiled in every process: set NUMBA_CACHE_DIR to a folder that can be written."
    return Check("kernel cache", os.access(folder, os.W_OK), folder, remedy)
