"""Strategies by name; a new one is a file with a `score`, a line here and a test."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trading_pipeline.core.strategies import (
    baseline,
    ensemble,
    mean_reversion,
    momentum,
    relative_momentum,
)
from trading_pipeline.core.strategies.base import Strategy

_SINGLE: Final[Mapping[str, Strategy]] = {
    "alpha_baseline": baseline.strategy(),
    "mean_reversion": mean_reversion.strategy(),
    "momentum": momentum.strategy(),
    "relative_momentum": relative_momentum.strategy(),
}

_MEMBERS: Final = ensemble.EnsembleRules(members=tuple(_SINGLE), method="rank_average")

STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType(
    {**_SINGLE, "ensemble": ensemble.strategy(_SINGLE, _MEMBERS)}
)
"""Every strategy that can trade, by its name, with its default rules."""
