"""Volatility and covariance of returns, as known at a close."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_pipeline.core.market.corporate_actions import require_columns

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The covariance of the returns of a session, of `symbols` in this order; shares squared.

    `shrinkage` is the weight of the constant-correlation target in it, from 0 to 1.
    """

    symbols: tuple[str, ...]
    covariance: Matrix
    shrinkage: float

    @property
    def volatility(self) -> Mapping[str, float]:
        """The standard deviation of a session's return, by symbol."""
        deviations = np.sqrt(np.diag(self.covariance)).tolist()
        return dict(zip(self.symbols, deviations, strict=True))

    def of(self, symbols: Sequence[str]) -> Matrix:
        """Return the covariance of these symbols, in this order; KeyError for one not known."""
        place = {symbol: at for at, symbol in enumerate(self.symbols)}
        chosen = [place[symbol] for symbol in symbols]
        return self.covariance[np.ix_(chosen, chosen)]


def estimate(bars: pl.DataFrame, *, sessions: int = 252, least: int = 60) -> Risk:
    """Return the covariance of the close-to-close returns of the last sessions in `bars`.

    `bars` are adjusted. Symbols with fewer than `least` returns among the last `sessions` are left
    out. A return missing in a session counts as the symbol's mean. The sample covariance is shrunk
    toward equal correlations, by the weight that minimizes the expected error (Ledoit and Wolf,
    Honey, I Shrunk the Sample Covariance Matrix, 2004), so it can always be inverted in practice.
    """
    require_columns(bars, ("symbol", "session", "close"), "The bars")
    moved = (pl.col("close") / pl.col("close").shift() - 1).over("symbol")
    returns = bars.sort("symbol", "session").with_columns(moved=moved)
    last = returns["session"].unique().sort().tail(sessions)
    recent = returns.filter(pl.col("session").is_in(last.implode()))
    enough = recent.drop_nulls("moved").filter(pl.len().over("symbol") >= least)
    if enough.is_empty():
        return Risk(symbols=(), covariance=np.zeros((0, 0)), shrinkage=0.0)
    wide = enough.pivot("symbol", index="session", values="moved", sort_columns=True)
    symbols = tuple(sorted(enough["symbol"].unique()))
    table = wide.sort("session").select(symbols).to_numpy()
    centered = np.nan_to_num(table - np.nanmean(table, axis=0))
    covariance, shrinkage = shrunk(centered)
    return Risk(symbols=symbols, covariance=covariance, shrinkage=shrinkage)


def shrunk(centered: Matrix) -> tuple[Matrix, float]:
    """Return the shrunk covariance of returns (sessions, symbols) of mean 0, and the weight.

    The target has the sample's variances and its mean correlation everywhere.
    """
    rows, count = centered.shape
    sample = centered.T @ centered / rows
    deviation = np.sqrt(np.diag(sample))
    if count < 2 or not (deviation > 0).all():
        return sample, 0.0
    scale = np.outer(deviation, deviation)
    mean = ((sample / scale).sum() - count) / (count * (count - 1))
    target = mean * scale
    np.fill_diagonal(target, deviation**2)
    squares = centered**2
    spread = squares.T @ squares / rows - sample**2
    weight = _weight(centered, sample, target, spread=spread, mean=float(mean))
    return weight * target + (1 - weight) * sample, weight


def _weight(
    centered: Matrix, sample: Matrix, target: Matrix, *, spread: Matrix, mean: float
) -> float:
    """Return (π − ρ) / γ / rows, the paper's estimate of the best weight, kept within 0 and 1."""
    rows = len(centered)
    variance = np.diag(sample)
    deviation = np.sqrt(variance)
    cubes = (centered**3).T @ centered / rows - variance[:, None] * sample
    np.fill_diagonal(cubes, 0.0)
    common = np.trace(spread) + mean * (np.outer(1 / deviation, deviation) * cubes).sum()
    misfit = ((sample - target) ** 2).sum()
    if misfit <= 0:
        return 0.0
    return float(np.clip((spread.sum() - common) / misfit / rows, 0.0, 1.0))
