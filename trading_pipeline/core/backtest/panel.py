"""Prices, corporate actions and what trades as dense arrays: shape (sessions, symbols), floats."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.core.backtest.costs import liquidity_table
from trading_pipeline.core.execution.markets import actions_by_session
from trading_pipeline.core.market.corporate_actions import Convention, require_columns
from trading_pipeline.errors import SchemaError

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Raw prices, corporate actions and what trades, shape (sessions, symbols).

    `open` and `volume` are NaN where there is none; `close` is the newest one, NaN before the
    first, and `age` how many sessions ago it was; `split` is 1 and `dividend` 0 where there is
    none. `dollars` and `volatility` are those of `costs.Liquidity`, NaN before there is any.
    """

    sessions: tuple[date, ...]
    symbols: tuple[str, ...]
    open: Values
    close: Values
    age: Values
    split: Values
    dividend: Values
    volume: Values
    dollars: Values
    volatility: Values

    @property
    def returns(self) -> Values:
        """What a share held from the close before has earned, dividends included; 0 in row 0.

        (close·split + dividend) / close before − 1, and 0 before the first close.
        """
        out = np.zeros_like(self.close)
        worth = self.close[1:] * self.split[1:] + self.dividend[1:]
        np.divide(worth, self.close[:-1], out=out[1:], where=~np.isnan(self.close[:-1]))
        out[1:] -= ~np.isnan(self.close[:-1])
        return out


def dense(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    *,
    sessions: Sequence[date],
    symbols: Sequence[str],
    convention: Convention = "crsp",
) -> Panel:
    """Lay raw bars and corporate actions out on `sessions` and `symbols`, at least one of each.

    Sessions must be consecutive and ascend. Other rows are left out, but those before the first
    session count in the liquidity. `convention` is that of the returns its volatility is of.
    """
    require_columns(bars, ("symbol", "session", "open", "close", "volume"), "Bars")
    market = liquidity_table(bars, actions, convention=convention)
    table = {
        name: _grid(frame, name, sessions=sessions, symbols=symbols)
        for frame, names in (
            (bars, ("open", "close", "volume")),
            (market, ("dollars", "volatility")),
        )
        for name in names
    }
    close = table["close"]
    known = pl.DataFrame(close).fill_nan(None).fill_null(strategy="forward")
    row_of = np.where(np.isnan(close), 0, np.arange(len(close))[:, None])
    age = np.arange(len(close))[:, None] - np.maximum.accumulate(row_of, axis=0)
    shape = close.shape
    split, dividend = np.ones(shape), np.zeros(shape)
    row = {session: at for at, session in enumerate(sessions)}
    lane = {symbol: at for at, symbol in enumerate(symbols)}
    events = actions_by_session(actions, sessions[0], sessions[-1])
    for found, into in zip(events, (split, dividend), strict=True):
        for session, by_symbol in found.items():
            for symbol, value in by_symbol.items():
                if session in row and symbol in lane:
                    into[row[session], lane[symbol]] = float(value)
    return Panel(
        sessions=tuple(sessions),
        symbols=tuple(symbols),
        open=table["open"],
        close=known.fill_null(np.nan).to_numpy(order="c"),
        age=age.astype(float),
        split=split,
        dividend=dividend,
        volume=table["volume"],
        dollars=table["dollars"],
        volatility=table["volatility"],
    )


def weights_on(targets: pl.DataFrame, panel: Panel) -> Values:
    """Return target weights on the panel; NaN in sessions without targets, which decide nothing.

    In a session with targets a symbol without one has weight 0. Targets of a symbol that the panel
    lacks are a SchemaError.
    """
    if strangers := sorted(set(targets["symbol"].unique()) - set(panel.symbols)):
        raise SchemaError(f"{strangers[0]} has target weights and no prices: expected both.")
    found = _grid(targets, "target_weight", sessions=panel.sessions, symbols=panel.symbols)
    decided = ~np.isnan(found).all(axis=1)
    found[decided] = np.nan_to_num(found[decided])
    return found


def on_grid(frame: pl.DataFrame, column: str, panel: Panel) -> Values:
    """Lay a column of (symbol, session) rows out on the panel; NaN where there is no row."""
    return _grid(frame, column, sessions=panel.sessions, symbols=panel.symbols)


def rows_of(values: Values, column: str, panel: Panel) -> pl.DataFrame:
    """Return what lies on the panel as rows: symbol, session, column; NaN is no row."""
    row, lane = np.nonzero(~np.isnan(values))
    return pl.DataFrame(
        {
            "symbol": pl.Series(panel.symbols, dtype=pl.String).gather(lane),
            "session": pl.Series(panel.sessions, dtype=pl.Date).gather(row),
            column: values[row, lane],
        }
    )


def _grid(
    frame: pl.DataFrame, column: str, *, sessions: Sequence[date], symbols: Sequence[str]
) -> Values:
    """Return a column on the grid; NaN where there is no row or no number."""
    lane = pl.col("symbol").cast(pl.Enum(symbols), strict=False).to_physical()
    row = pl.col("session").replace_strict(
        dict(zip(sessions, range(len(sessions)), strict=True)), default=None, return_dtype=pl.Int64
    )
    placed = frame.select(
        pl.col(column).cast(pl.Float64), place=row * len(symbols) + lane
    ).drop_nulls("place")
    place = placed["place"].to_numpy()
    if len(place) > 1 and np.bincount(place).max() > 1:
        raise SchemaError(f"A symbol has {column} twice in a session: expected once.")
    out = np.full((len(sessions), len(symbols)), np.nan)
    out.ravel()[place] = placed[column].fill_null(np.nan).to_numpy()
    return out
