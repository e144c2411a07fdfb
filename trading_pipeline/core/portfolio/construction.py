"""From scores to target weights: the best names long, the worst short, equal weights."""

from typing import Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_pipeline.core.market.universe import require_room
from trading_pipeline.errors import SchemaError, TradingError

Values = npt.NDArray[np.float64]

TOLERANCE: Final = 1e-6
"""How far the weights of a side may be from summing to one."""


class ConstructionRules(BaseModel):
    """How many names the portfolio holds on each side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_n: int = Field(default=2, ge=0, description="names held long, each at 1/top_n")
    bottom_n: int = Field(default=2, ge=0, description="names held short, each at −1/bottom_n")
    long_only: bool = Field(default=False, description="hold no shorts: bottom_n counts as 0")

    @property
    def shorts(self) -> int:
        """Names really held short."""
        return 0 if self.long_only else self.bottom_n

    @property
    def needed(self) -> int:
        """Symbols with a signal that a session must have."""
        return self.top_n + self.shorts

    @model_validator(mode="after")
    def _hold_something(self) -> Self:
        if not self.needed:
            raise ValueError("top_n and the names held short are both 0: expected at least one")
        return self


def rank(scores: pl.DataFrame, *, strategy: str) -> pl.DataFrame:
    """Return signals: each score with its strategy, and its rank in its session, 1 the highest.

    Takes symbol, session, score; gives symbol, session, strategy, score, rank (Int32) sorted by
    session and rank. Equal scores rank by symbol, so the order of rows never matters. A missing or
    non-finite score, or two of a symbol in a session, is a SchemaError.
    """
    _require_scores(scores)
    order = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("session")
    return (
        scores.with_columns(pl.lit(strategy).alias("strategy"))
        .sort("session", "score", "symbol", descending=[False, True, False])
        .select("symbol", "session", "strategy", "score", order.alias("rank"))
    )


def weigh(signals: pl.DataFrame, rules: ConstructionRules) -> pl.DataFrame:
    """Return target weights: top names +1/top_n, bottom names −1/bottom_n, the rest 0.

    Takes signals of one strategy and any number of sessions; gives symbol, session, strategy,
    target_weight sorted by session and rank. A session with fewer signals than the rules need is a
    SettingsError with the numbers.
    """
    sizes = signals.group_by("session").len()["len"].to_list()
    require_room(range(min(sizes, default=0)), rules.top_n, rules.shorts)
    place = pl.col("rank").rank("ordinal").over("session")
    from_last = pl.len().over("session") - place
    weight = (
        pl.when(place <= rules.top_n)
        .then(1.0 / max(rules.top_n, 1))
        .when(from_last < rules.shorts)
        .then(-1.0 / max(rules.shorts, 1))
        .otherwise(0.0)
    )
    targets = signals.sort("session", "rank").select(
        "symbol", "session", "strategy", weight.alias("target_weight")
    )
    require_weights(targets, rules)
    return targets


def weigh_dense(scores: Values, rules: ConstructionRules) -> Values:
    """Return `weigh` of scores laid out as (sessions, symbols), symbols in their order; for sweeps.

    NaN is no score. A session with fewer scores than the rules need is a row of NaN: it decides
    nothing.
    """
    weights = np.zeros(scores.shape)
    if rules.top_n:
        weights[_best(scores, rules.top_n)] = 1 / rules.top_n
    if rules.shorts:
        # from the other end: of equals, the last symbol
        weights[_best(-scores[:, ::-1], rules.shorts)[:, ::-1]] = -1 / rules.shorts
    weights[(~np.isnan(scores)).sum(axis=1) < rules.needed] = np.nan
    return weights


def _best(scores: Values, count: int) -> npt.NDArray[np.bool_]:
    """Return which `count` scores of each row are the highest; of equals, the first."""
    last = min(count, scores.shape[1]) - 1
    least = -np.partition(-scores, last, axis=1)[:, last, None]  # NaN come last
    above, equal = scores > least, scores == least
    room = count - above.sum(axis=1)
    crowded = equal.sum(axis=1) > room
    equal[crowded] &= np.cumsum(equal[crowded], axis=1) <= room[crowded, None]
    return above | equal


def require_weights(targets: pl.DataFrame, rules: ConstructionRules) -> None:
    """Raise TradingError unless every session's weights are those the rules promise.

    Longs sum to 1 and shorts to −1 within 1e-6 (a side of no names to 0), their counts are the
    rules' counts, and no weight exceeds 1.
    """
    weight = pl.col("target_weight")
    sides = targets.group_by("session", maintain_order=True).agg(
        weight.filter(weight > 0).len().alias("longs"),
        weight.filter(weight < 0).len().alias("shorts"),
        weight.filter(weight > 0).sum().alias("long"),
        weight.filter(weight < 0).sum().alias("short"),
        weight.abs().max().alias("largest"),
    )
    is_right = (
        (pl.col("longs") == rules.top_n)
        & (pl.col("shorts") == rules.shorts)
        & ((pl.col("long") - float(rules.top_n > 0)).abs() <= TOLERANCE)
        & ((pl.col("short") + float(rules.shorts > 0)).abs() <= TOLERANCE)
        & (pl.col("largest") <= 1 + TOLERANCE)
    )
    for wrong in sides.filter(~is_right.fill_null(value=False)).head(1).to_dicts():
        raise TradingError(
            f"The weights of {wrong['session']} are {wrong['longs']} long in sum {wrong['long']} "
            f"and {wrong['shorts']} short in sum {wrong['short']}: "
            f"expected {rules.top_n} and {rules.shorts}."
        )


def _require_scores(scores: pl.DataFrame) -> None:
    score = pl.col("score")
    bad = scores.filter(score.is_null() | ~score.is_finite())
    if not bad.is_empty():
        symbol, session = bad.row(0)[:2]
        raise SchemaError(f"{symbol} has no finite score in {session}: expected one of each.")
    twice = scores.filter(pl.struct("symbol", "session").is_duplicated())
    if not twice.is_empty():
        symbol, session = twice.row(0)[:2]
        raise SchemaError(f"{symbol} has several scores in {session}: expected one.")
