"""The shapes of the lake's tables: without rows, in order, and chosen from."""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from typing import NamedTuple

import polars as pl

from trading_pipeline.core.features.alpha158 import NAMES
from trading_pipeline.errors import SchemaError, SettingsError

_ORDER = ("session", "symbol", "strategy", "ex_date", "kind", "known_at")


class Choice(NamedTuple):
    """What of a range is read; None is all of it."""

    symbols: Sequence[str] | None = None
    columns: Sequence[str] | None = None


@cache
def empty(table: str) -> pl.DataFrame:
    """Return the table without rows; `features` with the columns of the present feature list."""
    from trading_pipeline.core.schemas import TABLES  # heavy: on first use

    require_known(table)
    columns = TABLES[table].to_schema().columns
    schema = {name: column.dtype.type for name, column in columns.items() if not column.regex}
    if table == "features":
        schema |= dict.fromkeys(NAMES, pl.Float32)
    return pl.DataFrame(schema=schema)


def require_known(table: str) -> None:
    """Raise SettingsError that lists the tables for any other name."""
    from trading_pipeline.core.schemas import TABLES  # heavy: on first use

    if table not in TABLES:
        raise SettingsError(f"{table} is no table of the lake: those are {', '.join(TABLES)}.")


def require_only(table: str, frame: pl.DataFrame, sessions: list[date]) -> None:
    """Raise SchemaError for rows of other sessions."""
    if set(frame["session"].unique()) - set(sessions):
        strays = frame.filter(~pl.col("session").is_in(sessions))["session"]
        raise SchemaError(
            f"{table} has {len(strays)} rows outside the sessions to write, the first of"
            f" {strays.min()}."
        )


def order_of(columns: Iterable[str]) -> list[str]:
    """The columns that rows are sorted by, those present: session and symbol first."""
    present = set(columns)
    return [name for name in _ORDER if name in present]


def collected(table: str, parts: list[pl.LazyFrame], choice: Choice) -> pl.DataFrame:
    """Collect the chosen rows and columns of all parts, sorted; SchemaError for no such column."""
    names = parts[0].collect_schema().names()
    wanted = list(names if choice.columns is None else choice.columns)
    if unknown := [name for name in wanted if name not in names]:
        raise SchemaError(f"{table} has no column {unknown[0]}: it has {', '.join(names[:12])}.")
    order = order_of(names)
    needed = [*wanted, *(name for name in order if name not in wanted)]
    chosen = [part.select(needed) for part in parts]
    if choice.symbols is not None:
        among = pl.col("symbol").is_in(list(choice.symbols))
        chosen = [part.filter(among) for part in chosen]
    whole = pl.concat(chosen).sort(order, maintain_order=True).select(wanted)
    return whole.collect()


def joined(rows: pl.DataFrame, others: pl.DataFrame, place: str) -> pl.DataFrame:
    """Add rows that stay to those to write; SchemaError when their columns differ."""
    if others.schema != rows.schema:
        raise SchemaError(
            f"{place} has other columns than the rows to add: write all of it at once."
        )
    return pl.concat([rows, others])
