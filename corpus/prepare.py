"""Everything that can be known to be wrong before data is read, is found here."""

import uuid

from corpus import stage
from corpus.extract import extractor_of
from corpus.normalize import check as check_normalize
from corpus.read import check_source
from corpus.recipe import Recipe
from corpus.recipe_file import recipe_digest, to_toml
from corpus.tokenizers import load_tokenizer
from corpus.train_tokenizer import trained_vocab_size
from corpus.units import Unit, plan_units
from manifests import shards
from manifests.errors import ManifestMismatch, RecipeError
from manifests.manifest import NAME

_HEADER = "# The resolved recipe of this corpus. digest: "


def prepare(recipe: Recipe, out: str) -> list[Unit]:
    """Check recipe, inputs, models and output; write OUT/recipe.toml; return the units to build, by unit id.

    Raises RecipeError, InputError, ModelError, SchemaMismatch, StorageError or ManifestMismatch
    (another recipe's folder).
    """
    _check_names(recipe)
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
    _claim(recipe, out)
    return sorted(units, key=lambda unit: unit.unit_id)


def _check_names(recipe: Recipe) -> None:
    names = [source.name for source in recipe.source]
    if len(set(names)) < len(names):
        raise RecipeError(f"[[source]] names must differ; the recipe has {names}.")
    rules = [rule.rule for rule in recipe.filter]
    if len(set(rules)) < len(rules):
        raise RecipeError(f"[[filter]] rules must differ; the recipe has {rules}. Merge the repeated ones.")
    minhash = recipe.dedup.minhash
    if minhash and minhash.keep == "best_quality" and minhash.quality is None:
        raise RecipeError("[dedup.minhash] keep = 'best_quality' needs quality = '<rule>.<measure>', a score column.")
    scores = stage.scores_schema(recipe).names
    if minhash and minhash.quality is not None and minhash.quality not in scores:
        raise RecipeError(f"[dedup.minhash] quality = {minhash.quality!r} is no score; there are: {', '.join(scores)}.")


def _claim(recipe: Recipe, out: str) -> None:
    """Make `out` this recipe's folder, or refuse: it must be empty, or hold a corpus of the same name."""
    uri = shards.join(out, "recipe.toml")
    digest = recipe_digest(recipe)
    ours = shards.exists(uri) and shards.read_bytes(uri).startswith(_HEADER.encode())
    if ours:
        _check_same_corpus(recipe, uri, digest)
    elif found := [path for path in shards.list_files(out) if not path.split("/")[-1].startswith(".")][:3]:
        raise ManifestMismatch(
            f"{out}: holds other files ({', '.join(found)}) and no corpus. Give an empty or new --out."
        )
    probe = shards.join(out, f".probe-{uuid.uuid4().hex}")
    shards.write_bytes(probe, b"")
    shards.remove(probe)
    shards.remove(shards.join(out, NAME))  # a corpus that is being changed has no manifest
    shards.write_bytes(uri, f"{_HEADER}{digest}\n{to_toml(recipe)}".encode())


def _check_same_corpus(recipe: Recipe, uri: str, digest: str) -> None:
    text = shards.read_bytes(uri).decode("utf-8", errors="replace")
    first, _, rest = text.partition("\n")
    known = first.removeprefix(_HEADER)
    if f'name = "{recipe.name}"' not in rest.splitlines():
        raise ManifestMismatch(
            f"{uri}: this folder belongs to another recipe (digest {known[:16]}…), yours is {recipe.name!r} "
            f"(digest {digest[:16]}…). Give another --out, or remove the folder."
        )
