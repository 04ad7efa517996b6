"""Documents are taken out of a finished corpus: a new version of it in another folder; the old one stays as it is.

The new version starts with the files of the old one, as links to the same bytes on one local file system, and with the
list of what is removed (see corpus.removed). Then all that follows on scoring is done as in any build: duplicates of
removed documents are decided again, so that the next best comes in; units and token shards with other documents than
before are written again. The tokenizer stays. Inputs are not read, texts only of units that change.
"""

import itertools
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from corpus import removed
from corpus.commits import Record, read_commit, write_commit
from corpus.ledger_rows import batches
from corpus.plan import Build, Watch
from corpus.recipe_file import read_recipe
from corpus.removal_lists import KINDS, Lists
from corpus.run_local import Item, Runner
from corpus.score import unit_folder
from filters.base import check_no_credentials
from manifests import ledger, shards
from manifests.digest import digest_json
from manifests.errors import InputError, IntegrityError, ManifestMismatch
from manifests.lock import locked
from manifests.manifest import NAME, Manifest, corpus_root, read_manifest
from manifests.schemas import REMOVED, REMOVED_FOLDER

NEAR = "remove.near"
_MADE_ANEW = ("duplicates/", f"{REMOVED_FOLDER}/", "report.")
_COLUMNS = ("doc_id", "url", "fate", "reason", "duplicate_of", "duplicate_in", "component_size")
_COMPONENT = pl.when(pl.col("component_size") > 1).then(ledger.COMPONENT)
# The corpus itself, not an older one, decides whether these are kept.
_CANDIDATE = (pl.col("fate") == "kept") | ((pl.col("fate") == "duplicate") & pl.col("duplicate_in").is_null())


@dataclass(frozen=True)
class Selection:
    """What is to be taken out of the corpus `root`.

    documents: unit (place in the manifest's list), row, doc_id, url, fate so far, reason (remove.<kind> or NEAR), asked
    (the line that names it; for NEAR the kept document of its component); by unit and row. not_found: lines that name
    no record.
    """

    root: str
    manifest: Manifest
    documents: pl.DataFrame
    not_found: list[str]


@dataclass(frozen=True)
class Removal:
    """What was done. out, digest: of the new version.

    readmitted: documents that come in since others are gone: doc_id, url, reason and duplicate_of, which held them
    back; displaced: those that go out, since what comes in is preferred: the same, of now. done: how many of how many
    units (`encode`) and buckets (`pack`) were made again.
    """

    out: str
    digest: str
    readmitted: list[dict[str, Any]] = field(default_factory=list)
    displaced: list[dict[str, Any]] = field(default_factory=list)
    done: dict[str, tuple[int, int]] = field(default_factory=dict)


def select(path: str, lists: Lists, near: bool) -> Selection:
    """Find what the lists name, and with `near` all documents of the same components too. Nothing is written.

    Requests, metadata and the like beside pages are no documents. What was removed before is found, but not again.
    Raises InputError if nothing would be left.
    """
    root, manifest = corpus_root(path), read_manifest(path)
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    parts, num_candidates = [], 0
    for records in _records(root, manifest):
        named = lists.match(records)
        for kind in KINDS:
            found[kind].update(named[kind].drop_nulls().unique())
        parts.append(_named(records, named))
        num_candidates += records.filter(_CANDIDATE).height
    documents = pl.concat(parts)
    if near:
        documents = pl.concat([documents, *_near(root, manifest, documents)])
    if documents.height and documents.filter(_CANDIDATE).height == num_candidates:
        raise InputError(f"{root}: these are all documents that the corpus keeps; none would be left.")
    columns = ["unit", "row", "doc_id", "url", "fate", "reason", "asked"]
    return Selection(root, manifest, documents.sort("unit", "row").select(columns), lists.not_found(found))


def _records(root: str, manifest: Manifest) -> Iterator[pl.DataFrame]:
    """The ledger's records that are documents or failed to be."""
    paths = [shards.join(root, "ledger", f"{unit.unit_id}.parquet") for unit in manifest.units]
    for records in batches(paths, _COLUMNS):
        yield records.filter(pl.col("reason").ne_missing("read.record_type"))


def _named(records: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """The records that a list names, with `reason` of their removal and `asked`."""
    first = pl.coalesce(pl.when(pl.col(kind).is_not_null()).then(pl.lit(f"remove.{kind}")) for kind in KINDS)
    why = named.select(reason=first, asked=pl.coalesce(KINDS))
    rows = pl.concat([records.drop("reason"), why], how="horizontal")
    return rows.filter(pl.col("asked").is_not_null() & (pl.col("fate") != "removed"))


def _near(root: str, manifest: Manifest, documents: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The other members of the documents' components, like these."""
    components = documents.select(_COMPONENT.alias("component")).to_series().drop_nulls().unique()
    if components.is_empty():
        return
    for records in _records(root, manifest):
        asked = records.with_columns(reason=pl.lit(NEAR), asked=_COMPONENT)
        others = ~pl.col("doc_id").is_in(documents["doc_id"].implode())
        yield asked.filter(pl.col("asked").is_in(components.implode()) & others).select(documents.columns)


def packed_rows(root: str, manifest: Manifest, doc_ids: list[str]) -> pl.DataFrame:
    """The packed rows that hold one of these documents, a shard at a time: split, row, shard, shard_row, doc_id.

    row counts over all shards of the split, as the trainer does; shard_row in its shard.
    """
    ids = pa.array(doc_ids, pa.string())
    found = []
    for split in ("train", "validation") if doc_ids else ():
        num_before = 0
        for shard in manifest.packed(split):
            documents = shards.read_table(shards.join(root, shard.path), ["segment_doc"])["segment_doc"]
            rows, flat = pc.list_parent_indices(documents), pc.list_flatten(documents)
            hits = pc.is_in(flat, ids)
            table = pl.DataFrame({"shard_row": pl.Series(rows.filter(hits)), "doc_id": pl.Series(flat.filter(hits))})
            place = {"split": pl.lit(split), "row": pl.col("shard_row") + num_before, "shard": pl.lit(shard.path)}
            found.append(table.unique(maintain_order=True).select(**place, shard_row="shard_row", doc_id="doc_id"))
            num_before += shard.rows
    schema = {"split": pl.String, "row": pl.Int64, "shard": pl.String, "shard_row": pl.Int64, "doc_id": pl.String}
    return pl.concat(found) if found else pl.DataFrame(schema=schema)


def remove(selection: Selection, out: str | None, runner: Runner, watch: Watch) -> Removal:
    """Make the new version: in `out`, or beside the old one as DIR-v2, DIR-v3 ...

    selection: of something. Run again with the same it goes on where it was stopped, in the same folder. Raises
    ManifestMismatch where `out` holds other files or a newer version is there, InputError where the old version is
    being built again meanwhile.
    """
    root, manifest = selection.root, selection.manifest
    lists = _lists(selection)
    digest = digest_json([manifest.digest, {unit_id: lists[unit_id].to_pydict() for unit_id in sorted(lists)}])
    new = out or _next_version(root, digest)
    check_no_credentials(new)
    recipe, records = read_recipe(shards.join(root, "recipe.toml")), _score_records(root, manifest)
    with locked(new):
        if not _is_free(new, digest):
            raise ManifestMismatch(f"{new}: holds other files. Give an empty or new --out.")
        _write_lists(new, selection, lists, digest)
        job = Build(recipe, new, runner, watch, parent=manifest)
        listed = [*manifest.shards, *manifest.files, *manifest.side_files]
        job.copy(partial(copy_files, root, new), [file.path for file in listed if not file.path.startswith(_MADE_ANEW)])
        if read_manifest(root).digest != manifest.digest:
            raise InputError(f"{root}: was built again meanwhile. Remove {new} and run this again.")
        made = job.go_on(job.scored(records))
    readmitted, displaced = _changes(root, manifest, new, made)
    totals = {"encode": len(made.units), "pack": sum(shard.kind == "tokens" for shard in made.shards)}
    done = {name: (total - job.reused[name], total) for name, total in totals.items()}
    return Removal(new, made.digest, readmitted, displaced, done)


def _lists(selection: Selection) -> dict[str, pa.Table]:
    """All removed documents (schema REMOVED) by unit id, those that were removed before too."""
    found = {unit_id: removed.removed_documents(selection.root, unit_id) for unit_id in _earlier_inputs(selection)}
    for (number,), rows in selection.documents.group_by("unit"):
        unit_id = selection.manifest.units[int(str(number))].unit_id
        new = rows.select(REMOVED.names).to_arrow().cast(REMOVED)
        found[unit_id] = pa.concat_tables([found.get(unit_id, REMOVED.empty_table()), new]).sort_by("row")
    return found


def _earlier_inputs(selection: Selection) -> dict[str, str]:
    """SHA-256 of the inputs of units that documents were removed from before."""
    earlier = removed.removals(selection.root, {})
    return earlier["inputs"] if earlier else {}


def _next_version(root: str, digest: str) -> str:
    """The folder beside the corpus for this removal. Raises ManifestMismatch where a newer version of it is there.

    What that one had removed would come back otherwise.
    """
    for path in _versions(root):
        if _is_free(path, digest):
            return path
        if shards.exists(shards.join(path, removed.COMMIT)):
            raise ManifestMismatch(
                f"{root}: {path} is a newer version of it, without other documents. Remove from that one, or give "
                "--out for a version that holds them again."
            )
    raise AssertionError("there is always a next number")


def _versions(root: str) -> Iterator[str]:
    numbered = re.fullmatch(r"(.+)-v(\d+)", root)
    base, number = (numbered[1], int(numbered[2])) if numbered else (root, 1)
    return (f"{base}-v{following}" for following in itertools.count(number + 1))


def _is_free(out: str, digest: str) -> bool:
    """True for a folder without files, or with what this same removal left."""
    record = read_commit(shards.join(out, removed.COMMIT))
    if record is not None:
        return bool(record["digest"] == digest)
    ours = (".", f"{REMOVED_FOLDER}/")  # lists whose record was not written yet
    return all(path.startswith(ours) for path in shards.list_files(out))


def _write_lists(out: str, selection: Selection, lists: dict[str, pa.Table], digest: str) -> None:
    """The lists come first: from here on no build in this folder takes these documents in."""
    shards.remove(shards.join(out, NAME))  # a corpus that is being changed has no manifest
    if read_commit(shards.join(out, removed.COMMIT)) is not None:
        return
    inputs = _earlier_inputs(selection) | {unit.unit_id: unit.sha256 for unit in selection.manifest.units}
    paths = {unit_id: removed.removed_file(unit_id) for unit_id in sorted(lists)}
    files = [shards.write_table(shards.join(out, path), lists[unit_id], path) for unit_id, path in paths.items()]
    facts = {"parent": selection.manifest.digest, "inputs": {unit_id: inputs[unit_id] for unit_id in paths}}
    write_commit(shards.join(out, removed.COMMIT), digest, files, **facts)


def copy_files(source: str, target: str, item: Item) -> Item:
    """Task: bring the files item["paths"], below the folder `source`, to `target`; what is there already stays."""
    for path in item["paths"]:
        try:
            _copy(shards.join(source, path), shards.join(target, path))
        except FileNotFoundError:
            raise IntegrityError(
                f"{source}/{path}: is missing. Build that corpus again, then run this again."
            ) from None
    return {"bucket": item["bucket"]}


def _copy(source: str, target: str) -> None:
    """A second name for a local file, which is safe since files are replaced but never changed; else a copy."""
    (source_fs, source_path), (target_fs, target_path) = shards.filesystem(source), shards.filesystem(target)
    if target_fs.exists(target_path):
        return
    target_fs.makedirs(target_path.rsplit("/", 1)[0], exist_ok=True)
    if shards.is_local(source) and shards.is_local(target):
        try:
            os.link(source_path, target_path)
            return
        except OSError:  # another disk, or a file system without links
            pass
    elif source_fs == target_fs:
        target_fs.copy(source_path, target_path)
        return
    with source_fs.open(source_path, "rb") as file, shards.atomic_writer(target) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)


def _score_records(root: str, manifest: Manifest) -> dict[str, Record]:
    """The commit records of scoring, by unit id."""
    found = {}
    for unit in manifest.units:
        uri = shards.join(root, unit_folder(unit.unit_id), "commit.json")
        record = read_commit(uri)
        if record is None:
            raise IntegrityError(
                f"{uri}: is missing or not as it was written. Build that corpus again, then repeat this."
            )
        found[unit.unit_id] = record
    return found


def _changes(root: str, old: Manifest, out: str, new: Manifest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Documents that are kept now and were not, and those that were and are not, the removed ones left out."""
    before = {file.path: file.sha256 for file in old.files}
    columns = ["doc_id", "url", "fate", "reason", "duplicate_of"]
    came: list[dict[str, Any]] = []
    went: list[dict[str, Any]] = []
    for file in new.files:
        if file.path.startswith("ledger/") and before.get(file.path) != file.sha256:
            was, is_now = (pl.DataFrame(shards.read_table(shards.join(at, file.path), columns)) for at in (root, out))
            was_kept, is_kept, is_removed = was["fate"] == "kept", is_now["fate"] == "kept", is_now["fate"] == "removed"
            came += was.filter(is_kept & ~was_kept).drop("fate").to_dicts()
            went += is_now.filter(was_kept & ~is_kept & ~is_removed).drop("fate").to_dicts()
    return came, went
