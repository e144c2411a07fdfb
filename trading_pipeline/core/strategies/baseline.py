"""The baseline strategy: believe the model, in units that compare across sessions."""

from dataclasses import replace
from typing import Final

import polars as pl

from trading_pipeline.core.features.normalize import zscore
from trading_pipeline.core.strategies.base import Strategy

SCALE: Final = 0.02
"""The spread of scores: one standard deviation of a session's predictions is a score of 0.02."""


def score(
    features: pl.DataFrame,  # noqa: ARG001  # every strategy is given them; this one asks the model
    predictions: pl.DataFrame,
    bars: pl.DataFrame | None = None,  # noqa: ARG001
) -> pl.DataFrame:
    """Return (prediction − mean) / deviation · 0.02 over each session's universe.

    Where the predictions of a session do not differ, or there is one only, they are centered and
    no more. Symbols keep the order the model gives them; one without a finite prediction has no
    score. Columns: symbol, session, score, sorted by session and symbol.
    """
    # sorted first: the last digit of a mean depends on the order in which it is summed
    known = predictions.filter(pl.col("prediction").is_finite()).sort("session", "symbol")
    return known.select("symbol", "session", score=zscore("prediction") * SCALE)


def strategy() -> Strategy:
    """Return the strategy; two deviations are as sure as it gets."""
    return Strategy(score=score, unit=2 * SCALE)


def learned(base: Strategy) -> Strategy:
    """Return the strategy that believes a model of the features of `base`, instead of its rules."""
    return replace(strategy(), featurize=base.featurize, feature_look_back=base.feature_look_back)
