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
    names, lane = _lanes(bars)
    place = _places(bars, axis)
    first, lengths = _spans(lane, place, len(names))
    start = np.cumsum(lengths) - lengths
    row = (start - first)[lane] + place
    _require_one_row_each(bars, row)
    total = int(lengths.sum())
    if np.array_equal(row, np.arange(total)):  # as it comes from a table that is sorted so
        return bars.select("symbol", "session", *_finite(bars, fields))
    values = np.full((len(fields), total), np.nan)
    values[:, row] = bars.select(_finite(bars, fields)).to_numpy().T
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
        first, last = bars["session"].min(), bars["session"].max()
        if isinstance(first, date) and isinstance(last, date):
            sessions = sessions_between(first, last)
    return pl.Series("session", sessions or [], pl.Date)


def _lanes(bars: pl.DataFrame) -> tuple[pl.Series, Rows]:
    """The symbols in order, and which of them each bar's is."""
    runs = bars["symbol"].rle().struct.unnest()
    names = runs["value"]
    if names.null_count() == 0 and (names.head(-1) < names.tail(-1)).all():
        return names, np.repeat(np.arange(len(names)), runs["len"].to_numpy())
    names = names.unique().drop_nulls().sort()
    return names, bars["symbol"].cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()


def _places(bars: pl.DataFrame, axis: pl.Series) -> Rows:
    """Where each bar's session is on the axis; SchemaError for one that is not."""
    days = axis.to_physical().to_numpy()
    lowest = int(days[0]) if len(days) else 0
    table = np.full(int(days[-1]) - lowest + 3 if len(days) else 3, -1)
    table[days - lowest + 1] = np.arange(len(days))  # the first and the last one: of no session
    given = bars["session"].to_physical().cast(pl.Int64) - (lowest - 1)
    place = table[given.fill_null(0).clip(0, len(table) - 1).to_numpy()]
    for bar in bars.filter(place < 0).head(1).to_dicts() if len(place) and place.min() < 0 else ():
        raise SchemaError(f"{bar['symbol']} has a bar on {bar['session']}, which is no session.")
    return place


def _spans(lane: Rows, place: Rows, count: int) -> tuple[Rows, Rows]:
    """The first place of each lane, and how many it takes up to its last."""
    first, last = np.full(count, np.iinfo(np.intp).max), np.full(count, -1)
    np.minimum.at(first, lane, place)
    np.maximum.at(last, lane, place)
    return first, last - first + 1


def _finite(bars: pl.DataFrame, fields: Sequence[str]) -> list[pl.Expr]:
    """The fields as float64, null where they are not finite."""
    columns = [pl.col(name).cast(pl.Float64) for name in fields]
    if bars.select(pl.all_horizontal(*(column.is_finite().all() for column in columns))).item():
        return columns
    return [pl.when(column.is_finite()).then(column) for column in columns]


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
