"""Reading a table front to back in bounded memory."""

from collections.abc import Sequence

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
