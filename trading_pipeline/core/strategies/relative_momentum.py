"""Relative momentum: the return of the past year without its last month, compared across symbols.

Source: Jegadeesh and Titman, Returns to Buying Winners and Selling Losers, 1993 ("12-1").
"""

from functools import partial
from typing import Final, Self

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_pipeline.core.features.normalize import zscore
from trading_pipeline.core.strategies.base import Strategy, require_bars
from trading_pipeline.core.strategies.lanes import lay

NAME: Final = "relative_momentum"
SURE: Final = 2.0
"""Two deviations above all others is as sure as the strategy gets."""


class RelativeMomentumRules(BaseModel):
    """Between which two past closes the return is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: int = Field(default=252, ge=2, le=1_000, description="bars back to where it begins")
    until: int = Field(default=21, ge=0, le=500, description="bars back to where it ends")

    @model_validator(mode="after")
    def _begin_first(self) -> Self:
        if self.until >= self.since:
            raise ValueError("the return must begin before it ends")
        return self


DEFAULT: Final = RelativeMomentumRules()


def score(
    features: pl.DataFrame,  # noqa: ARG001  # every strategy is given them; this one reads bars
    predictions: pl.DataFrame,  # noqa: ARG001
    bars: pl.DataFrame | None = None,
    *,
    rules: RelativeMomentumRules = DEFAULT,
) -> pl.DataFrame:
    """Return the z-score, within each session, of close[t − until] / close[t − since] − 1.

    A symbol has a score once it has `since` + 1 bars. Columns: symbol, session, score, sorted by
    session and symbol.
    """
    lanes = lay(require_bars(bars, NAME))
    past = np.full_like(lanes.close, np.nan)
    close, count = lanes.close, len(lanes.close)
    if count > rules.since:
        ended = close[rules.since - rules.until : count - rules.until]
        past[rules.since :] = ended / close[: count - rules.since] - 1
    # a bar beyond a symbol's last one has no row, whatever the shifted closes say of it
    return lanes.scores(past).select("symbol", "session", zscore("score"))


def strategy(rules: RelativeMomentumRules = DEFAULT) -> Strategy:
    """Return the strategy with these rules."""
    return Strategy(
        score=partial(score, rules=rules),
        look_back=rules.since + 1,
        needs_predictions=False,
        unit=SURE,
    )
