"""Reading a table front to back in bounded memory."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from manifests import shards


class RowReader:
    """Reads consecutive slices of any length, holding a row group more than asked for at most."""

    def __init__(self, uri: str, columns: Sequence[str] | None = None) -> None:
        self.uri = uri
        self._groups = shards.row_groups(uri, columns)
        with shards.open_parquet(uri) as file:
            self.schema: pa.Schema = file.schema_arrow
        self._held: list[pa.Table] = []
        self._num_held = 0

    def take(self, num_rows: int) -> pa.Table:
        """The next num_rows rows."""
        while self._num_held < num_rows:
            self._held.append(next(self._groups))
            self._num_held += self._held[-1].num_rows
        table = pa.concat_tables(self._held) if self._held else next(self._groups).slice(0, 0)
        self._held = [table.slice(num_rows)]
        self._num_held -= num_rows
        return table.slice(0, num_rows)


class SparseRows:
    """Reads a table that has some rows of another one, in rising order of its column `row`, a row group at a time."""

    def __init__(self, uri: str) -> None:
        self._groups = shards.row_groups(uri)
        with shards.open_parquet(uri) as file:
            self._held: pa.Table = file.schema_arrow.empty_table()
        self._ended = False

    def between(self, first: int, stop: int) -> pa.Table:
        """The rows with first <= row < stop; call with rising rows, none left out."""
        while not self._ended and (self._held.num_rows == 0 or self._held["row"][-1].as_py() < stop - 1):
            group = next(self._groups, None)
            self._ended = group is None
            self._held = self._held if group is None else pa.concat_tables([self._held, group])
        num_here = int(np.searchsorted(self._held["row"].to_numpy(), stop))
        here, self._held = self._held.slice(0, num_here), self._held.slice(num_here)
        assert num_here == 0 or here["row"][0].as_py() >= first, "rows were left out"
        return here
