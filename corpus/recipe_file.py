"""Reading a recipe from TOML, with presets and overrides, and writing it back with every default in it."""

import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from corpus.recipe import Recipe
from filters import FILTERS
from manifests import shards
from manifests.digest import digest_json
from manifests.errors import InputError, RecipeError
from manifests.strict import did_you_mean, explain_validation

Table = dict[str, Any]


def read_recipe(path: str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe in a TOML file (local path or URI), with `key=value` overrides applied.

    `preset = "name"` starts from corpus/recipes/<name>.toml and the file's keys override it; a [[filter]] of the file
    with a rule of the preset changes that rule's keys in place.
    Raises InputError if there is no such file, RecipeError naming file and key for everything else.
    """
    try:
        text = shards.read_bytes(path).decode("utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: there is no such recipe file.") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: is not UTF-8 at byte {error.start}; save the recipe as UTF-8.") from None
    data = parse_toml(text, path)
    if "preset" in data:
        data = _merge(_preset(data.pop("preset"), path), data)
    for override in overrides:
        data = _override(data, override)
    base = path.rsplit("/", 1)[0] if "://" in path else str(Path(path).resolve().parent)
    return make_recipe(data, where=path, base=base)


def make_recipe(data: Mapping[str, Any], where: str, base: str | None = None) -> Recipe:
    """Check a recipe given as nested tables. Raises RecipeError that names `where` and the key."""
    try:
        return Recipe.model_validate(data, context={"base": base})
    except ValidationError as error:
        raise RecipeError(f"{where}: {explain_validation(error, Recipe)}") from None


def parse_toml(text: str, where: str) -> Table:
    """Parse TOML. Raises RecipeError with file, line and column."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where}: is not valid TOML: {error}.") from None


def presets() -> list[str]:
    """Names of the presets that come with the package."""
    files = resources.files("corpus.recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def _preset(name: Any, where: str) -> Table:
    if name not in presets():
        raise RecipeError(
            f"{where}: unknown preset {name!r}{did_you_mean(str(name), presets())} There are: {presets()}."
        )
    text = resources.files("corpus.recipes").joinpath(f"{name}.toml").read_text("utf-8")
    return parse_toml(text, f"preset {name}")


def _merge(base: Table, top: Mapping[str, Any]) -> Table:
    """`top` over `base`: tables key by key, filters rule by rule, everything else replaced."""
    merged = dict(base)
    for key, value in top.items():
        if key == "filter" and "filter" in base and isinstance(value, list):
            merged[key] = _merge_filters(base[key], value)
        elif isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            merged[key] = _merge(base[key], value)
        else:
            merged[key] = value
    return merged


def _merge_filters(base: list[Table], top: list[Table]) -> list[Table]:
    if not top or not all(isinstance(entry, Mapping) for entry in top):
        return top  # an empty list takes the preset's filters away; what is no table is refused by the check
    changes = {entry.get("rule"): entry for entry in top}
    merged = [{**entry, **changes.pop(entry["rule"], {})} for entry in base]
    return [*merged, *(entry for entry in top if entry.get("rule") in changes)]


def _override(data: Table, override: str) -> Table:
    """Apply one `key=value`: the key is dotted (`dedup.minhash.bands`, `gopher_quality.min_words`), the value TOML."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {override!r}: must have the form key=value, as in --set gopher_quality.min_words=80.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    head, *rest = key.strip().split(".")
    change: Any = value
    for part in reversed(rest):
        change = {part: change}
    if head not in FILTERS or not rest:
        return _merge(data, {head: change})
    entries = data.get("filter", [])
    if not any(entry.get("rule") == head for entry in entries):
        raise RecipeError(f"--set {override!r}: the recipe has no [[filter]] with rule = {head!r}.")
    return {**data, "filter": [_merge(entry, change) if entry.get("rule") == head else entry for entry in entries]}


def to_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML, every default written out; None is written as "off"."""
    data = recipe.model_dump(mode="json")
    data["filter"] = [{"rule": rule.rule, **entry} for rule, entry in zip(recipe.filter, data["filter"], strict=True)]
    return tomli_w.dumps(_off(data))


def _off(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _off(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_off(entry) for entry in value]
    return "off" if value is None else value


def portable(recipe: Recipe) -> Table:
    """The recipe without anything of this machine: named files by content digest, inputs by name and licence only."""
    data = recipe.model_dump(mode="json", context={"files": "digest"})
    data["filter"] = [{"rule": rule.rule, **entry} for rule, entry in zip(recipe.filter, data["filter"], strict=True)]
    for source in data["source"]:
        del source["paths"]
    del data["dedup"]["against"]  # the manifest's `parents` name them by digest
    if not recipe.tokenize.tokenizer.startswith("train:"):
        data["tokenize"]["tokenizer"] = f"sha256:{shards.file_digest(recipe.tokenize.tokenizer)}"
    return data


def recipe_digest(recipe: Recipe) -> str:
    """Digest of everything that the recipe decides; equal for the same recipe in another folder."""
    return digest_json(portable(recipe))
