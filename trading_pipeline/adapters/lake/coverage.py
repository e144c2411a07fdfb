"""What the files of the lake cover, as their own Parquet metadata says.

A session is covered for the names it was written for, whether or not each of them has a row: a
stock that is not listed yet has none. The names are symbols, or strategies in the tables that hold
what several strategies say.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import groupby

import polars as pl

from trading_pipeline.adapters.lake.files import LakePath, damage, options_of
from trading_pipeline.errors import SchemaError, SettingsError

Names = frozenset[str]

EVERY: Names = frozenset({"*"})
"""Recorded for a session that was written whole, for whatever name."""

BY_STRATEGY = frozenset({"predictions", "signals", "target_weights"})
"""Tables in which a strategy's rows of a session are replaced, not a symbol's."""

_SESSIONS, _NAMES = "sessions", "covers"


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a session that a write replaces: those of some names, or with None all."""

    column: str
    names: Names | None

    @property
    def recorded(self) -> Names:
        """What a session is covered for once this part of it is written."""
        return EVERY if self.names is None else self.names

    def is_all_of(self, covered: Names) -> bool:
        """Whether a session covered for these names keeps nothing when this part is replaced."""
        return self.names is None or (bool(covered) and covered <= self.names)

    def is_covered_by(self, covered: Names) -> bool:
        """Whether a session covered for these names holds this part."""
        return self.names is None or covered >= EVERY or self.names <= covered

    def others(self) -> pl.Expr:
        """The rows that are not of this part."""
        return ~pl.col(self.column).is_in(sorted(self.names or ()))

    def require_only(self, table: str, frame: pl.DataFrame) -> None:
        """Raise SchemaError for rows of other names."""
        if self.names is None:
            return
        if set(frame[self.column].unique()) - self.names:
            strays = frame.filter(self.others())[self.column]
            raise SchemaError(
                f"{table} has {len(strays)} rows of another {self.column} than those to write,"
                f" the first of {strays[0]}."
            )


def part_of(table: str, symbols: Collection[str] | None, strategy: str | None) -> Part:
    """The part of a table that belongs to the symbols, or to the strategy."""
    if table in BY_STRATEGY:
        if symbols is not None:
            raise SettingsError(f"{table} is replaced by strategy, not by symbol.")
        return Part("strategy", None if strategy is None else frozenset({strategy}))
    if strategy is not None:
        raise SettingsError(f"{table} is replaced by symbol, not by strategy.")
    return Part("symbol", None if symbols is None else frozenset(symbols))


def of_session_file(path: LakePath) -> Names:
    """The names a session file covers."""
    return _names(_metadata(path).get(_NAMES, "[]"))


def of_year_file(path: LakePath) -> dict[date, Names]:
    """The sessions a year file covers, and for which names each."""
    metadata = _metadata(path)
    days = (day for day in metadata.get(_SESSIONS, "").split(",") if day)
    covered = {date.fromisoformat(day): Names() for day in days}
    for names, its in json.loads(metadata.get(_NAMES, "[]")):
        covered |= dict.fromkeys(map(date.fromisoformat, its), frozenset(names))
    return covered


def session_metadata(names: Names) -> dict[str, str]:
    """The Parquet metadata of a session file."""
    return {_NAMES: json.dumps(sorted(names))}


def year_metadata(covered: Mapping[date, Names]) -> dict[str, str]:
    """The Parquet metadata of a year file: its sessions, and its sessions by names."""
    by_names = sorted(covered, key=lambda session: (sorted(covered[session]), session))
    groups = [
        (names, [str(session) for session in its])
        for names, its in groupby(by_names, key=lambda session: sorted(covered[session]))
    ]
    return {
        _SESSIONS: ",".join(str(session) for session in sorted(covered)),
        _NAMES: json.dumps(groups),
    }


@lru_cache(maxsize=64)
def _names(text: str) -> Names:
    return frozenset(json.loads(text))


def _metadata(path: LakePath) -> dict[str, str]:
    try:
        return pl.read_parquet_metadata(str(path), storage_options=options_of(path))
    except FileNotFoundError:
        raise
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damage(path.parts[-3], [path], error) from error
