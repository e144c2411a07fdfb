"""Instruments: what a symbol stands for over time, across renames, delistings and reuse.

An instrument's id is the symbol it began under, with `@` and the day where that symbol had stood
for another instrument before: `WM`, then `WM@2012-05-10`. Whoever compares bars over time does so
by instrument, so that a renamed stock keeps its history and a reused ticker inherits none.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import polars as pl

from trading_pipeline.core.market.action_kinds import DELISTING, SYMBOL_CHANGE
from trading_pipeline.core.market.codes import named

LIVES = {"symbol": pl.String, "instrument": pl.String, "first": pl.Date, "last": pl.Date}
"""The columns of `lives`."""

_BEGINNING = date(1, 1, 1)


def lives(actions: pl.DataFrame) -> pl.DataFrame:
    """From when to when a symbol stands for which instrument; one row an interval.

    Columns symbol, instrument, first, last (null while it does), of the symbols that symbol changes
    and delistings are about; every other symbol always stands for itself. Sorted by symbol, first.
    """
    if "new_symbol" not in actions.columns or actions["new_symbol"].null_count() == len(actions):
        return pl.DataFrame(schema=LIVES)
    turns = actions.filter(pl.col("kind").is_in([SYMBOL_CHANGE, DELISTING]))
    rows = list(_lives(turns.unique(["symbol", "ex_date"]).sort("ex_date", "symbol")))
    found = pl.DataFrame(rows, schema=LIVES, orient="row")
    return found.filter(pl.col("last").is_null() | (pl.col("last") >= pl.col("first"))).sort(
        "symbol", "first"
    )


def by_instrument(frame: pl.DataFrame, lives: pl.DataFrame, day: str = "session") -> pl.DataFrame:
    """The rows with the id of the instrument for a symbol, as of the column `day`."""
    return _renamed(frame, lives.sort("first"), "symbol", theirs="instrument", day=day)


def by_symbol(frame: pl.DataFrame, lives: pl.DataFrame, day: str = "session") -> pl.DataFrame:
    """The rows with the symbol again that the instrument had on the column `day`."""
    return _renamed(frame, lives.sort("first"), "instrument", theirs="symbol", day=day)


def _renamed(
    frame: pl.DataFrame, lives: pl.DataFrame, ours: str, *, theirs: str, day: str
) -> pl.DataFrame:
    if lives.is_empty():
        return frame
    found = (
        named(frame)
        .with_row_index("_row")
        .sort(day)
        .join_asof(
            lives.select(_first="first", symbol=ours, _name=theirs),
            left_on=day,
            right_on="_first",
            by="symbol",
            check_sortedness=False,
        )
        .sort("_row")
    )
    return found.with_columns(pl.coalesce("_name", "symbol").alias("symbol")).select(frame.columns)


def _lives(turns: pl.DataFrame) -> Iterator[tuple[str, str, date, date | None]]:
    """Walk the turns in time with what each symbol stands for; a new holder begins a new life."""
    standing: dict[str, tuple[str, date]] = {}

    def ended(symbol: str, day: date) -> tuple[str, str, date, date | None]:
        instrument, first = standing.pop(symbol, (symbol, _BEGINNING))
        return symbol, instrument, first, day - timedelta(days=1)

    renames = pl.when(kind=SYMBOL_CHANGE).then("new_symbol")
    for symbol, day, new in turns.select("symbol", "ex_date", renames).iter_rows():
        instrument = standing.get(symbol, (symbol, _BEGINNING))[0]
        yield ended(symbol, day)
        standing[symbol] = (f"{symbol}@{day}", day)
        if new:
            yield ended(new, day)
            standing[new] = (instrument, day)
    for symbol, (instrument, first) in standing.items():
        yield symbol, instrument, first, None
