"""Bring what a range of sessions needs into the lake, where it is not there yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Final

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.features.alpha158 import LOOK_BACK as FEATURE_LOOK_BACK
from trading_pipeline.core.market.calendar import session_window, sessions_between
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.clean import LOOK_BACK as GATE_LOOK_BACK
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.featurize import featurize
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline.flows.know import Cast
from trading_pipeline.flows.ports import MarketData
from trading_pipeline.flows.window import missing_sessions

_SLACK: Final = 1
"""Features of a session need one bar more than their look-back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where data comes from, by which rules it is judged, and what now is."""

    vendor: MarketData
    rules: GateRules
    now: datetime


def supply(
    lake: Lake, source: Source, cast: Cast, *, first: date, last: date, history: int
) -> None:
    """Ingest, clean and featurize what the sessions first…last and their past lack.

    `history` is how many sessions before `first` clean bars are needed of; features are made where
    a model that the strategy asks reads the lake's. Nothing that is held is written again.
    """
    reach = max(history, FEATURE_LOOK_BACK + _SLACK)
    asked = sessions_between(first, last)
    if not asked:
        raise SettingsError(f"There is no session from {first} to {last}.")
    bars = _window(asked, reach)
    raw = _window(asked, reach + GATE_LOOK_BACK)
    symbols = cast.symbols
    lacking = partial(missing_sessions, lake, symbols=symbols)
    for table, ingest in (("raw_bars", ingest_bars), ("corporate_actions", ingest_actions)):
        if sessions := lacking(table, raw):
            ingest(lake, source.vendor, symbols=symbols, sessions=sessions, now=source.now)
    if sessions := lacking("clean_bars", bars):
        clean(lake, symbols=symbols, sessions=sessions, rules=source.rules)
    reads = cast.strategy.needs_features or any(
        cast.among[name].featurize is None for name in cast.models
    )
    if reads and (sessions := lacking("features", asked)):
        featurize(lake, sessions=sessions, symbols=symbols, convention=cast.convention)


def _window(asked: Sequence[date], history: int) -> list[date]:
    return sorted({*session_window(asked[0], history), *asked})
