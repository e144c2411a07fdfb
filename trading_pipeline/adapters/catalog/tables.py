"""The tables as they stand at the moment of a query, in an engine that is kept while they do."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Final, TypeVar

import polars as pl

from trading_pipeline.adapters.catalog import prices
from trading_pipeline.adapters.catalog.engine import Engine, FileVanishedError, Limits
from trading_pipeline.adapters.catalog.lake_tables import (
    HISTORY,
    KEYS,
    NAMES_IN_LAKE,
    Files,
    KnownAt,
    empty,
    list_files,
    table_of,
    views,
)
from trading_pipeline.adapters.catalog.ledger_tables import LedgerTables
from trading_pipeline.adapters.catalog.tick_tables import TICK_TABLES, list_parts, without_rows
from trading_pipeline.core.market.announcements import credible
from trading_pipeline.core.market.corporate_actions import Convention
from trading_pipeline.errors import DataError, TransientError

ADJUSTED_BARS: Final = "adjusted_bars"
"""Clean bars adjusted as of their newest session; computed when a query asks for them."""

_MADE_OF: Final = ("clean_bars", "corporate_actions", "action_checks")
_ATTEMPTS: Final = 5
T = TypeVar("T")


class Tables:
    """The lake's tables, bound while their files stay as they are, and the ledger's, read anew."""

    def __init__(
        self,
        root: Path,
        ledger: LedgerTables | None,
        convention: Convention,
        *,
        limits: Limits,
        until: datetime | None = None,
        ticks: Path | None = None,
    ) -> None:
        self._until = until
        self._ticks = ticks
        self._root = root
        self._ledger = ledger
        self._convention: Convention = convention
        self._limits = limits
        self._known_at = KnownAt()
        self._bound: dict[str, Files] = {}
        self._engine: Engine | None = None
        self._has_adjusted = False

    def close(self) -> None:
        """Give back what is held in memory."""
        if self._engine is not None:
            self._engine.close()
        self._engine, self._bound, self._has_adjusted = None, {}, False

    def adjusted(self, symbols: Sequence[str], last: date | None) -> pl.DataFrame:
        """The clean bars of some symbols up to `last`, adjusted as of then."""
        return self.read(frozenset(_MADE_OF), lambda engine: self._adjusted(engine, symbols, last))

    def read(self, tables: frozenset[str], work: Callable[[Engine], T]) -> T:
        """Do some work on an engine that has the tables as they stand when it begins."""
        for _ in range(_ATTEMPTS):
            try:
                return work(self._bind(tables))
            except FileVanishedError:  # a year write has just taken a session file in
                self.close()
        raise TransientError(f"{self._root} is being rewritten faster than it can be read.")

    def _bind(self, tables: frozenset[str]) -> Engine:
        wanted = _lake_tables_of(tables)
        found = {table: self._list(table) for table in wanted | self._bound.keys()}
        if self._engine is None or any(self._bound.get(name) != found[name] for name in wanted):
            self.close()
            self._engine, self._bound = self._made(found, wanted)
        engine = self._engine
        if ADJUSTED_BARS in tables and not self._has_adjusted:
            engine.register({ADJUSTED_BARS: self._adjusted(engine, None, None)})
            self._has_adjusted = True
        if self._ledger and (ours := tables & set(self._ledger.names)):
            engine.register(self._ledger.read(ours))
        return engine

    def _list(self, table: str) -> Files:
        is_tick = table in TICK_TABLES
        return list_parts(self._ticks, table) if is_tick else list_files(self._root, table)

    def _made(self, found: dict[str, Files], wanted: set[str]) -> tuple[Engine, dict[str, Files]]:
        """An engine with the tables found, or, when one of them is damaged, those wanted now."""
        try:
            return self._opened(found), found
        except DataError:
            needed = {table: files for table, files in found.items() if table in wanted}
            return self._opened(needed), needed

    def _opened(self, found: Mapping[str, Files]) -> Engine:
        selects: dict[str, str] = {}
        for table, files in found.items():
            if any(files):
                selects.update(views(table, files, self._known_at, self._until))
        paths = [file.path for files in found.values() for file in files]
        engine = Engine(selects, paths, memory=self._limits.memory)
        for table, files in found.items():
            if not any(files) and table in TICK_TABLES:
                engine.register({table: without_rows(table)})
            elif not any(files):
                names = (table, f"{table}{HISTORY}") if table in KEYS else (table,)
                engine.register(dict.fromkeys(names, empty(table)))
        return engine

    def _adjusted(
        self, engine: Engine, symbols: Sequence[str] | None, last: date | None
    ) -> pl.DataFrame:
        where, values = "session <= ?", [last or date.max, *(symbols or ())]
        if symbols is not None:
            where += f" AND symbol IN ({prices.placeholders(symbols)})"
        bars, actions, checks = (
            engine.run(
                f"SELECT * FROM {table} WHERE {where} ORDER BY session, symbol",  # noqa: S608 - a known name
                values,
                self._limits,
            ).whole()
            for table in _MADE_OF
        )
        trusted = credible(actions, checks)
        return prices.adjusted(bars, trusted, convention=self._convention, as_of=last)


def _lake_tables_of(tables: frozenset[str]) -> set[str]:
    wanted = {table_of(name) for name in tables if name in NAMES_IN_LAKE}
    wanted |= tables & set(TICK_TABLES)
    return wanted | set(_MADE_OF) if ADJUSTED_BARS in tables else wanted
