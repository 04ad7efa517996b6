"""`gristmill losses`: what losses a run has kept, as one row for each document, for the next recipe to filter on."""

import math
from dataclasses import dataclass

import polars as pl

from manifests import ledger, shards
from manifests.errors import InputError
from manifests.schemas import DOCUMENT_LOSSES, require

DECIMALS = 5  # so that the order in which numbers are added up does not show


@dataclass(frozen=True)
class Compacted:
    """out: the file; num_steps: whose losses were read. Means are over the rows of the file."""

    out: str
    num_documents: int
    num_steps: int
    mean_loss: float
    mean_bits_per_byte: float | None


def told(found: Compacted) -> str:
    """The one line that the command prints."""
    bits = "" if found.mean_bits_per_byte is None else f", {found.mean_bits_per_byte:.4f} bits per byte"
    means = f"{found.num_documents:,} documents of {found.num_steps:,} steps; mean loss {found.mean_loss:.4f}{bits}"
    return f"{found.out}: {means}"


def compact(run: str, out: str) -> Compacted:
    """Write one row for each document, by id: its losses when each of its parts was read for the last time.

    See manifests.schemas.DOCUMENT_LOSSES. Equal losses give the same bytes. Raises InputError for a run without them.
    """
    from trainer.document_losses import loss_files

    files = loss_files(run)
    if not files:
        raise InputError(f"{run}: there are no losses. Name a run whose config has losses = true, after a checkpoint.")
    parts = ledger.scan_parquet(files).filter(pl.col("num_targets") > 0).with_columns(
        bits=pl.col("loss").cast(pl.Float64) * pl.col("num_targets") / math.log(2),
        num_bytes=pl.col("num_bytes").cast(pl.Float64),
    )  # fmt: skip
    by_step = parts.group_by("step").agg(usual=pl.col("bits").sum() / pl.col("num_bytes").sum())
    documents = _documents(parts, by_step).collect(engine="streaming")
    table = require(documents.to_arrow().cast(DOCUMENT_LOSSES), DOCUMENT_LOSSES, out)
    shards.write_table(out, table)
    mean = documents["bits_per_byte"].mean()
    return Compacted(
        out=out,
        num_documents=documents.height,
        num_steps=by_step.select(pl.len()).collect().item(),
        mean_loss=float(documents["loss"].mean() or 0.0),  # type: ignore[arg-type]
        mean_bits_per_byte=None if mean is None else float(mean),  # type: ignore[arg-type]
    )


def _documents(parts: pl.LazyFrame, by_step: pl.LazyFrame) -> pl.LazyFrame:
    """parts: rows of losses/ with `bits`; by_step: the bits per byte of all that each step read, `usual`."""
    newest = pl.col("step").arg_max()
    last = parts.group_by("doc_id", "segment_start").agg(
        pl.col("step").max(),
        pl.col("source", "num_targets", "num_bytes", "bits").get(newest),
        num_times=pl.len(),
    )
    whole = last.join(by_step, on="step").group_by("doc_id").agg(
        pl.col("source").min(),
        pl.col("num_targets", "num_bytes", "bits").sum(),
        pl.col("num_times").max(),
        last_step=pl.col("step").max(),
        expected=(pl.col("usual") * pl.col("num_bytes")).sum(),
    )  # fmt: skip
    known = pl.when(pl.col("num_bytes") > 0)
    return whole.select(
        "doc_id",
        "source",
        "num_targets",
        "num_times",
        "last_step",
        loss=(pl.col("bits") * math.log(2) / pl.col("num_targets")).round(DECIMALS),
        bits_per_byte=known.then(pl.col("bits") / pl.col("num_bytes")).round(DECIMALS),
        excess_bits_per_byte=known.then((pl.col("bits") - pl.col("expected")) / pl.col("num_bytes")).round(DECIMALS),
    ).sort("doc_id")
