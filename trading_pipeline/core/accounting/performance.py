"""Performance of a series of net asset values, one a session, oldest first.

Figures are floats; 252 sessions make a year and the risk-free rate is 0. A figure that too few
sessions cannot give is None, never 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import e, fsum, nan, prod, sqrt
from statistics import NormalDist
from typing import Final

from trading_pipeline.errors import TradingError

YEAR: Final = 252
"""Sessions a year."""

Z_95: Final = 1.959963984540054
"""Standard errors each side of a 95 % interval."""

_EULER: Final = 0.5772156649015329

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A series of returns explained by a benchmark's: r = alpha + beta·b, by least squares.

    `alpha` is what a session earns beside the benchmark, times 252, and `alpha_interval` its 95 %
    interval; `correlation` that of the two series.
    """

    alpha: float
    alpha_interval: tuple[float, float] | None
    beta: float
    correlation: float | None


def sortino(series: Sequence[float]) -> float | None:
    """Return mean / √(Σ min(r, 0)² / n) · √252, or None where nothing was ever lost."""
    if not series:
        return None
    downside = sqrt(fsum(min(r, 0.0) ** 2 for r in series) / len(series))
    if downside < _LEAST_DEVIATION:
        return None
    return fsum(series) / len(series) / downside * sqrt(YEAR)


def rolling(series: Sequence[float], sessions: int) -> dict[str, list[float]]:
    """Return volatility and sharpe of every run of so many returns, by name, the oldest first.

    NaN where they do not vary.
    """
    parts = [series[end - sessions : end] for end in range(sessions, len(series) + 1)]
    return {
        name: [nan if (value := of(part)) is None else value for part in parts]
        for name, of in (("volatility", volatility), ("sharpe", sharpe))
    }


def calmar(series: Sequence[float]) -> float | None:
    """Return annualized return / maximum drawdown, or None where there was no drawdown."""
    annual, deepest = annualized_return(series), max(drawdowns(series), default=0.0)
    return None if annual is None or deepest < _LEAST_DEVIATION else annual / deepest


def profit_factor(series: Sequence[float]) -> float | None:
    """Return Σ wins / Σ |losses| of the returns, or None where nothing was lost."""
    lost = -fsum(r for r in series if r < 0)
    return fsum(r for r in series if r > 0) / lost if lost else None


def regression(series: Sequence[float], benchmark: Sequence[float]) -> Regression | None:
    """Return alpha and beta to a benchmark, or None where it does not vary or has under 3 returns.

    The interval takes residuals as independent and of one variance (ordinary least squares).
    Raises TradingError where the two differ in length.
    """
    if len(series) != len(benchmark):
        raise TradingError(f"There are {len(series)} returns and {len(benchmark)} of a benchmark.")
    count = len(series)
    if count < 3:
        return None
    mean, center = fsum(series) / count, fsum(benchmark) / count
    spread = fsum((b - center) ** 2 for b in benchmark)
    if spread < _LEAST_DEVIATION**2:
        return None
    beta = fsum((b - center) * (r - mean) for b, r in zip(benchmark, series, strict=True)) / spread
    alpha = mean - beta * center
    left = fsum((r - alpha - beta * b) ** 2 for b, r in zip(benchmark, series, strict=True))
    own = fsum((r - mean) ** 2 for r in series)
    half = Z_95 * sqrt(left / (count - 2) * (1 / count + center**2 / spread))
    return Regression(
        alpha=alpha * YEAR,
        alpha_interval=((alpha - half) * YEAR, (alpha + half) * YEAR),
        beta=beta,
        correlation=beta * sqrt(spread / own) if own > 0 else None,
    )


def luckiest_sharpe(trials: Sequence[float]) -> float:
    """Return the Sharpe ratio that the best of trials without any skill is expected to show.

    √V·((1 − γ)·Φ⁻¹(1 − 1/N) + γ·Φ⁻¹(1 − 1/(N·e))) with V the variance of the N trials' ratios and
    γ Euler's constant; 0 for a single trial.
    """
    count = len(trials)
    spread = deviation(trials)
    if spread is None:
        return 0.0
    normal = NormalDist()
    near, far = normal.inv_cdf(1 - 1 / count), normal.inv_cdf(1 - 1 / (count * e))
    return spread * ((1 - _EULER) * near + _EULER * far)


def deflated_sharpe(series: Sequence[float], trials: Sequence[float]) -> float | None:
    """Return the probability that the true Sharpe ratio exceeds what luck shows in the best trial.

    `trials` are the annualized Sharpe ratios of everything that was tried, this series included.
    Takes the skewness and the tails of the returns into account; None where they do not vary.
    Source: Bailey and López de Prado, The Deflated Sharpe Ratio, 2014.
    """
    ratio = sharpe(series)
    if ratio is None:
        return None
    count, mean = len(series), fsum(series) / len(series)
    second, third, fourth = (fsum((r - mean) ** k for r in series) / count for k in (2, 3, 4))
    return probabilistic_sharpe(
        ratio / sqrt(YEAR),
        luckiest_sharpe(trials) / sqrt(YEAR),
        sessions=count,
        skewness=third / second**1.5,
        kurtosis=fourth / second**2,
    )


def probabilistic_sharpe(
    ratio: float, least: float, *, sessions: int, skewness: float, kurtosis: float
) -> float:
    """Return the probability that the true ratio of a session is above `least`, given the found.

    Φ((S − least)·√(n − 1) / √(1 − skewness·S + (kurtosis − 1)/4·S²)); neither ratio is annualized,
    and a normal distribution has kurtosis 3. Source: Bailey and López de Prado, The Sharpe Ratio
    Efficient Frontier, 2012.
    """
    # above 0 for every distribution: kurtosis is at least 1 + skewness²
    error = sqrt(1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2)
    return NormalDist().cdf((ratio - least) * sqrt(sessions - 1) / error)
