"""Documents that were taken out of a finished corpus: what says so on disk, and what must hold for it to count.

removed/<unit_id>.parquet  the documents (schema REMOVED), for each unit that had some
removed/commit.json        the digests of these files, of the corpus that the documents were in, of the units' inputs

They stay out of every later build in the folder, whatever its recipe.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from corpus.commits import Record, find_wanted
from corpus.score import unit_folder
from manifests import shards
from manifests.errors import IntegrityError, ManifestMismatch
from manifests.schemas import REMOVED, REMOVED_FOLDER

COMMIT = f"{REMOVED_FOLDER}/commit.json"


def removed_file(unit_id: str) -> str:
    """Path below the corpus folder of the list of a unit's removed documents; not there if there are none."""
    return f"{REMOVED_FOLDER}/{unit_id}.parquet"


def removed_documents(out: str, unit_id: str) -> pa.Table:
    """The removed documents of a unit (schema REMOVED)."""
    uri = shards.join(out, removed_file(unit_id))
    return shards.read_table(uri) if shards.exists(uri) else REMOVED.empty_table()


def removals(out: str, commits: Mapping[str, Record]) -> Record | None:
    """What was taken out of the corpus: digest, files, parent (digest of the corpus it was in), inputs; else None.

    commits: of the units' scoring, by unit id. Raises IntegrityError where a list is not as it was written,
    ManifestMismatch where a unit no longer has the documents that were taken out of it.
    """
    record, damaged = find_wanted(out, shards.join(out, COMMIT), lambda record: True)
    if damaged:
        raise IntegrityError(
            f"{out}/{damaged[0]}. It says which documents were taken out of this corpus and cannot be made again: put "
            "back a sound copy, or remove the documents from the older corpus once more, with another --out."
        )
    for unit_id, sha256 in record["inputs"].items() if record else ():
        if unit_id in commits:
            _check_same_documents(out, commits[unit_id], sha256)
    return record


def _check_same_documents(out: str, commit: Record, sha256: str) -> None:
    unit = commit["unit"]
    removed = removed_documents(out, unit["unit_id"])
    ids = shards.read_table(shards.join(out, unit_folder(unit["unit_id"]), "documents.parquet"), ["doc_id"])["doc_id"]
    rows = pc.index_in(removed["doc_id"], value_set=ids)
    if commit["input"]["sha256"] != sha256 or not rows.equals(removed["row"].cast(rows.type)):
        raise ManifestMismatch(
            f"{unit['source']}/{unit['file']}: {removed.num_rows} documents were taken out of it, and it is another "
            "file since, or is read in another way: which they are cannot be told. Give another --out for the new "
            "file, and remove them from that corpus."
        )
