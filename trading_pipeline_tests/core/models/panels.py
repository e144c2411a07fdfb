"""Made-up panels of features and labels with a known amount of signal in them."""

from datetime import date

import numpy as np
import polars as pl

from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.models.dataset import Dataset, build
from trading_pipeline.core.models.rules import TrainingRules

LAST = date(2012, 12, 31)
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
NAMES = tuple(f"F{number}" for number in range(8))
SMALL = TrainingRules(train_sessions=60, valid_sessions=20, test_sessions=10, folds=2)


def sessions(count: int) -> list[date]:
    return session_window(LAST, count)


def features(
    count: int, *, seed: int = 1, names: tuple[str, ...] = NAMES, version: str = "test-1"
) -> pl.DataFrame:
    """`count` sessions of independent standard normal features; F1 has holes."""
    keys = [(symbol, session) for session in sessions(count) for symbol in SYMBOLS]
    values = np.random.default_rng(seed).standard_normal((len(keys), len(names)))
    frame = pl.DataFrame(keys, schema={"symbol": pl.String, "session": pl.Date}, orient="row")
    columns = [pl.Series(n, values[:, i], dtype=pl.Float32) for i, n in enumerate(names)]
    holes = pl.when(pl.int_range(pl.len()) % 17 == 0).then(None).otherwise(pl.col(names[1]))
    return frame.with_columns(pl.lit(version).alias("feature_version"), *columns).with_columns(
        holes.alias(names[1])
    )


def labels(frame: pl.DataFrame, *, signal: float, seed: int = 2) -> pl.DataFrame:
    """Daily returns of which the share `signal` of the standard deviation is the first feature."""
    noise = np.random.default_rng(seed).standard_normal(len(frame))
    value = signal * frame[frame.columns[3]].to_numpy() + (1 - signal) * noise
    return frame.select("symbol", "session", label=pl.Series(value * 0.02))


def dataset(count: int, *, signal: float = 0.5, seed: int = 1) -> Dataset:
    frame = features(count, seed=seed)
    return build(frame, labels(frame, signal=signal, seed=seed + 1))
