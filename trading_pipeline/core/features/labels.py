"""Labels: the return that a model learns to predict, known only afterward."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

import polars as pl

from trading_pipeline.core.features.panel import fill

Timing = Literal["open_to_open", "close_to_close"]
"""Between which prices of the next two sessions a position is held."""

LABEL_HORIZON = 2
"""Sessions after its own that a label reaches into the future."""


def label(
    bars: pl.DataFrame,
    timing: Timing = "open_to_open",
    *,
    sessions: Sequence[date] | None = None,
) -> pl.DataFrame:
    """Return price(t+2) / price(t+1) - 1 for every session t: decided after the close of t.

    `open_to_open` buys at the next open and sells at the one after, as the platform trades;
    `close_to_close` is qlib's LABEL0. `bars` are adjusted and of any order; t+1 and t+2 are rows of
    the axis `sessions`, by default the sessions of the exchange. Columns symbol, session, label;
    rows are those of the features, and a label is null where either price is not known.
    """
    price = "open" if timing == "open_to_open" else "close"
    filled = fill(bars, fields=(price,), sessions=sessions)
    later, next_one = pl.col(price).shift(-LABEL_HORIZON), pl.col(price).shift(-1)
    held = (later / next_one - 1).over("symbol")
    return filled.select("symbol", "session", label=held).sort("session", "symbol")
