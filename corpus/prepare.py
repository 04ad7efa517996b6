"""Everything that can be known to be wrong before data is read, is found here."""

import itertools

import pyarrow as pa

from corpus import stage
from corpus.audit import check_gate_rules
from corpus.extract import extractor_of
from corpus.normalize import check as check_normalize
from corpus.read import check_source
from corpus.recipe import Recipe
from corpus.recipe_file import parse_toml, recipe_digest, to_toml
from corpus.tokenizers import load_tokenizer
from corpus.train_tokenizer import trained_vocab_size
from corpus.units import Unit, plan_units
from filters.base import check_no_credentials
from manifests import shards
from manifests.errors import InputError, ManifestMismatch, RecipeError
from manifests.manifest import NAME
from manifests.strict import did_you_mean

_HEADER = "# The resolved recipe of this corpus. digest: "


def prepare(recipe: Recipe, out: str) -> list[Unit]:
    """Check recipe, inputs and models; return the units to build, by unit id. Nothing is written.

    out: only looked at for credentials in it. Raises RecipeError, InputError, ModelError or SchemaMismatch.
    """
    _check_names(recipe)
    check_no_credentials(out)
    check_gate_rules(recipe.audit.gate, [*stage.rules(recipe), "dedup"])
    for rule in stage.chain(recipe):
        rule.check()
    check_normalize(recipe.normalize)
    extractor_of(recipe.extract.method)
    if trained_vocab_size(recipe.tokenize.tokenizer) is None:
        load_tokenizer(recipe.tokenize.tokenizer, recipe.tokenize.pretokenizer)
    units: list[Unit] = []
    for source in recipe.source:
        found = plan_units(source)
        check_source(source, found)
        units += found
    units.sort(key=lambda unit: unit.unit_id)
    for unit, other in itertools.pairwise(units):
        if unit.unit_id == other.unit_id:
            raise InputError(
                f"{unit.uri} and {other.uri} have the same unit id {unit.unit_id}. Rename one of the files."
            )
    return units


def _check_names(recipe: Recipe) -> None:
    names = [source.name for source in recipe.source]
    if len(set(names)) < len(names):
        raise RecipeError(f"[[source]] names must differ; the recipe has {names}.")
    for name in recipe.dedup.accept_loss:
        if name not in names:
            raise RecipeError(f"[dedup] accept_loss: there is no source {name!r}{did_you_mean(name, names)}")
    rules = [rule.rule for rule in recipe.filter]
    if len(set(rules)) < len(rules):
        raise RecipeError(f"[[filter]] rules must differ; the recipe has {rules}. Merge the repeated ones.")
    dedup = recipe.dedup
    if dedup.keep == "best_quality" and dedup.quality is None:
        raise RecipeError("[dedup] keep = 'best_quality' needs quality = '<rule>.<measure>', a score column.")
    scores = [column.name for column in stage.scores_schema(recipe) if not pa.types.is_string(column.type)]
    for section, quality in (("dedup", dedup.quality), ("pack", recipe.pack.quality)):
        if quality is not None and quality not in scores:
            near, there = did_you_mean(quality, scores), ", ".join(scores)
            raise RecipeError(f"[{section}] quality = {quality!r} is no score{near} There are: {there}.")


def claim(recipe: Recipe, out: str) -> None:
    """Make `out` this recipe's folder and write OUT/recipe.toml, or refuse.

    It must be empty but for hidden files, or hold a corpus of the same name. Raises ManifestMismatch if it is
    another recipe's, StorageError if it cannot be written.
    """
    uri = shards.join(out, "recipe.toml")
    digest = recipe_digest(recipe)
    ours = shards.exists(uri) and shards.read_bytes(uri).startswith(_HEADER.encode())
    if ours:
        _check_same_corpus(recipe, uri, digest)
    elif found := [path for path in shards.list_files(out) if not path.split("/")[-1].startswith(".")][:3]:
        raise ManifestMismatch(
            f"{out}: holds other files ({', '.join(found)}) and no corpus. Give an empty or new --out."
        )
    shards.remove(shards.join(out, NAME))  # a corpus that is being changed has no manifest
    shards.write_bytes(uri, f"{_HEADER}{digest}\n{to_toml(recipe)}".encode())


def _check_same_corpus(recipe: Recipe, uri: str, digest: str) -> None:
    text = shards.read_bytes(uri).decode("utf-8", errors="replace")
    known = text.partition("\n")[0].removeprefix(_HEADER)
    if parse_toml(text, uri).get("name") != recipe.name:
        raise ManifestMismatch(
            f"{uri}: this folder belongs to another recipe (digest {known[:16]}…), yours is {recipe.name!r} "
            f"(digest {digest[:16]}…). Give another --out, or remove the folder."
        )
