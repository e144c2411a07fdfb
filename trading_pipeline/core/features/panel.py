"""Bars laid out on sessions, the axis on which windows count, and cut into blocks to compute on.

A symbol has a row for every session from its first to its last bar. A session without a bar, or a
field that is missing or not finite, is null.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.errors import SchemaError

FIELDS = ("open", "high", "low", "close", "volume", "vwap")

Rows = npt.NDArray[np.intp]
"""Numbers of rows, shape (rows, lanes)."""

BLOCK_CELLS = 16_384
"""Rows times lanes computed at once: many enough to hide what a call of numpy costs."""


def fill(
    bars: pl.DataFrame,
    *,
    fields: Sequence[str] = FIELDS,
    sessions: Sequence[date] | None = None,
) -> pl.DataFrame:
    """Return a row a symbol and session from its first to its last bar, null where it has no bar.

    Columns symbol, session and the `fields` as float64, sorted by symbol and session. `sessions` is
    the axis, ascending; without it the sessions of the exchange. A bar of nulls is a row like any
    other, so a filled frame stays as it is. Raises SchemaError for a missing column, a session that
    is not on the axis, or two bars of a symbol in one session.
    """
    _require_columns(bars, fields)
    axis = _axis(bars, sessions)
    placed = bars.select("symbol", "session", *(_finite(name) for name in fields)).join(
        axis, on="session", how="left", maintain_order="left"
    )
    place, rows = pl.col("place"), pl.col("end") - pl.col("first")
    spans = placed.group_by("symbol").agg(first=place.min(), end=place.max() + 1).sort("symbol")
    starts = spans.with_columns(start=rows.cum_sum() - rows)
    row = placed.join(starts, on="symbol", how="left", maintain_order="left").select(
        row=pl.col("start") + place - pl.col("first")
    )["row"]
    _require_one_row_each(placed, row)
    keys = spans.select("symbol", place=pl.int_ranges("first", "end")).explode("place")
    values = np.full((len(fields), keys.height), np.nan)
    values[:, row.to_numpy()] = placed.select(fields).to_numpy().T
    filled = pl.DataFrame(dict(zip(fields, values, strict=True)), nan_to_null=True)
    dated = keys.join(axis, on="place", how="left", maintain_order="left")
    return pl.concat((dated.select("symbol", "session"), filled), how="horizontal")


def to_array(filled: pl.DataFrame) -> npt.NDArray[np.float64]:
    """FIELDS of a filled frame, shape (fields, rows + 1); NaN for null and in the last row."""
    fields = filled.select(FIELDS).to_numpy().T
    return np.concatenate((fields, np.full((len(fields), 1), np.nan)), axis=1)


def blocks(filled: pl.DataFrame, cells: int = BLOCK_CELLS) -> list[Rows]:
    """Row numbers of a filled frame, in blocks of about `cells`; a column (lane) is a symbol.

    Lanes of like length stand side by side; below the last row of a shorter one there is -1. Every
    row of the frame stands in one block, once.
    """
    lengths = filled["symbol"].rle().struct.field("len").to_numpy().astype(np.intp)
    starts = np.cumsum(lengths) - lengths
    longest_first = np.argsort(-lengths, kind="stable")
    found: list[Rows] = []
    at = 0
    while at < len(lengths):
        longest = int(lengths[longest_first[at]])
        depth = np.arange(longest)[:, None]
        lanes = longest_first[at : at + max(1, cells // longest)]
        found.append(np.where(depth < lengths[lanes], starts[lanes] + depth, -1))
        at += len(lanes)
    return found


def _axis(bars: pl.DataFrame, sessions: Sequence[date] | None) -> pl.DataFrame:
    if sessions is None:
        days = bars["session"].drop_nulls().sort()
        sessions = sessions_between(days[0], days[-1]) if len(days) else []
    return pl.DataFrame({"session": sessions}, {"session": pl.Date}).select(
        "session", place=pl.int_range(pl.len())
    )


def _finite(name: str) -> pl.Expr:
    value = pl.col(name).cast(pl.Float64)
    return pl.when(value.is_finite()).then(value).alias(name)


def _require_columns(bars: pl.DataFrame, fields: Sequence[str]) -> None:
    needed = ("symbol", "session", *fields)
    if missing := [name for name in needed if name not in bars.columns]:
        raise SchemaError(f"Bars lack {', '.join(missing)}: {', '.join(needed)} were expected.")
    if bars.schema["session"] != pl.Date:
        raise SchemaError(f"Bars have a session of type {bars.schema['session']}, not a date.")


def _require_one_row_each(placed: pl.DataFrame, row: pl.Series) -> None:
    for bar in placed.filter(pl.col("place").is_null()).head(1).to_dicts():
        raise SchemaError(f"{bar['symbol']} has a bar on {bar['session']}, which is no session.")
    for bar in placed.filter(row.is_duplicated()).head(1).to_dicts():
        raise SchemaError(f"{bar['symbol']} has several bars on {bar['session']}: expected is one.")
