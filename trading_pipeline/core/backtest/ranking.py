"""What a model's ranking would have earned: best against worst symbols, after costs.

The portfolio is the textbook one that needs no further choice: long the best tenth of each session
at equal weights, short the worst, one dollar a side, traded anew every session at the prices of the
label. It judges the ranking; what the platform itself would have made of it is a backtest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import Final

import numpy as np
import polars as pl

from trading_pipeline.core.accounting.performance import deflated_sharpe, sharpe, sharpe_interval
from trading_pipeline.core.backtest.panel import Values
from trading_pipeline.core.backtest.study import HORIZONS, Decay, means_by_place, placed
from trading_pipeline.core.backtest.vectorized import by_returns
from trading_pipeline.core.models.evaluation import LEVEL, Mean, daily_ic, mean_of
from trading_pipeline.core.portfolio.construction import rank

_BASIS_POINTS: Final = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """What a ranking earned over its sessions; returns are fractions, 0.01 is one percent.

    `buckets`: mean label by place, the lowest predictions first; `spread`: the highest part less
    the lowest, by session; `turnover`: the share of the portfolio replaced a session; `net`: its
    return after `cost_bps` basis points a dollar traded, by session; `sharpe` is that of `net`,
    annualized, `deflated` the probability that it is above what the luckiest of `trials` shows.
    """

    sessions: tuple[date, ...]
    fewest: int
    most: int
    buckets: tuple[float, ...]
    spread: Mean
    turnover: float
    decay: tuple[Decay, ...]
    net: tuple[float, ...]
    cost_bps: float
    sharpe: float | None
    sharpe_interval: tuple[float, float] | None
    deflated: float | None
    trials: int

    def metrics(self) -> dict[str, float]:
        """The figures by name, those that are undefined left out."""
        low, high = self.sharpe_interval or (None, None)
        its = self.spread
        found = {
            "spread": its.value,
            "spread_t": its.t,
            "spread_low": its.low,
            "spread_high": its.high,
            "turnover": self.turnover,
            "cost_bps": self.cost_bps,
            "sharpe": self.sharpe,
            "sharpe_low": low,
            "sharpe_high": high,
            "deflated_sharpe": self.deflated,
            "trials": float(self.trials),
            **{f"rank_ic_after_{one.horizon}": one.rank_ic.value for one in self.decay},
        }
        return {
            name: value for name, value in found.items() if value is not None and isfinite(value)
        }

    def sentence(self) -> str:
        """Spread and Sharpe ratio with intervals, window and universe, in words."""
        size = str(self.most) if self.fewest == self.most else f"{self.fewest}–{self.most}"
        its, sure = self.spread, f"{LEVEL:.0%} interval"
        mean, low, high = (_BASIS_POINTS * value for value in (its.value, its.low, its.high))
        spread = (
            f"best less worst of {len(self.buckets)} parts {mean:+.1f} basis points a session "
            f"({sure} {low:+.1f} to {high:+.1f})"
        )
        traded = f"{self.turnover:.0%} of the portfolio replaced a session; {self._sharpe(sure)}"
        window = f"{len(self.sessions)} sessions, {self.sessions[0]} to {self.sessions[-1]}"
        return f"{spread}; {traded}; over {window}, {size} symbols"

    def _sharpe(self, sure: str) -> str:
        costs = f"after {self.cost_bps:g} basis points a dollar traded"
        if self.sharpe is None or self.sharpe_interval is None or self.deflated is None:
            return f"no Sharpe ratio {costs}: returns do not vary"
        low, high = self.sharpe_interval
        tried = f"{self.trials} trial" + "s" * (self.trials != 1)
        return (
            f"Sharpe ratio {costs} {self.sharpe:+.2f} ({sure} {low:+.2f} to {high:+.2f}), deflated "
            f"for {tried} {self.deflated:.0%}"
        )


def ranking(
    predictions: pl.DataFrame,
    labels: pl.DataFrame,
    *,
    cost_bps: float,
    trials: Sequence[float] = (),
) -> Ranking:
    """Judge `predictions` (symbol, session, prediction, label), at least one row.

    `labels` (symbol, session, label) reach beyond them where they can: the decay looks at later
    labels. `trials` are the annualized Sharpe ratios of whatever else was tried.
    """
    rows = ranked(predictions)
    net, turnover = _traded(rows, cost_bps)
    own = sharpe(net)
    tried = [*trials, own] if own is not None else list(trials)
    sizes = rows.group_by("session").len()["len"].to_list()
    return Ranking(
        sessions=tuple(rows["session"].unique().sort().to_list()),
        fewest=min(sizes),
        most=max(sizes),
        buckets=tuple(means_by_place(rows)),
        spread=mean_of(_spread(rows)),
        turnover=turnover,
        decay=_decay(rows, labels),
        net=tuple(net),
        cost_bps=cost_bps,
        sharpe=own,
        sharpe_interval=sharpe_interval(net),
        deflated=deflated_sharpe(net, tried),
        trials=len(tried),
    )


def sharpe_of(predictions: pl.DataFrame, cost_bps: float) -> float | None:
    """The annualized Sharpe ratio of the portfolio after costs; None where returns do not vary."""
    return sharpe(_traded(ranked(predictions), cost_bps)[0])


def ranked(predictions: pl.DataFrame) -> pl.DataFrame:
    """Add `rank`, 1 the highest prediction of a session; equal ones rank by symbol."""
    scores = predictions.select("symbol", "session", score="prediction")
    ranks = rank(scores, strategy="").select("symbol", "session", "rank")
    return predictions.join(ranks, on=["symbol", "session"], maintain_order="left")


def _spread(rows: pl.DataFrame) -> Values:
    """The mean label of the highest part less that of the lowest, by session."""
    parts = placed(rows)
    last = int(parts["place"].to_numpy().max())
    label, place = pl.col("label"), pl.col("place")
    daily = parts.group_by("session").agg(
        spread=label.filter(place == last).mean() - label.filter(place == 0).mean()
    )
    return daily.sort("session")["spread"].drop_nulls().to_numpy()


def _traded(rows: pl.DataFrame, cost_bps: float) -> tuple[list[float], float]:
    """Net return by session and mean turnover of the portfolio, opened and closed at its ends."""
    parts = placed(rows)
    last = int(parts["place"].to_numpy().max())
    place = pl.col("place")
    side = (place == last).cast(pl.Float64) - (place == 0).cast(pl.Float64)
    sized = parts.with_columns(side=side * (last > 0)).with_columns(
        weight=pl.col("side") / pl.len().over("session", "side")
    )
    weights, labels = (_grid(sized, name) for name in ("weight", "label"))
    nothing = np.zeros((1, weights.shape[1]))
    net = by_returns(
        np.concatenate((weights, nothing)),
        np.concatenate((nothing, labels)),
        cost=cost_bps / _BASIS_POINTS,
    )
    series = net[1:].copy()
    series[0] = (1 + net[0]) * (1 + net[1]) - 1  # the first session pays for its positions
    change = np.abs(np.diff(weights, axis=0)).sum(axis=1) / 2
    size = np.abs(weights).sum(axis=1)[1:]
    replaced = change[size > 0] / size[size > 0]
    return series.tolist(), float(replaced.mean()) if len(replaced) else 0.0


def _grid(rows: pl.DataFrame, column: str) -> Values:
    """A column by session and symbol, 0 where there is no row."""
    wide = rows.sort("symbol").pivot("symbol", index="session", values=column).sort("session")
    return wide.drop("session").fill_null(0.0).to_numpy()


def _decay(rows: pl.DataFrame, labels: pl.DataFrame) -> tuple[Decay, ...]:
    """How well predictions rank the labels of later sessions; horizon 1 is their own label."""
    axis = labels["session"].unique().sort().to_list()
    found: list[Decay] = []
    for horizon in HORIZONS:
        earlier: Mapping[date, date] = dict(zip(axis[horizon - 1 :], axis, strict=False))
        later = labels.select(
            "symbol",
            "label",
            session=pl.col("session").replace_strict(earlier, default=None, return_dtype=pl.Date),
        ).drop_nulls("session")
        both = rows.drop("label").join(later, on=["symbol", "session"], how="inner")
        daily = daily_ic(both)["rank_ic"].drop_nulls().drop_nans().to_numpy()
        if len(daily):
            found.append(Decay(horizon=horizon, rank_ic=mean_of(daily)))
    return tuple(found)
