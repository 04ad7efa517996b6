"""What could go wrong on this machine, looked at before it does.

Nothing of ours is imported with this module, so that `shadowed` can be asked first.
"""

import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpus.recipe import Recipe

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
    from filters.kernels.cache import kept_kernels, kernel_folder, why_unusable

    folder = kernel_folder()
    if reason := why_unusable(folder):
        remedy = "Every process compiles its kernels: set GRISTMILL_CACHE to the path of a folder that is yours alone."
        return Check("kernel cache", False, f"{folder}: {reason}", remedy)
    num_kernels, num_bytes = kept_kernels()
    cold = "no kernels yet; the first build compiles them, or `gristmill doctor --warm [RECIPE]`"
    return Check(
        "kernel cache", True, f"{folder}: {f'{num_kernels} kernels, {num_bytes / 1e6:.0f} MB' if num_kernels else cold}"
    )


def warm(recipe: str | None = None) -> float:
    """Build a small sample corpus in a temporary folder, so that this machine keeps its kernels compiled.

    recipe: whose kernels, a recipe file or the name of a preset; None is the sample's own. Returns the seconds that
    compiling took, 0.0 where they were there already. Raises InputError or RecipeError if the recipe cannot be read.
    """
    from corpus.plan import build
    from corpus.recipe_file import read_recipe
    from corpus.run_local import LocalRunner
    from corpus.sample import write_sample

    runner = LocalRunner()
    with tempfile.TemporaryDirectory() as folder:
        write_sample(folder, num_pages=200)
        sample = read_recipe(f"{folder}/recipe.toml", ["tokenize.tokenizer=train:1000"])
        wanted = sample if recipe is None else on_sample(recipe, sample, folder)
        build(wanted, f"{folder}/corpus", runner, lambda *event: None)
    return runner.compile_seconds


def on_sample(name: str, sample: "Recipe", folder: str) -> "Recipe":
    """A recipe or preset that reads the sample's sources, without what would end its build or skip measures."""
    from corpus.recipe_file import presets, read_recipe
    from manifests.errors import InputError

    path = name
    if name in presets():
        path = f"{folder}/preset.toml"
        source = '[[source]]\nname = "sample"\nformat = "text"\npaths = ["*"]\n'
        Path(path).write_text(f'name = "warm"\npreset = "{name}"\n{source}', "utf-8")
    try:
        recipe = read_recipe(path)
    except InputError as error:
        raise InputError(f"{error} Give a recipe file or a preset: {', '.join(presets())}.") from None
    dedup = {"against": [], "max_lost_ratio": 1.0}
    changes = {
        "source": sample.source,
        "tokenize": sample.tokenize,
        "short_circuit": False,
        "language": recipe.language.model_copy(update={"keep": []}),
        "dedup": recipe.dedup.model_copy(update=dedup),
        "audit": recipe.audit.model_copy(update={"gate": []}),
    }
    return recipe.model_copy(update=changes)
