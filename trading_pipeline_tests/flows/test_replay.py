"""Original deliveries of a real free feed, replayed in order as a daily feed.

The golden file pins what `Feed.take` finds in each; the tests beside it name the defects that were
known of the deliveries before, and the rule that catches each.
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
from trading_pipeline.core.market.action_kinds import ACTIONS, completed
from trading_pipeline.core.market.announcements import compare
from trading_pipeline.core.market.calendar import is_session, previous_session
from trading_pipeline.core.market.corporate_actions import on_sessions
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.core.market.quality import QualityRules, gate
from trading_pipeline.core.market.verdicts import suspended
from trading_pipeline.errors import SchemaError
from trading_pipeline.flows.clean import GateRules, clean
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline_tests.factories import FrameVendor, bars_of

GOLDEN = Path(__file__).parents[1] / "golden" / "real_feed.json"
RULES = GateRules(quality=QualityRules(), freshness=FreshnessRules(), convention="yahoo")
FIRST, LAST = date(2015, 3, 20), date(2016, 9, 2)


def announced(events: pl.DataFrame, day: date) -> pl.DataFrame:
    """What the feed's adjusted closes said on a day: a ratio from 1.2 on is read as a split."""
    ratio = pl.col("close_over_adj")
    is_split = (ratio >= 1.2) | (ratio <= 1 / 1.2)
    told = events.filter(crawl_date=day).select(
        "symbol",
        "ex_date",
        kind=pl.when(is_split).then(pl.lit("split")).otherwise(pl.lit("dividend")),
        split_ratio=pl.when(is_split).then(ratio).otherwise(1.0),
        dividend=pl.when(is_split).then(0.0).otherwise(pl.max_horizontal("close_minus_adj", 0.0)),
    )
    return completed(told)


class Feed:
    """The feed over time, and everything it ever listed."""

    def __init__(self, shared_data: Path, folder: Path) -> None:
        self.lake = Lake(folder / "lake")
        self._shared, self._mapping = shared_data, folder / "mapping.toml"
        self._mapping.write_text('member = "prices.csv"')
        self._events = pl.read_parquet(shared_data / "pystock_events.parquet")
        self._listed: set[str] = set()

    def take(self, day: date) -> dict[str, Any]:
        """Ingest and clean one delivery, and say what was found in it."""
        delivery = self._shared / "pystock_raw" / f"{day:%Y%m%d}.tar.gz"
        vendor = FileData(delivery, self._mapping)
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
            "unreadable": len(vendor.unreadable),
            "rows": done.rows.height,
            "rows_on_closed_days": strays,
            "session": str(sessions[-1]),
            "repeated": done.repeated,
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


@pytest.fixture(scope="module")
def fed(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory, days: list[date]
) -> tuple[Lake, dict[str, dict[str, Any]]]:
    """The lake after all deliveries, and what was found in each."""
    feed = Feed(shared_data, tmp_path_factory.mktemp("feed"))
    return feed.lake, {str(day): feed.take(day) for day in days}


Fed = tuple[Lake, dict[str, dict[str, Any]]]


def test_what_is_found_in_each_delivery_is_what_was_found_before(fed: Fed) -> None:
    assert fed[1] == json.loads(GOLDEN.read_text())


def test_a_header_repeated_inside_a_file_is_one_unreadable_line(fed: Fed) -> None:
    assert fed[1]["2015-04-06"]["unreadable"] == 1


def test_a_delivery_written_three_times_counts_once(fed: Fed) -> None:
    """Of 36,192 rows about two in three repeat another one; every symbol is judged once."""
    found = fed[1]["2015-04-06"]
    assert found["repeated"] / found["rows"] == pytest.approx(2 / 3, abs=0.001)
    clean = fed[0].read("clean_bars", date(2015, 4, 6), date(2015, 4, 6))
    assert clean.n_unique("symbol") == clean.height == found["clean"]


def test_copies_that_differ_are_quarantined_as_duplicates(fed: Fed) -> None:
    aside = fed[0].read("quarantined_bars", date(2015, 4, 6), date(2015, 4, 6))
    copies = aside.filter(pl.col("reason").str.contains("duplicate"))
    assert copies.height == fed[1]["2015-04-06"]["quarantined"]["duplicate"]
    assert copies.unique().height > copies.n_unique("symbol")


def test_a_delivery_on_a_holiday_is_of_the_session_before(fed: Fed) -> None:
    found = fed[1]["2015-07-03"]
    assert (found["session"], found["rows_on_closed_days"]) == ("2015-07-02", 22)
    assert fed[0].read("raw_bars", date(2015, 7, 3), date(2015, 7, 3)).is_empty()


def test_a_partial_delivery_blocks_the_day(fed: Fed) -> None:
    assert {"coverage", "freshness"} <= set(fed[1]["2016-09-01"]["failed"])
    assert fed[1]["2016-09-02"]["failed"] == ["suspects"]


def test_a_session_without_a_delivery_of_its_own_comes_with_the_next(fed: Fed) -> None:
    seventh = date(2015, 4, 7)
    bars = fed[0].read("raw_bars", seventh, seventh)
    assert {moment.date() for moment in bars["known_at"]} == {date(2015, 4, 8)}
    assert bars.height > 6_000


def test_volumes_restated_between_two_deliveries_are_reported_and_kept(fed: Fed) -> None:
    assert set(fed[1]["2015-03-24"]["restated"]) == {"volume"}
    day = date(2015, 3, 23)
    rows = fed[0].read("raw_bars", day, day)
    assert rows.height - rows.n_unique("symbol") >= fed[1]["2015-03-24"]["restated"]["volume"]


def test_a_split_announced_a_day_early_is_not_applied(fed: Fed) -> None:
    """NFLX was split 7 for 1 on 2015-07-15, and announced for 07-14 as well."""
    ask = {"symbols": ["NFLX"]}
    checks = fed[0].read("action_checks", date(2015, 7, 13), date(2015, 7, 16), **ask)
    assert checks.select("session", "verdict").rows() == [
        (date(2015, 7, 14), "contradicted"),
        (date(2015, 7, 15), "agrees"),
    ]
    kept = fed[0].read("clean_bars", date(2015, 7, 13), date(2015, 7, 16), **ask)
    assert kept["session"].to_list() == [date(2015, 7, day) for day in (13, 14, 15, 16)]


def test_splits_whole_and_odd_agree_with_the_price_and_leave_no_suspect(fed: Fed) -> None:
    """GPT 1 for 4, SBUX, KR and CHD 2 for 1: each on the day the feed announced it."""
    known = (
        ("GPT", date(2015, 3, 23)),
        ("SBUX", date(2015, 4, 9)),
        ("KR", date(2015, 7, 14)),
        ("CHD", date(2016, 9, 2)),
    )
    for symbol, day in known:
        checks = fed[0].read("action_checks", day, day, symbols=[symbol])
        assert checks["verdict"].to_list() == ["agrees"]
        assert fed[0].read("clean_bars", day, day, symbols=[symbol]).height == 1
        assert fed[0].read("quarantined_bars", day, day, symbols=[symbol]).is_empty()


def test_a_split_that_the_price_does_not_follow_is_not_applied(fed: Fed) -> None:
    """BIP, 3 for 2 as of 2016-09-01 by the feed, where the price stood still."""
    day = date(2016, 9, 1)
    (check,) = fed[0].read("action_checks", day, day, symbols=["BIP"]).to_dicts()
    assert check["verdict"] == "contradicted"
    assert check["announced"] == pytest.approx(1.5)
    assert check["moved"] == pytest.approx(1, abs=0.01)


def test_no_suspect_of_the_feed_is_taken_for_an_error_that_was_none(fed: Fed) -> None:
    """Looked through by hand: MILL fell from 0.35 to 0.21 on 2.9 million shares, and traded on."""
    said = fed[0].read("bar_verdicts", FIRST, LAST)
    assert set(said["verdict"]) == {"confirmed"}
    day = date(2015, 7, 14)
    assert fed[0].read("clean_bars", day, day, symbols=["MILL"])["close"].to_list() == [0.21]


@pytest.mark.parametrize(
    ("symbol", "day"),
    [
        ("CSB", date(2015, 7, 14)),  # 10.10 becomes 318.80: another security
        ("CSB", date(2015, 7, 16)),  # and back again
        ("AXPW", date(2015, 7, 14)),  # 0.09 becomes 2.66: a reverse split nobody announced
        ("MPET", date(2015, 7, 13)),  # 0.35 becomes 2.13: another one
    ],
)
def test_another_price_level_under_a_symbol_is_suspect_on_its_day(
    fed: Fed, symbol: str, day: date
) -> None:
    aside = fed[0].read("quarantined_bars", day, day, symbols=[symbol])
    assert suspended(aside) == [symbol]
    assert fed[0].read("clean_bars", day, day, symbols=[symbol]).height == 1


def test_two_securities_under_one_symbol_are_set_aside_together(fed: Fed) -> None:
    """ITEK, SSE and TCO came twice on 2015-04-06, with prices of different securities."""
    day = date(2015, 4, 6)
    aside = fed[0].read("quarantined_bars", day, day, symbols=["ITEK", "SSE", "TCO"])
    assert aside["reason"].to_list() == ["duplicate"] * 6
    span = aside.group_by("symbol").agg(ratio=pl.col("close").max() / pl.col("close").min())
    assert span["ratio"].min() > 3


def test_spin_offs_given_as_odd_ratios_make_prices_comparable(shared_data: Path) -> None:
    """BAX 1.841 and EBAY 2.376: the next close is the one before over the ratio, and no suspect."""
    events = pl.read_parquet(shared_data / "pystock_events.parquet")
    for symbol, ex_date, ratio in (
        ("BAX", date(2015, 7, 1), 1.841),
        ("EBAY", date(2015, 7, 20), 2.376),
    ):
        told = announced(events, ex_date).filter(symbol=symbol)
        assert told["split_ratio"].item() == pytest.approx(ratio, rel=1e-6)
        before = events.filter(symbol=symbol, crawl_date=ex_date)["close"].item()
        bars = bars_of({symbol: [before, before / ratio * 1.01]}, first=previous_session(ex_date))
        assert gate(bars, told, RULES.quality, convention="yahoo").suspects.is_empty()
        checks = compare(bars, on_sessions(told))
        assert checks["verdict"].to_list() == ["agrees"]


def test_flat_series_of_dead_companies_are_named(fed: Fed) -> None:
    """Of five sessions in a row, four of them with a delivery."""
    assert "stale_series" in fed[1]["2015-07-16"]["failed"]


def _check_that_no_bar_is_lost(lake: Lake, session: date) -> None:
    raw = lake.read("raw_bars", session, session).unique(["symbol", "session"])
    keys = [lake.read(table, session, session) for table in ("clean_bars", "quarantined_bars")]
    together = pl.concat(frame.select("symbol", "session") for frame in keys).unique()
    assert together.height == raw.height


def test_the_events_read_as_actions_have_their_shape(shared_data: Path) -> None:
    events = pl.read_parquet(shared_data / "pystock_events.parquet")
    assert announced(events, date(2015, 7, 15)).schema == ACTIONS
