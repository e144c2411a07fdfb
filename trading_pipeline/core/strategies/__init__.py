"""Strategies by name; a new one is a file with a `score`, a line here and a test."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trading_pipeline.core.strategies import baseline
from trading_pipeline.core.strategies.base import Strategy

STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType({"alpha_baseline": baseline.score})
"""Every strategy that can trade, by its name."""
