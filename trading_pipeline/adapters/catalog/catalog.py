"""One object to read everything with: the lake's tables and the ledger's, in SQL."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Self

import polars as pl

from trading_pipeline.adapters.catalog import prices
from trading_pipeline.adapters.catalog.engine import Answer, Engine, Limits
from trading_pipeline.adapters.catalog.lake_tables import NAMES_IN_LAKE, SAY_WHEN, table_of
from trading_pipeline.adapters.catalog.ledger_tables import LedgerTables
from trading_pipeline.adapters.catalog.statement import Judge
from trading_pipeline.adapters.catalog.tables import ADJUSTED_BARS, Tables
from trading_pipeline.adapters.catalog.tick_tables import TICK_TABLES, columns_of
from trading_pipeline.core.market.corporate_actions import FACTORS, Convention
from trading_pipeline.errors import SettingsError

_STATS: Final = """
    SELECT count(*) AS rows, count(DISTINCT symbol) AS symbols, min(session) AS first_session,
        max(session) AS last_session, count(DISTINCT session) AS sessions
    FROM {table}
"""


class Catalog:
    """Tables by name, read-only; a context manager, to be used by one thread at a time.

    Each query sees the files that stand in the lake when it begins, so a catalog may stay open
    while sessions are written. Nothing it does writes a file, and no table of the ledger can be
    changed through it.
    """

    def __init__(
        self,
        lake: Path,
        *,
        ledger: LedgerTables | None = None,
        convention: Convention = "crsp",
        limits: Limits | None = None,
        as_known_at: datetime | None = None,
        ticks: Path | None = None,
    ) -> None:
        """Name the folders and the ledger, how bars are adjusted, what a query may cost.

        With `as_known_at` there are only the tables whose rows say when they became known, each as
        it was known then: what is derived is that of its last run, whenever that was.
        """
        if as_known_at is not None and as_known_at.tzinfo is None:
            raise SettingsError(
                f"The time {as_known_at} has no time zone: an aware one is expected."
            )
        self._until = as_known_at
        self._ledger = None if as_known_at else ledger
        self._limits = limits or Limits()
        self._parser = Engine({}, [], memory=self._limits.memory)
        self._judge = Judge(self._parser.connection, frozenset(self.names))
        self._tables = Tables(
            lake.resolve(),
            self._ledger,
            convention,
            limits=self._limits,
            until=as_known_at,
            ticks=ticks,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is held in memory."""
        self._tables.close()
        self._parser.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Every table there is."""
        if self._until is not None:
            return tuple(name for name in NAMES_IN_LAKE if table_of(name) in SAY_WHEN)
        ledger = self._ledger.names if self._ledger else ()
        return (*NAMES_IN_LAKE, ADJUSTED_BARS, *TICK_TABLES, *ledger)

    def query(self, sql: str, values: Sequence[object] = ()) -> pl.DataFrame:
        """Return all rows of one SELECT, a value for each `?`.

        Raises SettingsError for anything but one SELECT over the catalog's tables, for one that is
        wrong, takes too long or has more rows than the limit; DataError for a damaged file.
        """
        return self.run(sql, values).whole()

    def run(
        self,
        sql: str,
        values: Sequence[object] = (),
        *,
        rows: int | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """Return at most `rows` rows of one SELECT and whether there are more; as `query` else."""
        if isinstance(values, str):
            raise SettingsError("The values for `?` are a list, got one text.")
        checked = self._judge.check(sql)
        if checked.parameters != len(values):
            raise SettingsError(
                f"The query has {checked.parameters} `?` and {len(values)} values were given."
            )
        changes: dict[str, Any] = {"rows": rows, "seconds": seconds}
        given = {name: value for name, value in changes.items() if value is not None}
        limits = replace(self._limits, **given)
        return self._tables.read(
            checked.tables, lambda engine: engine.run(checked.statement, values, limits)
        )

    def stats(self, table: str) -> dict[str, Any]:
        """Rows, symbols, first_session, last_session and sessions of a table that has sessions."""
        frame = self.query(_STATS.format(table=self._require_lake(table)))
        return frame.row(0, named=True)

    def symbols(self, table: str) -> list[str]:
        """The symbols of a table, sorted."""
        name = self._require_lake(table)
        return self.query(f"SELECT DISTINCT symbol FROM {name} ORDER BY symbol")[  # noqa: S608 - a known name
            "symbol"
        ].to_list()

    def date_range(self, table: str) -> tuple[date, date] | None:
        """The first and the last session of a table, or None when it has no rows."""
        found = self.stats(table)
        return (found["first_session"], found["last_session"]) if found["rows"] else None

    def describe(self) -> pl.DataFrame:
        """A row a table: `table`, `from` (lake, computed or ledger) and the list `columns`."""
        columns = self._tables.read(frozenset(NAMES_IN_LAKE), _columns_of_lake)
        columns |= {name: columns_of(name) for name in TICK_TABLES}
        columns[ADJUSTED_BARS] = [*columns["clean_bars"], *FACTORS]
        if self._ledger:
            columns |= {name: self._ledger.columns(name) for name in self._ledger.names}
        rows = [(name, self._origin(name), columns[name]) for name in self.names]
        schema = {"table": pl.String, "from": pl.String, "columns": pl.List(pl.String)}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def adjusted_bars(
        self, symbols: Sequence[str], *, first: date | None = None, last: date | None = None
    ) -> pl.DataFrame:
        """The clean bars of some symbols, adjusted as of `last` (default: their newest session)."""
        self._require_lake(ADJUSTED_BARS)
        names = prices.require_symbols(symbols)
        bars = self._tables.adjusted(names, last)
        return bars if first is None else bars.filter(pl.col("session") >= first)

    def daily_returns(
        self, symbols: Sequence[str], *, first: date | None = None, last: date | None = None
    ) -> pl.DataFrame:
        """symbol, session, close, daily_return: adjusted close over the bar before it, less one.

        Null only for the first bar a symbol ever had.
        """
        rows = self._over(prices.DAILY_RETURNS, symbols, [first or date.min], last)
        return rows.drop("volume")

    def moving_average(
        self,
        symbols: Sequence[str],
        window: int,
        *,
        first: date | None = None,
        last: date | None = None,
    ) -> pl.DataFrame:
        """symbol, session, close, moving_average of the adjusted closes of the last `window` bars.

        Null until a symbol has had that many bars.
        """
        size = prices.require_window(window)
        values = [size - 1, size, first or date.min]
        return self._over(prices.MOVING_AVERAGE, symbols, values, last)

    def side_by_side(
        self,
        symbols: Sequence[str],
        measure: prices.Measure = "close",
        *,
        first: date | None = None,
        last: date | None = None,
    ) -> pl.DataFrame:
        """A row a session that any of the symbols has, and a column a symbol, in the order given.

        `measure` is close or volume, adjusted, or daily_return; null where a symbol has no bar.
        """
        name = prices.require_measure(measure)
        rows = self._over(prices.DAILY_RETURNS, symbols, [first or date.min], last)
        return prices.side_by_side(rows, prices.require_symbols(symbols), name)

    def _over(
        self, sql: str, symbols: Sequence[str], values: list[object], last: date | None
    ) -> pl.DataFrame:
        """Answer a query of ours over the adjusted bars of the symbols."""
        bars = self.adjusted_bars(symbols, last=last)
        self._parser.register({prices.SELECTED: bars})
        try:
            return self._parser.run(sql, values, self._limits).whole()
        finally:
            self._parser.unregister([prices.SELECTED])

    def _require_lake(self, table: str) -> str:
        known = [name for name in self.names if self._origin(name) != "ledger"]
        if table not in known:
            raise SettingsError(f"{table!r} is no table of the lake: those are {', '.join(known)}.")
        return table

    def _origin(self, name: str) -> str:
        if name == ADJUSTED_BARS:
            return "computed"
        return "lake" if name in (*NAMES_IN_LAKE, *TICK_TABLES) else "ledger"


def _columns_of_lake(engine: Engine) -> dict[str, list[str]]:
    found = {
        name: engine.run(f"SELECT * FROM {name} LIMIT 0", [], Limits())  # noqa: S608 - a known name
        for name in NAMES_IN_LAKE
    }
    return {name: answer.frame.columns for name, answer in found.items()}
