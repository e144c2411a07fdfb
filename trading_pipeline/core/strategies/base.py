"""What a strategy is: a pure function from what is known at the close to scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from trading_pipeline.core.features.normalize import zscore
from trading_pipeline.core.market.corporate_actions import require_columns
from trading_pipeline.core.strategies.indicators import Values
from trading_pipeline.core.strategies.lanes import Lanes, lay
from trading_pipeline.errors import MissingDataError

Score = Callable[[pl.DataFrame, pl.DataFrame, pl.DataFrame | None], pl.DataFrame]
"""Takes features, predictions and adjusted bars, and returns scores.

Features are rows as in `schemas.Features`, predictions as in `schemas.Predictions`, bars as
`corporate_actions.adjust` returns them; all of any sessions and of the universe only, and none
holds a row that was not known at its session's close. Scores are symbol, session, score (finite
float64), sorted by session and symbol, at most one a symbol and session: a symbol without one is
not wanted. A score says which symbol to prefer within a session and is no forecast of a return.
The order of rows never matters, nor a factor common to all prices of a symbol.
"""

Featurize = Callable[[pl.DataFrame], pl.DataFrame]
"""Takes adjusted bars and returns rows as in `schemas.Features`, for a model of one's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByRules:
    """What rules say of bars laid out in lanes.

    `wanted` is the score of each bar, NaN where there is none; where `compares`, it is then made a
    z-score among the symbols of its session. `features` are the indicators that a model learns
    from, by name; `version` is theirs.
    """

    name: str
    version: str
    wanted: Callable[[Lanes], Values]
    features: Callable[[Lanes], Mapping[str, Values]]
    compares: bool = False

    def score(
        self,
        features: pl.DataFrame,  # noqa: ARG002  # every strategy is given them; these read bars
        predictions: pl.DataFrame,  # noqa: ARG002
        bars: pl.DataFrame | None = None,
    ) -> pl.DataFrame:
        """Return symbol, session, score of every bar that has one, by session and symbol."""
        lanes = lay(require_bars(bars, self.name))
        # a bar beyond a symbol's last one has no row, whatever shifted closes say of it
        found = lanes.scores(self.wanted(lanes))
        return found.with_columns(zscore("score")) if self.compares else found

    def featurize(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Return the indicators as features of a model: Float32, null where not known yet."""
        lanes = lay(require_bars(bars, self.name))
        return lanes.features(self.features(lanes), self.version)

    def strategy(self, *, look_back: int, unit: float = 1.0) -> "Strategy":
        """Return the strategy that scores bars by these rules and asks no model."""
        return Strategy(
            score=self.score,
            look_back=look_back,
            needs_predictions=False,
            unit=unit,
            featurize=self.featurize,
            feature_look_back=look_back,
            by_rules=self,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A score function, and what it has to be given.

    `look_back` is how many sessions of bars the score of one session reads, its own included; 0
    when it reads none. Where `needs_predictions` or `needs_features` is false, those may be empty.
    `unit` is the absolute score at which the strategy is as sure as it can be. `featurize` makes
    the features for a model of its own from bars of `feature_look_back` sessions, where it has any.
    `members` are the strategies that it combines, if it does. Predictions of `prediction_look_back`
    sessions are given, its own included, as far as there are any. `by_rules` is what the score goes
    by where it asks no model.
    """

    score: Score
    look_back: int = 0
    needs_predictions: bool = True
    needs_features: bool = False
    unit: float = 1.0
    featurize: Featurize | None = None
    feature_look_back: int = 0
    members: tuple[str, ...] = ()
    prediction_look_back: int = 1
    by_rules: ByRules | None = None

    def __call__(
        self,
        features: pl.DataFrame,
        predictions: pl.DataFrame,
        bars: pl.DataFrame | None = None,
    ) -> pl.DataFrame:
        """Return the scores; bars that span more sessions than one give scores of all of them."""
        return self.score(features, predictions, bars)


def require_bars(bars: pl.DataFrame | None, strategy: str) -> pl.DataFrame:
    """Return the bars; MissingDataError without any, SchemaError when a column is missing."""
    if bars is None:
        raise MissingDataError(f"{strategy} is computed from bars: adjusted bars were expected.")
    columns = ("symbol", "session", "open", "high", "low", "close", "volume")
    require_columns(bars, columns, f"The bars of {strategy}")
    return bars


def opinions(scores: pl.DataFrame, unit: float) -> pl.DataFrame:
    """Return symbol, session, score, signal and confidence.

    signal = sign(score) as −1.0, 0.0 or 1.0; confidence = min(|score| / unit, 1), from 0 to 1.
    """
    score = pl.col("score")
    return scores.select(
        "symbol",
        "session",
        score,
        signal=score.sign(),
        confidence=(score.abs() / unit).clip(0.0, 1.0),
    )
