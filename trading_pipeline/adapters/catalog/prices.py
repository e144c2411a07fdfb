"""Returns, moving averages and series side by side, over bars adjusted as of the last session read.

Every window is computed over a symbol's whole history up to that session and cut to the range
asked for only then, so the first row of a range is as right as any other.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final, Literal

import polars as pl

from trading_pipeline.core.market.corporate_actions import Convention, adjust
from trading_pipeline.errors import SettingsError

Measure = Literal["close", "volume", "daily_return"]
"""What can stand side by side."""

MEASURES: Final = ("close", "volume", "daily_return")
LONGEST_WINDOW: Final = 2_520
"""Bars of a moving average, at most: ten years."""

SELECTED: Final = "_selected_bars"
"""The name under which a query of ours finds the adjusted bars of the symbols asked for."""

MOVING_AVERAGE: Final = f"""
    WITH windows AS (
        SELECT symbol, session, close,
            count(close) OVER recent AS bars, avg(close) OVER recent AS mean
        FROM {SELECTED}
        WINDOW recent AS (PARTITION BY symbol ORDER BY session
                          ROWS BETWEEN ? PRECEDING AND CURRENT ROW))
    SELECT symbol, session, close, CASE WHEN bars = ? THEN mean END AS moving_average
    FROM windows WHERE session >= ? ORDER BY session, symbol
"""  # noqa: S608 - a name of ours

DAILY_RETURNS: Final = f"""
    WITH moves AS (
        SELECT symbol, session, close, volume,
            close / lag(close) OVER (PARTITION BY symbol ORDER BY session) - 1 AS daily_return
        FROM {SELECTED})
    SELECT symbol, session, close, volume, daily_return
    FROM moves WHERE session >= ? ORDER BY session, symbol
"""  # noqa: S608 - a name of ours


def placeholders(values: Sequence[object]) -> str:
    """A `?` for each value."""
    return ", ".join("?" for _ in values)


def require_symbols(symbols: Sequence[str]) -> list[str]:
    """Return the symbols, each once; SettingsError for a single text or none at all."""
    if isinstance(symbols, str) or not symbols:
        raise SettingsError(f"A list of symbols is expected, got {symbols!r}.")
    return list(dict.fromkeys(symbols))


def require_window(window: int) -> int:
    """Return the window; SettingsError outside 1…2520."""
    if isinstance(window, bool) or not isinstance(window, int):
        raise SettingsError(f"A window is a whole number of bars, got {window!r}.")
    if not 1 <= window <= LONGEST_WINDOW:
        raise SettingsError(f"A window of {window} bars is none: 1 to {LONGEST_WINDOW:,} is.")
    return window


def require_measure(measure: str) -> str:
    """Return the measure; SettingsError for a name that is none."""
    if measure not in MEASURES:
        raise SettingsError(f"{measure!r} is no measure: those are {', '.join(MEASURES)}.")
    return measure


def adjusted(
    bars: pl.DataFrame, actions: pl.DataFrame, *, convention: Convention, as_of: date | None
) -> pl.DataFrame:
    """The bars comparable over time, with the factors that made them so."""
    known = actions.drop("session", "vendor", "known_at", strict=False)
    return adjust(bars, known, convention=convention, as_of=as_of)


def side_by_side(rows: pl.DataFrame, symbols: Sequence[str], measure: str) -> pl.DataFrame:
    """One row a session, one column a symbol in the order asked for; null without a bar."""
    wide = rows.pivot("symbol", index="session", values=measure).sort("session")
    absent = [
        pl.lit(None, rows.schema[measure]).alias(symbol)
        for symbol in symbols
        if symbol not in wide.columns
    ]
    return wide.with_columns(absent).select("session", *symbols)
