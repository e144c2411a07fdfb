"""Whether a strategy peeks: what later rows do to the scores of earlier sessions."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from trading_pipeline.core.strategies.base import Strategy


def predictions_for(bars: pl.DataFrame, seed: int = 3) -> pl.DataFrame:
    """A random prediction for each bar."""
    values = np.random.default_rng(seed).standard_normal(bars.height)
    return bars.select(
        "symbol",
        "session",
        strategy=pl.lit("alpha_baseline"),
        prediction=pl.Series(values),
        model_version=pl.lit("1"),
    )


def differences(
    strategy: Strategy, bars: pl.DataFrame, predictions: pl.DataFrame, cuts: Sequence[date]
) -> pl.DataFrame:
    """Rows of scores up to a cut that differ, in any bit, once later sessions are known too."""
    nothing = pl.DataFrame()
    whole = strategy(nothing, predictions, bars)
    found: list[pl.DataFrame] = []
    for cut in cuts:
        known = pl.col("session") <= cut
        then = strategy(nothing, predictions.filter(known), bars.filter(known))
        keys = ["symbol", "session", "score"]
        now = whole.filter(known)
        found += [now.join(then, on=keys, how="anti"), then.join(now, on=keys, how="anti")]
    return pl.concat(found).unique()


def assert_does_not_peek(
    strategy: Strategy, bars: pl.DataFrame, predictions: pl.DataFrame, cuts: Sequence[date]
) -> None:
    """Fail when the scores of any session depend on what came after it, or there are none."""
    differ = differences(strategy, bars, predictions, cuts)
    assert differ.is_empty(), f"scores change when later sessions become known: {differ.head(3)}"
    assert strategy(pl.DataFrame(), predictions, bars).height
