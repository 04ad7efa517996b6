"""Older corpora as an index: their runs take part in the search, what they keep is preferred to everything new."""

from typing import Any

from corpus.dedup.keys import kinds
from corpus.dedup.work import SignedUnit
from corpus.recipe import Dedup
from manifests import shards
from manifests.errors import InputError, ManifestMismatch
from manifests.manifest import Manifest, corpus_root, read_manifest

# What two corpora must have in common for their signatures to be comparable.
SHARED = ("ngram", "bands", "rows", "seed", "scheme")


def older_units(config: Dedup) -> list[SignedUnit]:
    """The units of the corpora that `against` names, in its order.

    Raises ManifestMismatch, with both settings, where one was signed in another way; InputError, with the command that
    makes it again, where one of its files is missing.
    """
    found = []
    for path in config.against:
        root, manifest = corpus_root(path), read_manifest(path)
        check_settings(config, manifest, root)
        rows = {file.path: file.rows for file in manifest.files}
        for unit in manifest.units:
            _check_files(config, root, unit.unit_id, rows)
            num_documents = rows[f"units/{unit.unit_id}/signatures.parquet"]
            name = f"{manifest.name}@{manifest.digest[:12]}"
            found.append(SignedUnit(unit.unit_id, num_documents, root, name))
    return found


def check_settings(config: Dedup, manifest: Manifest, root: str) -> None:
    """Raise ManifestMismatch unless the corpus's keys and signatures can be compared with those of the recipe."""
    theirs = Dedup.model_validate({**manifest.recipe["dedup"], "against": []})
    missing = [kind for kind in kinds(config) if kind not in kinds(theirs)]
    if missing:
        raise ManifestMismatch(
            f"{root}: was built with [dedup] {missing[0]} = false, this recipe has {missing[0]} = true: the older "
            f"corpus has no such keys. {_ways_out(root, f'dedup.{missing[0]}=true', f'{missing[0]} = false')}"
        )
    if config.minhash is None:
        return
    ours_text, theirs_text = _text(config), _text(theirs)
    if ours_text != theirs_text:
        raise ManifestMismatch(
            f"{root}: was built with [dedup.minhash] {theirs_text}, this recipe has {ours_text}: signatures made in "
            "two ways cannot be compared. Give this recipe the older settings, or build the older corpus again with "
            "these."
        )


def _text(config: Dedup) -> str:
    minhash = config.minhash
    return "off" if minhash is None else ", ".join(f"{key} = {getattr(minhash, key)}" for key in SHARED)


def _ways_out(root: str, override: str, setting: str) -> str:
    again = f"gristmill build {root}/recipe.toml --out {root} --set {override}"
    return f"Build it again with `{again}`, or set {setting} here."


def _check_files(config: Dedup, root: str, unit_id: str, known: dict[str, Any]) -> None:
    names = [f"{kind}.parquet" for kind in kinds(config)] + ["signatures.parquet"]
    names += ["bands.parquet"] if config.minhash else []
    for path in [f"units/{unit_id}/{name}" for name in names] + [f"duplicates/{unit_id}.parquet"]:
        if path not in known or not shards.exists(shards.join(root, path)):
            raise InputError(
                f"{root}/{path}: is missing, so documents of that corpus cannot be found again. "
                f"Make it anew with `gristmill build {root}/recipe.toml --out {root}`."
            )
