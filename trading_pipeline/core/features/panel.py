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
    names = bars["symbol"].unique().drop_nulls().sort()
    place, lane = _places(bars, axis), _lanes(bars, names)
    spans = (
        pl.DataFrame({"lane": lane, "place": place})
        .group_by("lane")
        .agg(first=pl.col("place").min(), end=pl.col("place").max() + 1)
        .sort("lane")
    )
    first, lengths = spans["first"].to_numpy(), (spans["end"] - spans["first"]).to_numpy()
    start = np.cumsum(lengths) - lengths
    row = (start - first)[lane] + place
    _require_one_row_each(bars, row)
    given = bars.select(pl.col(*fields).cast(pl.Float64)).to_numpy().T
    total = int(lengths.sum())
    if np.array_equal(row, np.arange(total)):  # as it comes from a table that is sorted so
        values = given
    else:
        values = np.full((len(fields), total), np.nan)
        values[:, row] = given
    if np.isinf(values).any():
        values = np.where(np.isfinite(values), values, np.nan)
    filled = pl.DataFrame(dict(zip(fields, values, strict=True)), nan_to_null=True)
    at = np.arange(values.shape[1]) - np.repeat(start - first, lengths)
    keys = pl.DataFrame({"symbol": names[np.repeat(np.arange(len(names)), lengths)]})
    return pl.concat((keys.with_columns(axis[at]), filled), how="horizontal")


def to_array(filled: pl.DataFrame) -> npt.NDArray[np.float64]:
    """FIELDS of a filled frame, shape (fields, rows + 1); NaN for null and in the last row."""
    fields = filled.select(FIELDS).to_numpy().T
    return np.concatenate((fields, np.full((len(fields), 1), np.nan)), axis=1)


def blocks(filled: pl.DataFrame, cells: int = BLOCK_CELLS, *, alike: bool = False) -> list[Rows]:
    """Row numbers of a filled frame, in blocks of about `cells`; a column (lane) is a symbol.

    Lanes of like length stand side by side; below the last row of a shorter one there is -1. Every
    row of the frame stands in one block, once. Lanes of a block that are `alike` have one length.
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
        if alike:
            lanes = lanes[lengths[lanes] == longest]
        found.append(np.where(depth < lengths[lanes], starts[lanes] + depth, -1))
        at += len(lanes)
    return found


def _axis(bars: pl.DataFrame, sessions: Sequence[date] | None) -> pl.Series:
    if sessions is None:
        days = bars["session"].drop_nulls().sort()
        sessions = sessions_between(days[0], days[-1]) if len(days) else []
    return pl.Series("session", sessions, pl.Date)


def _places(bars: pl.DataFrame, axis: pl.Series) -> npt.NDArray[np.int64]:
    """Where each bar's session is on the axis; SchemaError for one that is not."""
    days, given = axis.to_physical().to_numpy(), bars["session"].to_physical()
    lowest = int(days[0]) if len(days) else 0
    table = np.full(int(days[-1]) - lowest + 1 if len(days) else 0, -1)
    table[days - lowest] = np.arange(len(days))
    known = given.is_between(lowest, lowest + len(table) - 1).fill_null(value=False)
    place = np.full(len(given), -1)
    place[known.to_numpy()] = table[given.filter(known).to_numpy() - lowest]
    for bar in bars.filter(place < 0).head(1).to_dicts():
        raise SchemaError(f"{bar['symbol']} has a bar on {bar['session']}, which is no session.")
    return place


def _lanes(bars: pl.DataFrame, names: pl.Series) -> npt.NDArray[np.int64]:
    """Which of the names each bar's symbol is."""
    return bars["symbol"].cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()


def _require_columns(bars: pl.DataFrame, fields: Sequence[str]) -> None:
    needed = ("symbol", "session", *fields)
    if missing := [name for name in needed if name not in bars.columns]:
        raise SchemaError(f"Bars lack {', '.join(missing)}: {', '.join(needed)} were expected.")
    if bars.schema["session"] != pl.Date:
        raise SchemaError(f"Bars have a session of type {bars.schema['session']}, not a date.")


def _require_one_row_each(bars: pl.DataFrame, row: npt.NDArray[np.int64]) -> None:
    if not len(row) or np.bincount(row).max() < 2:
        return
    for bar in bars.filter(pl.Series(row).is_duplicated()).head(1).to_dicts():
        raise SchemaError(f"{bar['symbol']} has several bars on {bar['session']}: expected is one.")
