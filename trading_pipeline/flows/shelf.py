"""Tables of the lake held in memory, to be read session by session."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from trading_pipeline.adapters.lake import Lake


class Shelf:
    """The rows of some symbols and sessions; each table is read from the lake once, when asked."""

    def __init__(self, lake: Lake, symbols: Sequence[str], first: date, last: date) -> None:
        """Name the rows; nothing is read yet."""
        self._lake, self._symbols = lake, tuple(symbols)
        self._first, self._last = first, last
        self._tables: dict[str, pl.DataFrame] = {}

    def read(
        self,
        table: str,
        first: date,
        last: date,
        *,
        symbols: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return the rows of the sessions first…last, as `Lake.read` does, of what is held."""
        rows = self._table(table)
        days = rows["session"]
        start = days.search_sorted(first, "left")
        found = rows.slice(start, days.search_sorted(last, "right") - start)
        if symbols is not None and set(symbols) != set(self._symbols):
            found = found.filter(pl.col("symbol").is_in(list(symbols)))
        return found if columns is None else found.select(columns)

    def _table(self, table: str) -> pl.DataFrame:
        if table not in self._tables:
            self._tables[table] = self._lake.read(
                table, self._first, self._last, symbols=self._symbols
            ).sort("session", maintain_order=True)
        return self._tables[table]
