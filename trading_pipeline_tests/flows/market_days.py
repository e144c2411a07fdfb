"""A small lake's days: what the tests of ingest and clean are about."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.sample_data import CONVENTION
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.core.market.quality import QualityRules
from trading_pipeline.flows.clean import Cleaned, GateRules, clean
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline.flows.ports import MarketData
from trading_pipeline_tests.factories import FrameVendor, random_bars, sessions_from

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
SYMBOLS = ("AAA", "BBB", "CCC")
SESSIONS = sessions_from(count=90)
BARS = random_bars(SYMBOLS, SESSIONS)
RULES = GateRules(quality=QualityRules(), freshness=FreshnessRules(), convention=CONVENTION)


def frames(held: pl.DataFrame = BARS, **more: Any) -> FrameVendor:
    return FrameVendor(held=held, **more)


def both(
    lake: Lake, vendor: MarketData, sessions: Sequence[date], *, symbols: Sequence[str] = SYMBOLS
) -> None:
    ingest_bars(lake, vendor, symbols=symbols, sessions=sessions, now=NOW)
    ingest_actions(lake, vendor, symbols=symbols, sessions=sessions, now=NOW)


def cleaned(lake: Lake, sessions: Sequence[date], *, symbols: Sequence[str] = SYMBOLS) -> Cleaned:
    return clean(
        lake,
        symbols=symbols,
        sessions=sessions,
        rules=RULES,
    )


def whole(lake: Lake, table: str = "raw_bars") -> pl.DataFrame:
    return lake.read(table, SESSIONS[0], SESSIONS[-1])


def files(lake: Lake) -> dict[str, bytes]:
    return {
        str(path.relative_to(lake.root)): path.read_bytes() for path in lake.root.rglob("*.parquet")
    }
