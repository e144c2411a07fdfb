"""Relative momentum: the return of the past year without its last month, compared across symbols.

Source: Jegadeesh and Titman, Returns to Buying Winners and Selling Losers, 1993 ("12-1").
"""

from collections.abc import Mapping
from functools import partial
from typing import Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_pipeline.core.strategies.base import ByRules, Strategy
from trading_pipeline.core.strategies.indicators import Values
from trading_pipeline.core.strategies.lanes import Lanes

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


def wanted(lanes: Lanes, *, rules: RelativeMomentumRules = DEFAULT) -> Values:
    """Return close[t − until] / close[t − since] − 1, to be compared within each session.

    A symbol has a score once it has `since` + 1 bars.
    """
    return _past(lanes.close, rules.since, rules.until)


def features(lanes: Lanes, *, rules: RelativeMomentumRules = DEFAULT) -> Mapping[str, Values]:
    """Return the past returns that a model learns from.

    PAST is what the score compares, HALF its later half, RECENT what the score leaves out, and
    WHOLE both together.
    """
    half = (rules.since + rules.until + 1) // 2
    return {
        "PAST": _past(lanes.close, rules.since, rules.until),
        "HALF": _past(lanes.close, half, rules.until),
        "RECENT": _past(lanes.close, max(rules.until, 1), 0),
        "WHOLE": _past(lanes.close, rules.since, 0),
    }


def strategy(rules: RelativeMomentumRules = DEFAULT) -> Strategy:
    """Return the strategy with these rules."""
    made = ByRules(
        name=NAME,
        version=VERSION,
        wanted=partial(wanted, rules=rules),
        features=partial(features, rules=rules),
        compares=True,
    )
    return made.strategy(look_back=rules.since + 1, unit=SURE)


def _past(close: Values, since: int, until: int) -> Values:
    """Return close[t − until] / close[t − since] − 1, NaN in the first `since` rows."""
    past, count = np.full_like(close, np.nan), len(close)
    if count > since:
        past[since:] = close[since - until : count - until] / close[: count - since] - 1
    return past
