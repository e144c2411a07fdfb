"""Backtests on dense arrays, for sweeps: shape (sessions, symbols), floats, fractional shares.

`by_shares` keeps the conventions of the event mode (`engine`) and equals it where whole shares, the
limits of the gate and roundings to the cent do not matter. `by_returns` is the textbook form, some
ten times faster: weights of NAV, held from one close to the next.
"""

from typing import Final

import numpy as np

from trading_pipeline.core.backtest.panel import Panel, Values
from trading_pipeline.core.backtest.rules import DEFAULT, BacktestRules
from trading_pipeline.errors import SchemaError

_BLOCK: Final = 32
"""Rows computed at once: what they need stays in the processor's cache."""


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
    `rules.compound`), and filled at the open of t+1 with slippage, commission and every friction of
    the rules. Rows of NaN decide nothing. Dividends and splits fall on what is held at the close
    before, and so do borrow fees and interest; an order without an opening price expires; a symbol
    without a bar for 10 sessions is closed at its last price, less `rules.delisting_return`. What
    the gate and the breaker do is the event mode's.
    """
    # heavy: on first use
    from trading_pipeline.core.backtest import shares  # noqa: PLC0415

    return shares.walk(weights, shares.sheet(panel), shares.terms(rules))
