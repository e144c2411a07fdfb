"""What a backtest came to: performance, what it held, what it traded and what that cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import fsum

from trading_pipeline.core.accounting.performance import (
    YEAR,
    Performance,
    Regression,
    calmar,
    deflated_sharpe,
    performance,
    profit_factor,
    regression,
    returns,
    sortino,
)
from trading_pipeline.core.backtest.engine import Backtest
from trading_pipeline.core.execution.order import Fill, OrderState
from trading_pipeline.errors import TradingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """All figures of a backtest; shares of NAV, 0.01 is one percent.

    `turnover` is dollars traded over mean NAV, a year; `gross_exposure` and `net_exposure` are
    means over the sessions; `fees` is a share of the cash put in. `deflated_sharpe` is
    the probability that the true Sharpe ratio is above what the best of all trials would show by
    luck. A figure that too few sessions cannot give is None.
    """

    performance: Performance
    sortino: float | None
    calmar: float | None
    profit_factor: float | None
    turnover: float | None
    gross_exposure: float | None
    net_exposure: float | None
    fees: float
    fills: int
    blocked: int
    expired: int
    benchmark: Regression | None
    deflated_sharpe: float | None


def metrics(
    backtest: Backtest,
    *,
    benchmark: Sequence[float] | None = None,
    trials: Sequence[float] = (),
) -> Metrics:
    """Return the figures of a backtest.

    `benchmark` are the benchmark's returns, one for each of `returns(backtest.navs)`; `trials` the
    annualized Sharpe ratios of all trials this backtest was chosen from, its own included. A
    benchmark of another length is a TradingError.
    """
    series = returns(backtest.navs, [pnl.cash_in for pnl in backtest.pnls])
    if benchmark is not None and len(benchmark) != len(series):
        raise TradingError(
            f"The benchmark has {len(benchmark)} returns and the backtest {len(series)}."
        )
    states = [order.state for order in backtest.orders]
    last = backtest.pnls[-1]
    return Metrics(
        performance=performance(series),
        sortino=sortino(series),
        calmar=calmar(series),
        profit_factor=profit_factor(series),
        turnover=turnover(backtest.fills, backtest.navs),
        gross_exposure=_mean([float(pnl.gross / pnl.nav) for pnl in backtest.pnls if pnl.nav]),
        net_exposure=_mean([float(pnl.net / pnl.nav) for pnl in backtest.pnls if pnl.nav]),
        fees=float(last.fees / last.cash_in),
        fills=len(backtest.fills),
        blocked=states.count(OrderState.BLOCKED),
        expired=states.count(OrderState.EXPIRED),
        benchmark=None if benchmark is None else regression(series, benchmark),
        deflated_sharpe=deflated_sharpe(series, trials) if trials else None,
    )


def turnover(fills: Sequence[Fill], navs: Sequence[Decimal]) -> float | None:
    """Return Σ |dollars filled| / mean NAV / sessions · 252; None without a session's return.

    Buying a portfolio and selling it again counts 2.
    """
    if len(navs) < 2:
        return None
    traded = sum((fill.quantity * fill.price for fill in fills), Decimal(0))
    mean = sum(navs, Decimal(0)) / len(navs)
    return float(traded / mean) / (len(navs) - 1) * YEAR if mean > 0 else None


def _mean(values: Sequence[float]) -> float | None:
    return fsum(values) / len(values) if values else None
