"""The ledger: what became of every record. One Parquet file per unit below OUT/ledger."""

from collections.abc import Sequence

import polars as pl

from manifests import shards
from manifests.errors import InputError


def ledger_files(out: str) -> list[str]:
    """Paths of the ledger's files below out, sorted. Raises InputError if there are none."""
    found = [f"ledger/{name}" for name in shards.list_files(shards.join(out, "ledger")) if name.endswith(".parquet")]
    if not found:
        raise InputError(f"{out}: there is no ledger. Is it the folder of a corpus whose build got that far?")
    return found


def scan(out: str, columns: Sequence[str] | None = None) -> pl.LazyFrame:
    """The whole ledger, lazily, in the order of units and records."""
    frame = scan_parquet([shards.join(out, name) for name in ledger_files(out)])
    return frame if columns is None else frame.select(columns)


def scan_parquet(uris: Sequence[str]) -> pl.LazyFrame:
    """Parquet files of one file system one after another, lazily; at least one."""
    paths = [shards.filesystem(uri)[1] for uri in uris]
    if shards.is_local(uris[0]):
        return pl.scan_parquet(paths, glob=False)
    import pyarrow.dataset  # takes 0.2 s, for it imports pandas
    import pyarrow.fs

    handler = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(shards.filesystem(uris[0])[0]))
    return pl.scan_pyarrow_dataset(pyarrow.dataset.dataset(paths, filesystem=handler))


def counts(out: str) -> dict[str, dict[str, int]]:
    """Documents by fate, stage, reason, language and source, kept documents by language and source; sorted keys.

    `duplicate_in`: duplicates of what an older corpus keeps, by that corpus.
    """
    columns = ["fate", "stage", "reason", "language.label", "source", "duplicate_in"]
    frame = scan(out, columns).rename({"language.label": "language"})
    tables = {name: _count(frame, name) for name in ("fate", "stage", "reason", "language", "source", "duplicate_in")}
    kept = frame.filter(pl.col("fate") == "kept")
    return tables | {"kept_language": _count(kept, "language"), "kept_source": _count(kept, "source")}


def _count(frame: pl.LazyFrame, column: str) -> dict[str, int]:
    grouped = frame.filter(pl.col(column).is_not_null()).group_by(column).len().sort(column).collect(engine="streaming")
    return {str(key): int(number) for key, number in grouped.iter_rows()}


def find(out: str, document: str) -> list[dict[str, object]]:
    """The ledger rows of a document id or URL. Raises InputError if there is none."""
    column = "doc_id" if len(document) == 32 and set(document) <= set("0123456789abcdef") else "url"
    rows = scan(out).filter(pl.col(column) == document).collect(engine="streaming").to_dicts()
    if not rows:
        raise InputError(
            f"{out}: no record has {column} {document!r}. Give a document id (32 hex characters) or the exact URL, "
            "as in the ledger's columns doc_id and url."
        )
    return rows


# What the members of a duplicate component share. Ids of two corpora can be equal: a keeper in an older one is named
# with its corpus.
COMPONENT = pl.coalesce(pl.col("duplicate_of") + "@" + pl.col("duplicate_in"), "duplicate_of", "doc_id")


def component(out: str, keeper: str, corpus: str | None = None) -> list[dict[str, object]]:
    """The documents of a duplicate component by its keeper's id: the keeper first, then by id.

    corpus: the older corpus that the keeper is in, if it is in one (`duplicate_in`); the keeper is not listed then.
    """
    columns = ["doc_id", "url", "fate", "duplicate_kind", "jaccard"]
    of = (keeper if corpus is None else f"{keeper}@{corpus}") == COMPONENT
    rows = scan(out, [*columns, "duplicate_of", "duplicate_in"]).filter(of).sort(pl.col("doc_id") != keeper, "doc_id")
    return rows.select(columns).collect(engine="streaming").to_dicts()


def lookup(out: str, doc_ids: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, object]]:
    """The given columns of many documents, by document id."""
    wanted = pl.LazyFrame({"doc_id": list(doc_ids)}, schema={"doc_id": pl.String})
    rows = scan(out, columns).join(wanted, on="doc_id", how="semi").collect(engine="streaming").to_dicts()
    return {str(row["doc_id"]): row for row in rows}
