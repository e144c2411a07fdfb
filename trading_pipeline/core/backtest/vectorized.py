"""Backtests on dense arrays, for sweeps: shape (sessions, symbols), floats, fractional shares.

`by_shares` keeps the conventions of the event mode (`engine`) and equals it where whole shares, the
limits of the gate and roundings to the cent do not matter. `by_returns` is the textbook form, some
ten times faster: weights of NAV, held from one close to the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.core.backtest.rules import DEFAULT, BacktestRules
from trading_pipeline.core.execution.costs import BASIS_POINTS, CostModel
from trading_pipeline.core.execution.markets import actions_by_session
from trading_pipeline.core.market.corporate_actions import require_columns
from trading_pipeline.errors import SchemaError

Values = npt.NDArray[np.float64]

_BLOCK: Final = 32
"""Rows computed at once: what they need stays in the processor's cache."""

_NOTHING: Final = 1e-9
"""A change of shares smaller than this share of the position is rounding, and no trade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Raw prices and corporate actions, shape (sessions, symbols).

    `open` is NaN where there is none; `close` is the newest one, NaN before the first; `split` is 1
    and `dividend` 0 where there is none.
    """

    sessions: tuple[date, ...]
    symbols: tuple[str, ...]
    open: Values
    close: Values
    split: Values
    dividend: Values

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
) -> Panel:
    """Lay raw bars and corporate actions out on `sessions` and `symbols`, at least one of each.

    Sessions must be consecutive and ascend. Other rows are left out.
    """
    require_columns(bars, ("symbol", "session", "open", "close"), "Bars")
    table = {
        name: _grid(bars, name, sessions=sessions, symbols=symbols) for name in ("open", "close")
    }
    known = pl.DataFrame(table["close"]).fill_nan(None).fill_null(strategy="forward")
    shape = table["open"].shape
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
        close=known.fill_null(np.nan).to_numpy(),
        split=split,
        dividend=dividend,
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


def by_returns(weights: Values, returns: Values, *, cost: float = 0.0) -> Values:
    """Return the net return of each session, shape (sessions,).

    weights[t], shares of NAV, are fixed at the close of t and earn returns[t+1]; then the portfolio
    has drifted, and trading it to weights[t+1] costs `cost` times Σ |weights[t+1] − drifted|. The
    first session pays for its first weights. Cash earns nothing. Both must be finite, in any
    session and symbol; no return may lose everything.
    """
    if weights.shape != returns.shape or not len(weights):
        raise SchemaError(f"Weights are {weights.shape} and returns {returns.shape}: expected one.")
    gross, turnover = np.zeros(len(weights)), np.zeros(len(weights))
    turnover[0] = abs(weights[0]).sum()
    scratch = np.empty((_BLOCK, weights.shape[1]))
    for first in range(1, len(weights), _BLOCK):
        rows = slice(first, min(first + _BLOCK, len(weights)))
        before = weights[rows.start - 1 : rows.stop - 1]
        drifted = scratch[: rows.stop - rows.start]
        np.multiply(before, returns[rows], out=drifted)
        gross[rows] = drifted.sum(axis=1)
        drifted += before
        drifted /= (1 + gross[rows])[:, None]
        np.subtract(weights[rows], drifted, out=drifted)
        np.abs(drifted, out=drifted)
        turnover[rows] = drifted.sum(axis=1)
    net = (1 + gross) * (1 - cost * turnover) - 1
    if not np.isfinite(net).all():
        raise SchemaError("A weight or a return is missing: finite ones are expected everywhere.")
    return net


def by_shares(weights: Values, panel: Panel, rules: BacktestRules = DEFAULT) -> Values:
    """Return the net asset value at each close in dollars, shape (sessions,).

    weights[t] are decided at the close of t, sized there as `rules.sizing` says (by NAV with
    `rules.compound`), and filled at the open of t+1 with slippage and commission. Rows of NaN
    decide nothing. Dividends and splits fall on what is held at the close before; an order without
    an opening price expires. Frictions beyond `rules.costs`, the gate's limits and delistings are
    the event mode's: here a symbol that trades no more keeps its last close.
    """
    capital = float(rules.sizing.capital)
    most = float(rules.sizing.max_position_size)
    fixed = None if rules.compound else _sized(weights, panel.close, capital, most)
    decides = np.logical_not(np.isnan(weights).all(axis=1))
    trades, opening = ~np.isnan(panel.open), np.nan_to_num(panel.open)
    pays = np.asarray(panel.dividend.any(axis=1))
    splits = np.asarray((panel.split != 1).any(axis=1))
    held, cash = np.zeros(len(panel.symbols)), capital
    wanted: Values | None = None
    navs = np.empty(len(panel.sessions))
    priced = np.nan_to_num(panel.close)
    for at, weight in enumerate(weights):
        cash += float(panel.dividend[at] @ held) if pays[at] else 0.0
        before, held = held, held * panel.split[at] if splits[at] else held
        if wanted is not None:
            change = (wanted - before) * trades[at]
            cash -= float(change @ opening[at]) + _costs(before, change, opening[at], rules.costs)
            held = held + change
        navs[at] = cash + float(held @ priced[at])
        wanted = None
        if decides[at]:
            size = max(navs[at], 0.0)
            table = fixed[at] if fixed is not None else _sized(weight, panel.close[at], size, most)
            wanted = np.where(np.isnan(table), held, table)
    return navs


def on_grid(frame: pl.DataFrame, column: str, panel: Panel) -> Values:
    """Lay a column of (symbol, session) rows out on the panel; NaN where there is no row."""
    return _grid(frame, column, sessions=panel.sessions, symbols=panel.symbols)


def _sized(weight: Values, close: Values, capital: float, most: float) -> Values:
    """Return the signed shares wanted; NaN where there is no price."""
    return np.sign(weight) * np.minimum(abs(weight) * capital, most) / close


def _costs(held: Values, change: Values, opening: Values, costs: CostModel) -> float:
    """Return slippage and commission in dollars; crossing zero is two orders."""
    size, after = abs(change), held + change
    due = float(size @ opening) * float(costs.slippage_bps / BASIS_POINTS)
    rate, minimum = float(costs.commission_per_share), float(costs.minimum_commission)
    if not (rate or minimum):
        return due
    least = _NOTHING * np.maximum(abs(held), abs(after))
    due += _commission(size, least, rate, minimum)
    crosses = np.flatnonzero(held * after < 0)  # few of them
    few = least[crosses]
    for part in (abs(held[crosses]), abs(after[crosses])):
        due += _commission(part, few, rate, minimum)
    return due - _commission(size[crosses], few, rate, minimum)


def _commission(shares: Values, least: Values, rate: float, minimum: float) -> float:
    """Return the dollars due on orders of so many shares; fewer than `least` are none."""
    return float(np.maximum(shares * rate, minimum) @ (shares > least))


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
