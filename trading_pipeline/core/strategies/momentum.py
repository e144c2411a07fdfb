"""Momentum: what rises is bought and what falls is sold, where enough indicators agree.

Five indicators are asked: the gap of two means (10 and 50 bars), MACD (12, 26, 9), the direction of
ADX(14) above 25, the rate of change over 14 bars of at least 5 percent, and on-balance volume
against its own mean. The first four must agree; the confidence is the share of the five that do. A
position lasts until the means cross back, or until one of its exits.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_pipeline.core.strategies import indicators
from trading_pipeline.core.strategies.base import ByRules, Strategy
from trading_pipeline.core.strategies.holding import Exits, hold
from trading_pipeline.core.strategies.indicators import Values
from trading_pipeline.core.strategies.lanes import Lanes

NAME: Final = "momentum"
VERSION: Final = "momentum-1"
LOOK_BACK: Final = 500
"""Smoothed twice by 13/14, what lies 500 bars back moves nothing by more than rounding."""


class MomentumRules(BaseModel):
    """What counts as a trend, and how sure one must be to follow it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fast_sessions: int = Field(default=10, ge=2, le=250, description="bars of the fast mean")
    slow_sessions: int = Field(default=50, ge=3, le=250, description="bars of the slow mean")
    macd_fast: int = Field(default=12, ge=2, le=100, description="bars of MACD's fast mean")
    macd_slow: int = Field(default=26, ge=3, le=250, description="bars of MACD's slow mean")
    macd_signal: int = Field(default=9, ge=2, le=100, description="bars of MACD's signal")
    roc_sessions: int = Field(default=14, ge=1, le=250, description="bars of the rate of change")
    min_roc: float = Field(default=5.0, ge=0, le=100, description="percent it must have moved")
    adx_sessions: int = Field(default=14, ge=2, le=60, description="bars of ADX")
    min_adx: float = Field(default=25.0, ge=0, le=100, description="ADX of a trend")
    volume_sessions: int = Field(default=20, ge=2, le=250, description="bars of the volume's mean")
    require_mean_cross: bool = Field(default=True, description="the means must agree")
    require_macd_cross: bool = Field(default=True, description="MACD must agree")
    min_confidence: float = Field(
        default=0.6, gt=0, le=1, description="share of the indicators needed to act"
    )
    exits: Exits = Exits(stop=0.05, target=0.15, sessions=60)

    @model_validator(mode="after")
    def _fast_below_slow(self) -> Self:
        if self.fast_sessions >= self.slow_sessions or self.macd_fast >= self.macd_slow:
            raise ValueError("a fast mean must have fewer bars than the slow one")
        return self


DEFAULT: Final = MomentumRules()


class Trend(NamedTuple):
    """The indicators of the strategy; gaps are shares of the slow mean or the close."""

    mean_gap: Values
    macd: indicators.Macd
    change: Values
    direction: indicators.Direction
    volume_gap: Values


def wanted(lanes: Lanes, *, rules: MomentumRules = DEFAULT) -> Values:
    """Return the signed confidence of the position wanted at each close, 0 for none.

    A bar has a score, from −1 to 1, once all five indicators are known (50 bars with the default
    rules).
    """
    trend = _trend(lanes, rules)
    entry = _entries(trend, rules)
    longs, shorts = trend.mean_gap > 0, trend.mean_gap < 0
    held = hold(entry, lanes.close, longs=longs, shorts=shorts, exits=rules.exits)
    return np.where(np.isnan(entry), np.nan, held)


def features(lanes: Lanes, *, rules: MomentumRules = DEFAULT) -> Mapping[str, Values]:
    """Return the indicators that a model learns from.

    A cross is 1 on the bar where the gap turns positive, −1 where it turns negative, else 0.
    """
    trend = _trend(lanes, rules)
    return {
        "MEAN_GAP": trend.mean_gap,
        "MEAN_CROSS": _crosses(trend.mean_gap),
        "MACD": trend.macd.line / lanes.close,
        "MACD_GAP": trend.macd.gap / lanes.close,
        "MACD_CROSS": _crosses(trend.macd.gap),
        "ROC": trend.change,
        "ADX": trend.direction.adx,
        "PLUS_DI": trend.direction.plus,
        "MINUS_DI": trend.direction.minus,
        "VOLUME_GAP": trend.volume_gap,
    }


def strategy(rules: MomentumRules = DEFAULT) -> Strategy:
    """Return the strategy with these rules."""
    made = ByRules(
        name=NAME,
        version=VERSION,
        wanted=partial(wanted, rules=rules),
        features=partial(features, rules=rules),
    )
    return made.strategy(look_back=LOOK_BACK)


def _trend(lanes: Lanes, rules: MomentumRules) -> Trend:
    macd = {"fast": rules.macd_fast, "slow": rules.macd_slow, "signal": rules.macd_signal}
    return Trend(
        mean_gap=lanes.of(_mean_gap, "close", fast=rules.fast_sessions, slow=rules.slow_sessions),
        macd=lanes.of(indicators.macd, "close", **macd),
        change=lanes.of(indicators.rate_of_change, "close", rows=rules.roc_sessions),
        direction=lanes.of(indicators.directional, "high", "low", "close", rows=rules.adx_sessions),
        volume_gap=lanes.of(_volume_gap, "close", "volume", rows=rules.volume_sessions),
    )


def _mean_gap(close: Values, *, fast: int, slow: int) -> Values:
    return indicators.mean(close, fast) / indicators.mean(close, slow) - 1


def _volume_gap(close: Values, traded: Values, *, rows: int) -> Values:
    """Return how far on-balance volume is above its mean, as a share of the mean volume."""
    volume = indicators.on_balance_volume(close, traded)
    away, usual = volume - indicators.mean(volume, rows), indicators.mean(traded, rows)
    return np.divide(away, usual, out=0 * away, where=usual > 0)


def _entries(trend: Trend, rules: MomentumRules) -> Values:
    """Return the signed share of indicators that agree where enough do, NaN where unknown."""
    direction = trend.direction
    trending = np.where(direction.adx > rules.min_adx, direction.plus - direction.minus, 0.0)
    moving = np.where(abs(trend.change) >= rules.min_roc, trend.change, 0.0)
    says = [
        np.sign(each)
        for each in (trend.mean_gap, trend.macd.gap, trending, moving, trend.volume_gap)
    ]
    must = (rules.require_mean_cross, rules.require_macd_cross, True, True, False)
    way, share = says[3].copy(), np.zeros_like(moving)
    for each, needed in zip(says, must, strict=True):
        if needed:
            way[each != way] = 0.0
    for each in says:
        share += each == way
    share /= len(says)
    unknown = np.isnan(sum(says) + direction.adx + trend.change)
    return np.where(unknown, np.nan, np.where(share >= rules.min_confidence, way * share, 0.0))


def _crosses(gap: Values) -> Values:
    """Return 1, −1 or 0; NaN on the first row that has a gap, where no change is known."""
    way = np.sign(gap)
    out = np.full_like(gap, np.nan)
    out[1:] = np.where(way[1:] == way[:-1], 0.0, way[1:] + 0 * way[:-1])
    return out
