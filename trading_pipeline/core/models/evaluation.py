"""How good predictions were: information coefficients by session, with honest uncertainty.

The IC of a session is the Pearson correlation of predictions and labels across its symbols, the
rank IC the same of their ranks (ties share the average rank). A mean is given with the window, the
size of the universe, a Newey-West t and a block-bootstrap interval, because sessions are neither
many nor independent. Rank ICs of daily data above 0.05 are a sign of leakage before they are one of
skill.
"""

from dataclasses import dataclass
from datetime import date
from math import isfinite, nan, sqrt

import numpy as np
import numpy.typing as npt
import polars as pl

Series = npt.NDArray[np.float64]

DRAWS = 2_000
"""Resamples of the bootstrap."""
LEVEL = 0.95
"""Coverage of the interval."""
SEED = 42
"""Of the bootstrap, so that an evaluation is the same whenever it is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The mean of a daily series and how sure one can be of it.

    `ratio` is mean over standard deviation (ddof 1) a session, for an IC the ICIR; `t` is
    Newey-West's; `low`…`high` the block-bootstrap interval at LEVEL. NaN where it is undefined.
    """

    value: float
    ratio: float
    t: float
    low: float
    high: float
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Predictions of a window against what happened.

    `ic`, `rank_ic`: against raw labels; `mae`, `rmse`, `r2`: against the training target, pooled.
    `fewest`, `most`: symbols in a session.
    """

    ic: Mean
    rank_ic: Mean
    mae: float
    rmse: float
    r2: float
    first: date
    last: date
    sessions: int
    fewest: int
    most: int

    def metrics(self, prefix: str = "") -> dict[str, float]:
        """The figures by name, those that are undefined left out."""
        found = {"mae": self.mae, "rmse": self.rmse, "r2": self.r2}
        for name, mean in (("ic", self.ic), ("rank_ic", self.rank_ic)):
            found |= {name: mean.value, f"{name}_ir": mean.ratio, f"{name}_t": mean.t}
            found |= {f"{name}_low": mean.low, f"{name}_high": mean.high}
        found |= {"sessions": self.sessions, "symbols_min": self.fewest, "symbols_max": self.most}
        return {f"{prefix}{name}": float(value) for name, value in found.items() if isfinite(value)}

    def sentence(self) -> str:
        """The rank IC with its interval, window and universe, in words."""
        mean, size = self.rank_ic, f"{self.fewest}–{self.most}"
        size = size if self.fewest != self.most else str(self.most)
        return (
            f"mean daily rank IC {mean.value:+.4f} ({LEVEL:.0%} interval {mean.low:+.4f} to "
            f"{mean.high:+.4f}) over {mean.sessions} sessions, {self.first} to {self.last}, "
            f"{size} symbols"
        )


def daily_ic(predictions: pl.DataFrame) -> pl.DataFrame:
    """IC and rank IC of every session: session, symbols, ic, rank_ic; sorted by session.

    `predictions`: symbol, session, prediction, label. Null where a session has fewer than two
    symbols, or where predictions or labels do not differ.
    """
    ranks = [pl.col(name).rank().over("session").alias(f"{name}_rank") for name in _PAIR]
    return (
        predictions.with_columns(ranks)
        .group_by("session")
        .agg(
            symbols=pl.len().cast(pl.Int32),
            ic=_correlation("prediction", "label"),
            rank_ic=_correlation("prediction_rank", "label_rank"),
        )
        .sort("session")
    )


def evaluate(predictions: pl.DataFrame) -> Evaluation:
    """Judge `predictions`: symbol, session, prediction, label, target; at least one row."""
    daily = daily_ic(predictions)
    error = (predictions["prediction"] - predictions["target"]).to_numpy()
    spread = predictions["target"].to_numpy() - predictions["target"].mean()
    total = float(np.sum(spread**2))
    return Evaluation(
        ic=mean_of(_known(daily["ic"])),
        rank_ic=mean_of(_known(daily["rank_ic"])),
        mae=float(np.mean(np.abs(error))),
        rmse=sqrt(float(np.mean(error**2))),
        r2=1 - float(np.sum(error**2)) / total if total > 0 else nan,
        first=daily["session"][0],
        last=daily["session"][-1],
        sessions=len(daily),
        fewest=daily["symbols"].to_numpy().min().item(),
        most=daily["symbols"].to_numpy().max().item(),
    )


def mean_of(daily: Series) -> Mean:
    """The mean of a daily series with its t and its interval; all NaN without a value."""
    if not len(daily):
        return Mean(value=nan, ratio=nan, t=nan, low=nan, high=nan, sessions=0)
    value, spread = float(np.mean(daily)), _deviation(daily)
    low, high = bootstrap_interval(daily)
    return Mean(
        value=value,
        ratio=value / spread if spread > 0 else nan,
        t=newey_west_t(daily),
        low=low,
        high=high,
        sessions=len(daily),
    )


def newey_west_t(daily: Series) -> float:
    """Student's t of the mean with the variance of Newey and West (1987).

    Bartlett weights, ⌊4(n/100)^(2/9)⌋ lags. NaN for fewer than two values or a constant series.
    """
    count = len(daily)
    if count < 2:
        return nan
    rest = daily - np.mean(daily)
    lags = min(int(4 * (count / 100) ** (2 / 9)), count - 1)
    variance = float(rest @ rest) / count
    for lag in range(1, lags + 1):
        weight = 1 - lag / (lags + 1)
        variance += 2 * weight * float(rest[lag:] @ rest[:-lag]) / count
    return float(np.mean(daily)) / sqrt(variance / count) if variance > _TINY else nan


def bootstrap_interval(
    daily: Series, *, level: float = LEVEL, draws: int = DRAWS, seed: int = SEED
) -> tuple[float, float]:
    """Interval of the mean by a circular block bootstrap (Politis and Romano 1992).

    Blocks of ⌊n^(1/3)⌋ sessions, drawn with replacement; percentiles of the resampled means. NaN
    for fewer than two values.
    """
    count = len(daily)
    if count < 2:
        return nan, nan
    length = int(np.cbrt(count))
    blocks = int(np.ceil(count / length))
    starts = np.random.default_rng(seed).integers(count, size=(draws, blocks, 1))
    places = ((starts + np.arange(length)) % count).reshape(draws, -1)[:, :count]
    tail = (1 - level) / 2
    low, high = np.quantile(daily[places].mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)


_PAIR = ("prediction", "label")
_TINY = 1e-24


def _correlation(left: str, right: str) -> pl.Expr:
    """Pearson; null for fewer than two rows or where either side is constant."""
    varies = (pl.col(left).n_unique() > 1) & (pl.col(right).n_unique() > 1)
    return pl.when(varies).then(pl.corr(left, right)).otherwise(None)


def _known(daily: pl.Series) -> Series:
    return daily.drop_nulls().drop_nans().to_numpy()


def _deviation(daily: Series) -> float:
    return float(np.std(daily, ddof=1)) if len(daily) > 1 else 0.0
