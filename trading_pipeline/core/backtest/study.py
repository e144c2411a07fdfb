"""What scores said of the returns that followed: by place in the session, and by time since."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from trading_pipeline.core.backtest.panel import Panel
from trading_pipeline.core.backtest.vectorized import by_returns
from trading_pipeline.core.models.evaluation import Mean, daily_ic, mean_of
from trading_pipeline.errors import MissingDataError

BUCKETS: Final = 10
HORIZONS: Final = (1, 2, 3, 5, 10, 20)
"""Sessions after the decision, in which a score's hold on returns is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decay:
    """The daily rank IC of scores with the return of the session `horizon` sessions later."""

    horizon: int
    rank_ic: Mean


def buckets(signals: pl.DataFrame, panel: Panel, count: int = BUCKETS) -> list[float]:
    """Return the mean return of the session after, by place in the session: the worst first.

    Each session is cut into `count` parts of equal size, fewer where it has fewer symbols; sessions
    count alike. Empty where no return followed.
    """
    return means_by_place(_followed(signals, panel, 1), count)


def means_by_place(rows: pl.DataFrame, count: int = BUCKETS) -> list[float]:
    """Return the mean label by place in the session, the lowest first; sessions count alike.

    `rows`: symbol, session, rank, label. Empty without any.
    """
    table = (
        placed(rows, count)
        .group_by("session", "place")
        .agg(pl.col("label").mean())
        .group_by("place")
        .agg(pl.col("label").mean())
        .sort("place")
    )
    return table["label"].to_list()


def placed(rows: pl.DataFrame, count: int = BUCKETS) -> pl.DataFrame:
    """Add `place`: which of `count` parts of equal size of its session a row is in, 0 the lowest.

    Parts are fewer where a session has fewer symbols.
    """
    most = min([count, *rows.group_by("session").len()["len"].to_list()])
    size = pl.len().over("session")
    place = (pl.col("rank").rank("ordinal", descending=True).over("session") - 1) * most // size
    return rows.with_columns(place=place)


def decay(signals: pl.DataFrame, panel: Panel, horizons: Sequence[int] = HORIZONS) -> list[Decay]:
    """Return how well scores rank the returns of later sessions; horizons without any are absent.

    The return of a session is that from the close before to its close, dividends included.
    """
    found: list[Decay] = []
    for horizon in horizons:
        rows = _followed(signals, panel, horizon)
        daily = daily_ic(rows)["rank_ic"].drop_nulls().drop_nans().to_numpy()
        if len(daily):
            found.append(Decay(horizon=horizon, rank_ic=mean_of(daily)))
    return found


def benchmark(panel: Panel, symbol: str = "") -> list[float]:
    """Return what the benchmark earned in each session of the panel after the first.

    Holding `symbol`, dividends included; or without one every symbol that has a close at equal
    weights, traded back to them at each close, free of charge.
    """
    if symbol and symbol not in panel.symbols:
        raise MissingDataError(
            f"The benchmark {symbol} has no bars in the sessions of the backtest."
        )
    priced = ~np.isnan(panel.close)
    if symbol:
        lane = panel.symbols.index(symbol)
        priced = priced & (np.arange(len(panel.symbols)) == lane)
    if not priced.any():
        raise MissingDataError(f"There is no close of {symbol or 'any symbol'} to compare with.")
    held = np.maximum(priced.sum(axis=1, keepdims=True), 1)
    return by_returns(priced / held, panel.returns)[1:].tolist()


def _followed(signals: pl.DataFrame, panel: Panel, after: int) -> pl.DataFrame:
    """symbol, session, rank, prediction (the score), and label: the return `after` sessions on."""
    returns = panel.returns[after:]
    known = ~np.isnan(panel.close[after - 1 : -1])
    sessions = panel.sessions[: len(returns)]
    row, lane = np.nonzero(known)
    later = pl.DataFrame(
        {
            "symbol": [panel.symbols[at] for at in lane],
            "session": [sessions[at] for at in row],
            "label": returns[row, lane],
        },
        schema={"symbol": pl.String, "session": pl.Date, "label": pl.Float64},
    )
    said = signals.select("symbol", "session", "rank", prediction="score")
    return said.join(later, on=["symbol", "session"], how="inner", maintain_order="left")
