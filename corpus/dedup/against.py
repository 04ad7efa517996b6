"""Older corpora as an index: their runs take part in the search, what they keep is preferred to everything new."""

import os
from dataclasses import dataclass

from pydantic import ValidationError

from corpus.dedup.keys import kinds
from corpus.dedup.work import SignedUnit
from corpus.recipe import Dedup
from corpus.score import signing_versions
from manifests import shards
from manifests.errors import InputError, ManifestMismatch, RecipeError
from manifests.manifest import Manifest, corpus_root, read_manifest
from manifests.schemas import LINES_FOLDER, REMOVED_FOLDER

# What two corpora must have in common for their signatures to be comparable.
SHARED = ("ngram", "bands", "rows", "seed", "scheme")


@dataclass(frozen=True)
class OlderCorpus:
    """A corpus of `against` as it was when the build began: the digest of its manifest, and its units."""

    digest: str
    units: list[SignedUnit]


def older_corpora(config: Dedup, out: str) -> list[OlderCorpus]:
    """The corpora that `against` names, in its order. out: of the build, which cannot be one of them.

    Raises RecipeError for a corpus that is named twice, or is `out`; ManifestMismatch, with both settings, where one
    was signed in another way; InputError where there is none, and, with the command that makes it again, where one
    of its files is missing.
    """
    roots = [corpus_root(path) for path in config.against]
    for number, root in enumerate(roots):
        if _real(root) == _real(out):
            raise RecipeError(f"[dedup] against: {root} is the folder that this build writes. Give another --out.")
        if _real(root) in map(_real, roots[:number]):
            raise RecipeError(f"[dedup] against: {root} is named twice.")
    found = []
    for root in roots:
        try:
            manifest = read_manifest(root)
        except InputError as error:
            raise InputError(f"[dedup] against: {error}") from None
        check_settings(config, manifest, root)
        found.append(OlderCorpus(manifest.digest, _units(config, root, manifest)))
    return found


def check_settings(config: Dedup, manifest: Manifest, root: str) -> None:
    """Raise ManifestMismatch unless the corpus's keys and signatures can be compared with those of the recipe."""
    try:
        theirs = Dedup.model_validate(manifest.recipe["dedup"])
    except ValidationError:
        raise ManifestMismatch(
            f"{root}: was built by another version of gristmill, whose [dedup] had other keys. {_again(root)}"
        ) from None
    for kind in kinds(config):
        if kind not in kinds(theirs):
            raise ManifestMismatch(
                f"{root}: was built with [dedup] {kind} = false, this recipe has {kind} = true: the older corpus has "
                f"no such keys. {_again(root, f' --set dedup.{kind}=true')} Or set {kind} = false here."
            )
    if config.minhash is not None and _text(config) != _text(theirs):
        raise ManifestMismatch(
            f"{root}: was built with [dedup.minhash] {_text(theirs)}, this recipe has {_text(config)}: signatures made "
            "in two ways cannot be compared. Give this recipe the older settings, or build the older corpus again "
            "with these."
        )
    for name, version in signing_versions(config).items():
        if name != "unicode" and (found := manifest.versions.get(name, "none")) != version:
            raise ManifestMismatch(
                f"{root}: was signed with {name} {found}, here it is {version}: keys may differ. {_again(root)}"
            )


def _real(root: str) -> str:
    return os.path.realpath(root) if shards.is_local(root) else root.rstrip("/")


def _text(config: Dedup) -> str:
    minhash = config.minhash
    return "off" if minhash is None else ", ".join(f"{key} = {getattr(minhash, key)}" for key in SHARED)


def _again(root: str, override: str = "") -> str:
    return f"Build it again with `gristmill build {root}/recipe.toml --out {root}{override}`."


def _units(config: Dedup, root: str, manifest: Manifest) -> list[SignedUnit]:
    known = {file.path: file for file in manifest.files}
    names = ["signatures", *kinds(config), *(["bands"] if config.minhash else [])]
    units = []
    for unit in manifest.units:
        paths = [f"units/{unit.unit_id}/{name}.parquet" for name in names] + [f"duplicates/{unit.unit_id}.parquet"]
        for path in paths:
            if path not in known or not shards.exists(shards.join(root, path)):
                raise InputError(
                    f"{root}/{path}: is missing, so documents of that corpus cannot be found again. "
                    f"Make it anew with `gristmill build {root}/recipe.toml --out {root}`."
                )
        # What says which documents that corpus no longer keeps; there if it has such.
        taken = [f"{folder}/{unit.unit_id}.parquet" for folder in (REMOVED_FOLDER, LINES_FOLDER)]
        paths += [path for path in taken if path in known]
        corpus = f"{manifest.name}@{manifest.digest[:12]}"
        sha256 = {path: known[path].sha256 for path in paths}
        units.append(SignedUnit(unit.unit_id, known[paths[0]].rows, root, corpus, sha256))
    return units
