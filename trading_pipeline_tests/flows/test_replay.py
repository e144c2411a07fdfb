"""Original deliveries of a real free feed, replayed in order as a daily feed.

The golden file is what `replay` returns; each defect in it was looked up in the deliveries by hand.
"""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_pipeline.adapters.file_data import FileData
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import is_session
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.core.market.quality import QualityRules
from trading_pipeline.errors import SchemaError
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline_tests.factories import ACTIONS, FrameVendor, real_delivery

GOLDEN = Path(__file__).parents[1] / "golden" / "real_feed.json"
RULES = GateRules(quality=QualityRules(), freshness=FreshnessRules(), convention="yahoo")
FIRST, LAST = date(2015, 3, 20), date(2016, 9, 2)


def announced(events: pl.DataFrame, day: date) -> pl.DataFrame:
    """What the feed's adjusted closes said on a day: a ratio from 1.2 on is read as a split."""
    ratio = pl.col("close_over_adj")
    is_split = (ratio >= 1.2) | (ratio <= 1 / 1.2)
    return events.filter(crawl_date=day).select(
        "symbol",
        "ex_date",
        kind=pl.when(is_split).then(pl.lit("split")).otherwise(pl.lit("dividend")),
        split_ratio=pl.when(is_split).then(ratio).otherwise(1.0),
        dividend=pl.when(is_split).then(0.0).otherwise(pl.max_horizontal("close_minus_adj", 0.0)),
    )


class Feed:
    """The feed over time, and everything it ever listed."""

    def __init__(self, shared_data: Path, folder: Path) -> None:
        self.lake = Lake(folder / "lake")
        self._shared, self._folder = shared_data, folder
        self._events = pl.read_parquet(shared_data / "pystock_events.parquet")
        self._listed: set[str] = set()

    def take(self, day: date) -> dict[str, Any]:
        """Ingest and clean one delivery, and say what was found in it."""
        vendor = FileData(real_delivery(self._shared, f"{day:%Y%m%d}", self._folder))
        try:
            self._listed |= vendor.symbols()
        except SchemaError as error:
            return {"refused": str(error).partition(" has ")[2]}
        bars = vendor.bars(sorted(self._listed), FIRST, LAST)
        sessions = [each for each in sorted(set(bars["session"])) if is_session(each)]
        now = datetime.combine(day, time(23), UTC)
        feed = FrameVendor(bars, announced(self._events, day), lists_symbols=False, name="feed")
        ask = {"symbols": sorted(self._listed), "sessions": sessions, "now": now}
        done = ingest_bars(self.lake, feed, **ask)
        ingest_actions(self.lake, feed, **ask, complete=False)
        strays = bars.filter(~pl.col("session").is_in(sessions)).height
        judged = clean(self.lake, symbols=ask["symbols"], sessions=sessions[-1:], rules=RULES)
        _check_that_no_bar_is_lost(self.lake, sessions[-1])
        return {
            "rows": done.rows.height,
            "rows_on_closed_days": strays,
            "session": str(sessions[-1]),
            "restated": _counts(done.restated["column"]),
            "clean": judged.clean.height,
            "quarantined": _counts(judged.quarantined["reason"].str.replace(r"_\d.*", "")),
            "earlier_suspects": _counts(_settled(self.lake, sessions[-1])),
            "actions": _counts(judged.action_checks["verdict"]),
            "failed": [found.name for found in judged.outcomes[sessions[-1]] if not found.passed],
        }


def _settled(lake: Lake, session: date) -> pl.Series:
    """What the bars of a session said of the suspects before them."""
    return lake.read("bar_verdicts", FIRST, LAST).filter(decided_in=session)["verdict"]


def _counts(values: pl.Series) -> Mapping[str, int]:
    return dict(sorted(Counter(values.to_list()).items()))


@pytest.fixture(scope="module")
def days(shared_data: Path) -> list[date]:
    names = sorted(path.name[:8] for path in (shared_data / "pystock_raw").glob("*.tar.gz"))
    return [datetime.strptime(name, "%Y%m%d").date() for name in names]


def test_each_defect_of_a_real_feed_is_caught_by_name(
    shared_data: Path,
    tmp_path: Path,
    days: list[date],
) -> None:
    feed = Feed(shared_data, tmp_path)
    found = {str(day): feed.take(day) for day in days}
    assert found == json.loads(GOLDEN.read_text())
    _check_the_split_that_came_early(feed.lake)


def _check_the_split_that_came_early(lake: Lake) -> None:
    """NFLX was split 7 for 1 on 2015-07-15, and announced for 07-14 as well."""
    ask = {"symbols": ["NFLX"]}
    checks = lake.read("action_checks", date(2015, 7, 13), date(2015, 7, 16), **ask)
    assert checks.select("session", "verdict").rows() == [
        (date(2015, 7, 14), "contradicted"),
        (date(2015, 7, 15), "agrees"),
    ]
    kept = lake.read("clean_bars", date(2015, 7, 13), date(2015, 7, 16), **ask)
    assert kept["session"].to_list() == [date(2015, 7, day) for day in (13, 14, 15, 16)]


def _check_that_no_bar_is_lost(lake: Lake, session: date) -> None:
    raw = lake.read("raw_bars", session, session).unique(["symbol", "session"])
    keys = [lake.read(table, session, session) for table in ("clean_bars", "quarantined_bars")]
    together = pl.concat(frame.select("symbol", "session") for frame in keys).unique()
    assert together.height == raw.height


def test_the_events_read_as_actions_have_their_shape(shared_data: Path) -> None:
    events = pl.read_parquet(shared_data / "pystock_events.parquet")
    assert announced(events, date(2015, 7, 15)).schema == ACTIONS
