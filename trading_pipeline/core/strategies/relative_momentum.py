"""Relative momentum: the return of the past year without its last month, compared across symbols.

Source: Jegadeesh and Titman, Returns to Buying Winners and Selling Losers, 1993 ("12-1").
"""

from typing import Final, Self

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_pipeline.core.features.normalize import zscore
from trading_pipeline.core.strategies.base import Strategy, require_bars, rule_based
from trading_pipeline.core.strategies.indicators import Values
from trading_pipeline.core.strategies.lanes import lay

NAME: Final = "relative_momentum"
VERSION: Final = "relative-momentum-1"
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
    past = _past(lanes.close, rules.since, rules.until)
    # a bar beyond a symbol's last one has no row, whatever the shifted closes say of it
    return lanes.scores(past).select("symbol", "session", zscore("score"))


def featurize(bars: pl.DataFrame, rules: RelativeMomentumRules = DEFAULT) -> pl.DataFrame:
    """Return past returns as features of a model: Float32, null where not known yet.

    PAST is what the score compares, HALF its later half, RECENT what the score leaves out, and
    WHOLE both together.
    """
    lanes = lay(require_bars(bars, NAME))
    half = (rules.since + rules.until + 1) // 2
    columns = {
        "PAST": _past(lanes.close, rules.since, rules.until),
        "HALF": _past(lanes.close, half, rules.until),
        "RECENT": _past(lanes.close, max(rules.until, 1), 0),
        "WHOLE": _past(lanes.close, rules.since, 0),
    }
    return lanes.features(columns, VERSION)


def strategy(rules: RelativeMomentumRules = DEFAULT) -> Strategy:
    """Return the strategy with these rules."""
    return rule_based(score, featurize, rules, look_back=rules.since + 1, unit=SURE)


def _past(close: Values, since: int, until: int) -> Values:
    """Return close[t − until] / close[t − since] − 1, NaN in the first `since` rows."""
    past, count = np.full_like(close, np.nan), len(close)
    if count > since:
        past[since:] = close[since - until : count - until] / close[: count - since] - 1
    return past
