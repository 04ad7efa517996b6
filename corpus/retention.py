"""A guard after document dedup: a source that lost nearly all its documents to it fails the build, before encoding.

That happens to mirrors of other sources, to old snapshots beside newer ones, and where all pages are one template
because their content was not extracted. Nothing is read for sources that cannot have lost too much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from corpus.commits import Record
from corpus.ledger_rows import Tally
from corpus.recipe import Dedup
from manifests import shards
from manifests.errors import GateFailed
from manifests.shards import FileEntry

MAX_KEEPERS = 1_000_000  # kept documents of one source's duplicates that are held; the rarest are forgotten
TOP = 3
MAX_NAMED = 5


@dataclass(frozen=True)
class Loss:
    """What dedup took of a source.

    num_reached: documents that the filters kept; num_lost: duplicates of others. takers: where the documents are that
    they are duplicates of, the most frequent first, as (place, duplicates); keepers: the same by document id.
    """

    source: str
    num_reached: int
    num_lost: int
    takers: list[tuple[str, int]]
    keepers: list[tuple[str, int]]


def check_retention(out: str, commits: Mapping[str, Record], files: Sequence[FileEntry], config: Dedup) -> None:
    """Raise GateFailed if dedup took more than config.max_lost_ratio of a source's documents.

    commits: of the units, by unit id; files: with those of OUT/duplicates. Not judged: sources of less than
    config.min_documents that the filters kept, and those of config.accept_loss.
    """
    found = losses(out, commits, files, config)
    if not found:
        return
    more = f" And {len(found) - MAX_NAMED} more sources." if len(found) > MAX_NAMED else ""
    names = ", ".join(f'"{loss.source}"' for loss in found)
    raise GateFailed(
        f"dedup: {' '.join(_sentence(loss) for loss in found[:MAX_NAMED])}{more} [dedup] max_lost_ratio allows "
        f"{config.max_lost_ratio:.1%}. Look whether these sources hold the same documents; if the loss is meant, set "
        f"accept_loss = [{names}] in [dedup], or raise max_lost_ratio. Finished work is kept."
    )


def losses(out: str, commits: Mapping[str, Record], files: Sequence[FileEntry], config: Dedup) -> list[Loss]:
    """The sources that lost too much, by name."""
    source_of = {unit_id: str(record["unit"]["source"]) for unit_id, record in commits.items()}
    # Rows of a table of duplicates are duplicates and what they are duplicates of: no fewer than what was lost.
    num_rows = {entry.path: entry.rows for entry in files}
    found = []
    for source in sorted(set(source_of.values()) - set(config.accept_loss)):
        unit_ids = [unit_id for unit_id in source_of if source_of[unit_id] == source]
        num_reached = sum(commits[unit_id]["fates"].get("kept", 0) for unit_id in unit_ids)
        most = config.max_lost_ratio * num_reached
        if num_reached < config.min_documents or sum(num_rows[_path(unit_id)] for unit_id in unit_ids) <= most:
            continue
        num_lost = sum(_lost(out, unit_id, ["kind"]).height for unit_id in unit_ids)
        if num_lost > most:
            found.append(Loss(source, num_reached, num_lost, *_takers(out, unit_ids, source_of)))
    return found


def _path(unit_id: str) -> str:
    return f"duplicates/{unit_id}.parquet"


def _read(out: str, unit_id: str, columns: list[str]) -> pl.DataFrame:
    table: pa.Table = shards.read_table(shards.join(out, _path(unit_id)), columns)
    return pl.DataFrame(table)


def _lost(out: str, unit_id: str, columns: list[str]) -> pl.DataFrame:
    return _read(out, unit_id, columns).filter(pl.col("kind") != "keeper")


def _takers(
    out: str, unit_ids: Sequence[str], source_of: Mapping[str, str]
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Of the duplicates in these units: by source or older corpus of what they are duplicates of, and by document."""
    tally = Tally(["keeper", "corpus"], ["documents"], MAX_KEEPERS)
    for unit_id in unit_ids:
        lost = _lost(out, unit_id, ["kept_doc_id", "kept_in", "kind"])
        tally.add(lost.select(pl.lit(1, pl.Int64).alias("documents"), keeper="kept_doc_id", corpus="kept_in"))
    table = tally.table()
    older = table.filter(pl.col("corpus").is_not_null()).group_by("corpus").agg(pl.col("documents").sum())
    takers = {f"corpus {corpus}": number for corpus, number in older.iter_rows()}
    here = table.filter(pl.col("corpus").is_null())
    for unit_id, source in source_of.items():
        keepers = _read(out, unit_id, ["doc_id", "kind"]).filter(pl.col("kind") == "keeper")
        number = here.join(keepers, left_on="keeper", right_on="doc_id", how="semi")["documents"].sum()
        takers[f"source {source!r}"] = takers.get(f"source {source!r}", 0) + number
    first = table.sort(["documents", "keeper"], descending=[True, False]).head(TOP)
    order = sorted(takers.items(), key=lambda taker: (-taker[1], taker[0]))[:TOP]
    return [taker for taker in order if taker[1]], list(first.select("keeper", "documents").iter_rows())


def _sentence(loss: Loss) -> str:
    takers = ", ".join(f"{name} ({number:,})" for name, number in loss.takers)
    keepers = ", ".join(f"{name} ({number:,})" for name, number in loss.keepers)
    return (
        f"source {loss.source!r} lost {loss.num_lost:,} of {loss.num_reached:,} documents "
        f"({loss.num_lost / loss.num_reached:.1%}), as duplicates of documents of {takers}, most often of {keepers}."
    )
