"""Mean reversion: what has fallen too far is bought, what has risen too far is sold.

Four indicators vote. RSI(14) below 30, %B(20, 2) below 0, %D(14, 3) below 20 and a z-score(20)
below −2 each say buy; above 70, 1, 80 and 2, sell. The confidence is the net share of the votes.
A position lasts until the z-score comes back to 0, or until one of its exits.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_pipeline.core.strategies import indicators
from trading_pipeline.core.strategies.base import ByRules, Strategy
from trading_pipeline.core.strategies.holding import Exits, hold
from trading_pipeline.core.strategies.indicators import Values
from trading_pipeline.core.strategies.lanes import Lanes

NAME: Final = "mean_reversion"
VERSION: Final = "mean-reversion-1"
LOOK_BACK: Final = 400
"""(13/14)^400 < 1e-12: what lies before moves no smoothed value by more than rounding."""


class MeanReversionRules(BaseModel):
    """When a price is too far from its mean, and how sure one must be to act."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rsi_sessions: int = Field(default=14, ge=2, le=60, description="bars of the RSI")
    rsi_low: float = Field(default=30, ge=0, le=100, description="RSI below which it says buy")
    rsi_high: float = Field(default=70, ge=0, le=100, description="RSI above which it says sell")
    band_sessions: int = Field(default=20, ge=2, le=250, description="bars of the bands")
    band_deviations: float = Field(default=2.0, gt=0, le=10, description="width of the bands")
    stochastic_sessions: int = Field(default=14, ge=2, le=250, description="bars of %K")
    stochastic_smoothing: int = Field(default=3, ge=1, le=60, description="bars of %D")
    stochastic_low: float = Field(default=20, ge=0, le=100, description="%D that says buy")
    stochastic_high: float = Field(default=80, ge=0, le=100, description="%D that says sell")
    zscore_sessions: int = Field(default=20, ge=3, le=250, description="bars of the z-score")
    zscore_entry: float = Field(default=2.0, gt=0, le=10, description="z-score that says act")
    min_confidence: float = Field(
        default=0.6, gt=0, le=1, description="net share of the votes needed to act"
    )
    exits: Exits = Exits(stop=0.05, target=0.10, sessions=20)

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.rsi_low >= self.rsi_high or self.stochastic_low >= self.stochastic_high:
            raise ValueError("what says buy must lie below what says sell")
        return self


DEFAULT: Final = MeanReversionRules()


def wanted(lanes: Lanes, *, rules: MeanReversionRules = DEFAULT) -> Values:
    """Return the signed confidence of the position wanted at each close, 0 for none.

    A bar has a score, from −1 to 1, once all four indicators are known (20 bars with the default
    rules).
    """
    votes, away = _votes(lanes, rules), _zscore(lanes, rules)
    sure = np.where(abs(votes) >= rules.min_confidence, votes, 0.0)
    held = hold(sure, lanes.close, longs=away < 0, shorts=away > 0, exits=rules.exits)
    return np.where(np.isnan(votes), np.nan, held)


def features(lanes: Lanes, *, rules: MeanReversionRules = DEFAULT) -> Mapping[str, Values]:
    """Return the indicators that a model learns from."""
    bands, fast = _bands(lanes, rules), _stochastic(lanes, rules)
    return {
        "RSI": _rsi(lanes, rules),
        "PERCENT_B": bands.percent,
        "BAND_WIDTH": bands.width,
        "STOCHASTIC_K": fast.k,
        "STOCHASTIC_D": fast.d,
        "ZSCORE": _zscore(lanes, rules),
    }


def strategy(rules: MeanReversionRules = DEFAULT) -> Strategy:
    """Return the strategy with these rules."""
    made = ByRules(
        name=NAME,
        version=VERSION,
        wanted=partial(wanted, rules=rules),
        features=partial(features, rules=rules),
    )
    return made.strategy(look_back=LOOK_BACK)


def _votes(lanes: Lanes, rules: MeanReversionRules) -> Values:
    """Return the net share of indicators that say buy, NaN where one is not known yet."""
    entry = rules.zscore_entry
    asked = (
        (_rsi(lanes, rules), rules.rsi_low, rules.rsi_high),
        (_bands(lanes, rules).percent, 0.0, 1.0),
        (_stochastic(lanes, rules).d, rules.stochastic_low, rules.stochastic_high),
        (_zscore(lanes, rules), -entry, entry),
    )
    votes = np.zeros_like(lanes.close)
    for value, low, high in asked:
        # NaN is neither below nor above, and 0 times NaN is NaN
        votes += (value < low) - (value > high).astype(float) + 0 * value
    return votes / len(asked)


def _rsi(lanes: Lanes, rules: MeanReversionRules) -> Values:
    return lanes.of(indicators.rsi, "close", rows=rules.rsi_sessions)


def _zscore(lanes: Lanes, rules: MeanReversionRules) -> Values:
    return lanes.of(indicators.zscore, "close", rows=rules.zscore_sessions)


def _bands(lanes: Lanes, rules: MeanReversionRules) -> indicators.Bands:
    return lanes.of(
        indicators.bollinger, "close", rows=rules.band_sessions, deviations=rules.band_deviations
    )


def _stochastic(lanes: Lanes, rules: MeanReversionRules) -> indicators.Stochastic:
    return lanes.of(
        indicators.stochastic,
        "high",
        "low",
        "close",
        rows=rules.stochastic_sessions,
        smoothing=rules.stochastic_smoothing,
    )
