"""Reading ledgers of any size in bounded memory: some columns at a time, a bounded number of rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from manifests import shards

BATCH_ROWS = 131_072

_HOST = r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:@\s]+)"


def columns_of(paths: Sequence[str]) -> list[str]:
    """The columns of a ledger; all its files have the same. [] without files."""
    if not paths:
        return []
    with shards.open_parquet(paths[0]) as file:
        return list(file.schema_arrow.names)


def batches(paths: Sequence[str], columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Rows of all files in order, about BATCH_ROWS at a time, with two columns more: `unit` and `row`.

    unit: uint32, position in paths; row: uint32, position in that file. Never holds more than a batch and a row group.
    """
    pending: list[pl.DataFrame] = []
    num_rows = 0
    for unit, path in enumerate(paths):
        with shards.open_parquet(path) as file:
            first_row = 0
            for group in range(file.num_row_groups):
                frame = _frame(file.read_row_group(group, columns=list(columns)), unit, first_row)
                first_row += frame.height
                num_rows += frame.height
                pending.append(frame)
                if num_rows >= BATCH_ROWS:
                    yield pl.concat(pending)
                    pending, num_rows = [], 0
    if pending:
        yield pl.concat(pending)


def _frame(table: pa.Table, unit: int, first_row: int) -> pl.DataFrame:
    frame = pl.DataFrame(table)
    return frame.with_columns(
        pl.lit(unit, pl.UInt32).alias("unit"),
        pl.int_range(first_row, first_row + pl.len(), dtype=pl.UInt32).alias("row"),
    )


def take_rows(path: str, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
    """Some rows of a Parquet file, in ascending order of row; reads only the row groups that hold them."""
    wanted = np.array(sorted(set(rows)), np.int64)
    with shards.open_parquet(path) as file:
        parts = [file.schema_arrow.empty_table().select(list(columns))]
        for group, first, last in _row_groups(file):
            inside = wanted[(wanted >= first) & (wanted < last)]
            if len(inside):
                parts.append(file.read_row_group(group, columns=list(columns)).take(inside - first))
    return pa.concat_tables(parts)


def _row_groups(file: pq.ParquetFile) -> list[tuple[int, int, int]]:
    """(row group, its first row, the row after its last)."""
    found, first = [], 0
    for group in range(file.num_row_groups):
        last = first + file.metadata.row_group(group).num_rows
        found.append((group, first, last))
        first = last
    return found


def host_of(url: pl.Expr) -> pl.Expr:
    """The host of a URL in lower case, without a final dot; null where there is none."""
    return url.str.extract(_HOST).str.to_lowercase().str.strip_chars_end(".")


def top_level_domain_of(url: pl.Expr) -> pl.Expr:
    """The last label of a URL's host; `(address)` for IP addresses, `(none)` without a host."""
    host = host_of(url)
    label = host.str.extract(r"([^.]+)$")
    is_address = host.str.starts_with("[") | label.str.contains(r"^\d+$")
    return pl.when(is_address).then(pl.lit("(address)")).otherwise(label).fill_null("(none)")


@dataclass
class Tally:
    """Sums by key over batches. With max_rows, the keys with the smallest totals are forgotten when there are more.

    Forgetting halves the table, so a key that is still there may have lost what it had before it was last forgotten:
    frequent keys are exact to within the largest total that was ever forgotten.
    """

    keys: list[str]
    sums: list[str]
    max_rows: int | None = None
    _parts: list[pl.DataFrame] = field(default_factory=list)

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows with the key and sum columns (int64)."""
        self._parts.append(self._summed(rows.select([*self.keys, *self.sums])))
        if len(self._parts) >= 16:
            self._parts = [self._pruned(self._summed(pl.concat(self._parts)))]

    def table(self) -> pl.DataFrame:
        """The sums, sorted by key; without any row added, a frame with no column."""
        if not self._parts:
            return pl.DataFrame()
        return self._summed(pl.concat(self._parts)).sort(self.keys)

    def _summed(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.group_by(self.keys).agg(pl.col(self.sums).cast(pl.Int64).sum())

    def _pruned(self, rows: pl.DataFrame) -> pl.DataFrame:
        if self.max_rows is None or rows.height <= self.max_rows:
            return rows
        order = rows.with_columns(pl.sum_horizontal(self.sums).alias("_total"))
        order = order.sort(["_total", *self.keys], descending=[True] + [False] * len(self.keys))
        return order.head(self.max_rows // 2).drop("_total")
