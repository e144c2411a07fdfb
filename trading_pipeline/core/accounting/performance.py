"""Performance of a series of net asset values, one a session, oldest first.

Figures are floats; 252 sessions make a year and the risk-free rate is 0. A figure that too few
sessions cannot give is None, never 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import fsum, prod, sqrt
from typing import Final

from trading_pipeline.errors import TradingError

YEAR: Final = 252
"""Sessions a year."""

Z_95: Final = 1.959963984540054
"""Standard errors each side of a 95 % interval."""

_LEAST_DEVIATION: Final = 1e-12
"""Below this the returns are all one number and a ratio to their deviation means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """What a series of returns comes to; returns are fractions, 0.01 is one percent.

    `sharpe_interval` is the 95 % interval of `sharpe`, both annualized.
    """

    sessions: int
    total_return: float
    annualized_return: float | None
    volatility: float | None
    sharpe: float | None
    sharpe_interval: tuple[float, float] | None
    max_drawdown: float
    win_rate: float | None
    average_win: float | None
    average_loss: float | None


def returns(navs: Sequence[Decimal], cash_in: Sequence[Decimal] | None = None) -> list[float]:
    """Return r_t = (NAV_t − flow_t) / NAV_{t−1} − 1, one fewer than the values.

    `cash_in` is the cash put in so far at each value; its change is the flow, taken to arrive at
    the end of the session, so that a deposit is no gain. Raises TradingError where a value that is
    divided by is not above 0, or the two series differ in length.
    """
    put_in = cash_in if cash_in is not None else [Decimal(0)] * len(navs)
    if len(put_in) != len(navs):
        raise TradingError(f"There are {len(navs)} NAVs and {len(put_in)} amounts of cash put in.")
    for nav in navs[:-1]:
        if not nav > 0:
            raise TradingError(f"No return can be taken on a NAV of {nav}: expected more than 0.")
    return [
        float((navs[t] - (put_in[t] - put_in[t - 1])) / navs[t - 1] - 1)
        for t in range(1, len(navs))
    ]


def total_return(series: Sequence[float]) -> float:
    """Return Π(1 + r) − 1; 0 for no returns."""
    return prod(1 + r for r in series) - 1


def annualized_return(series: Sequence[float]) -> float | None:
    """Return (Π(1 + r))^(252/n) − 1, or None without returns or after a loss of everything."""
    growth = 1 + total_return(series)
    return growth ** (YEAR / len(series)) - 1 if series and growth > 0 else None


def deviation(series: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n − 1) of the returns, or None for fewer than two."""
    if len(series) < 2:
        return None
    mean = fsum(series) / len(series)
    return sqrt(fsum((r - mean) ** 2 for r in series) / (len(series) - 1))


def volatility(series: Sequence[float]) -> float | None:
    """Return the deviation times √252, or None for fewer than two returns."""
    daily = deviation(series)
    return None if daily is None else daily * sqrt(YEAR)


def sharpe(series: Sequence[float]) -> float | None:
    """Return mean / deviation · √252 of the returns, or None where they do not vary.

    The mean is the arithmetic one of the sessions, not the compound return of the year.
    """
    daily = deviation(series)
    if daily is None or daily < _LEAST_DEVIATION:
        return None
    return fsum(series) / len(series) / daily * sqrt(YEAR)


def sharpe_interval(series: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the annualized Sharpe ratio, or None where there is none.

    The standard error of a session's ratio S is √((1 + S²/2)/n) for independent returns
    (Lo, The Statistics of Sharpe Ratios, 2002), and √252 times that for the year's.
    """
    ratio = sharpe(series)
    if ratio is None:
        return None
    half = Z_95 * sqrt((1 + ratio**2 / YEAR / 2) / len(series)) * sqrt(YEAR)
    return ratio - half, ratio + half


def drawdowns(series: Sequence[float]) -> list[float]:
    """Return 1 − wealth/peak after each return, from 0 to 1; the peak includes the start."""
    wealth = peak = 1.0
    falls: list[float] = []
    for r in series:
        wealth *= 1 + r
        peak = max(peak, wealth)
        falls.append(1 - wealth / peak)
    return falls


def performance(series: Sequence[float]) -> Performance:
    """Return all figures of a series of returns, oldest first.

    A win is a return above 0, a loss one below; `win_rate` is wins over all returns.
    """
    wins = [r for r in series if r > 0]
    losses = [r for r in series if r < 0]
    return Performance(
        sessions=len(series),
        total_return=total_return(series),
        annualized_return=annualized_return(series),
        volatility=volatility(series),
        sharpe=sharpe(series),
        sharpe_interval=sharpe_interval(series),
        max_drawdown=max(drawdowns(series), default=0.0),
        win_rate=len(wins) / len(series) if series else None,
        average_win=fsum(wins) / len(wins) if wins else None,
        average_loss=fsum(losses) / len(losses) if losses else None,
    )
