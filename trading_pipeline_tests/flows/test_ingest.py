import logging
import threading
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.file_data import FileData
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.core.market.restatements import current
from trading_pipeline.errors import MissingDataError, SchemaError, SettingsError
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline.flows.window import missing_sessions, with_history
from trading_pipeline_tests.factories import (
    FrameVendor,
    actions_of,
    real_delivery,
    split,
    with_close,
)
from trading_pipeline_tests.flows.market_days import (
    BARS,
    LATER,
    NOW,
    SESSIONS,
    SYMBOLS,
    both,
    files,
    frames,
    whole,
)


class Generous(FrameVendor):
    """A vendor that delivers more than it was asked for."""

    def bars(self, symbols: Sequence[str], first: date, last: date) -> pl.DataFrame:
        return self.held


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_bars_are_stored_as_delivered_with_vendor_and_time(lake: Lake) -> None:
    done = ingest_bars(lake, frames(), symbols=SYMBOLS, sessions=SESSIONS, now=NOW)
    assert (done.symbols, done.sessions, done.written) == (3, 90, 90)
    assert done.restated.is_empty()
    assert_frame_equal(whole(lake).drop("vendor", "known_at"), BARS)
    assert whole(lake)["vendor"].unique().to_list() == ["frames"]
    assert whole(lake)["known_at"].unique().to_list() == [NOW]
    assert_frame_equal(done.rows, whole(lake))


@pytest.mark.parametrize("count", [1, 90])
def test_the_same_delivery_again_changes_no_byte(lake: Lake, count: int) -> None:
    sessions = SESSIONS[-count:]
    vendor = frames(actions=actions_of(split("AAA", SESSIONS[-1], 2.0)))
    both(lake, vendor, sessions)
    before = files(lake)
    again = ingest_bars(lake, vendor, symbols=SYMBOLS, sessions=sessions, now=LATER)
    acted = ingest_actions(lake, vendor, symbols=SYMBOLS, sessions=sessions, now=LATER)
    assert files(lake) == before
    assert (again.written, acted.written, again.restated.height, acted.restated.height) == (0,) * 4


def test_a_restatement_is_kept_and_reported(lake: Lake) -> None:
    day = SESSIONS[40]
    ingest_bars(lake, frames(), symbols=SYMBOLS, sessions=SESSIONS, now=NOW)
    old = BARS.filter(pl.col("session") == day, pl.col("symbol") == "BBB").to_dicts()[0]
    vendor = frames(
        held=BARS.with_columns(
            volume=pl.when((pl.col("symbol") == "BBB") & (pl.col("session") == day))
            .then(5.0)
            .otherwise("volume")
        )
    )
    done = ingest_bars(lake, vendor, symbols=SYMBOLS, sessions=SESSIONS, now=LATER)
    assert done.restated.to_dicts() == [
        {"symbol": "BBB", "session": day, "column": "volume", "old": old["volume"], "new": 5.0}
    ]
    assert done.written == 1
    assert whole(lake).height == BARS.height + 1
    assert_frame_equal(
        current(whole(lake), as_known_at=NOW).sort("session", "symbol").drop("vendor", "known_at"),
        BARS,
    )
    newest = current(whole(lake)).filter(session=day, symbol="BBB")
    assert newest["volume"].to_list() == [5.0]


def test_only_the_sessions_that_changed_are_rewritten(lake: Lake) -> None:
    for session in SESSIONS[:4]:
        ingest_bars(lake, frames(), symbols=SYMBOLS, sessions=[session], now=NOW)
    before = files(lake)
    vendor = frames(with_close(BARS, "AAA", SESSIONS[2], 1.0))
    ingest_bars(lake, vendor, symbols=SYMBOLS, sessions=SESSIONS[:4], now=LATER)
    after = files(lake)
    assert [name for name in after if after[name] != before[name]] == [
        f"raw_bars/sessions/{SESSIONS[2]}.parquet"
    ]


def test_nothing_after_the_last_asked_session_is_asked_for(lake: Lake) -> None:
    vendor = frames()
    both(lake, vendor, [SESSIONS[3], SESSIONS[1]])
    assert max(last for _, last in vendor.asked) == SESSIONS[3]


def test_rows_that_were_not_asked_for_are_not_stored(lake: Lake) -> None:
    done = ingest_bars(
        lake, Generous(BARS), symbols=SYMBOLS, sessions=[SESSIONS[1], SESSIONS[3]], now=NOW
    )
    assert done.sessions == 2
    assert set(whole(lake)["session"]) == {SESSIONS[1], SESSIONS[3]}


def test_a_second_set_of_symbols_joins_the_first(lake: Lake) -> None:
    for symbols in (["AAA"], ["BBB", "CCC"]):
        ingest_bars(lake, frames(), symbols=symbols, sessions=SESSIONS, now=NOW)
    assert_frame_equal(whole(lake).drop("vendor", "known_at"), BARS)


def test_a_symbol_asked_for_later_gets_its_history_and_leaves_the_others(lake: Lake) -> None:
    vendor = frames()
    both(lake, vendor, SESSIONS, symbols=["AAA", "BBB"])
    last, ask = SESSIONS[-1], {"history": 90, "symbols": SYMBOLS}
    for table in ("raw_bars", "corporate_actions"):
        assert with_history(lake, table, [last], **ask) == SESSIONS
    both(lake, vendor, with_history(lake, "raw_bars", [last], **ask))
    assert_frame_equal(whole(lake).drop("vendor", "known_at"), BARS)
    for table in ("raw_bars", "corporate_actions"):
        assert with_history(lake, table, [last], **ask) == [last]
    both(lake, vendor, SESSIONS, symbols=["AAA"])
    assert whole(lake).height == BARS.height


@pytest.mark.parametrize("count", [1, 90])
def test_two_ingests_of_a_session_at_once_lose_no_restatement(lake: Lake, count: int) -> None:
    both(lake, frames(), SESSIONS)
    day = SESSIONS[-1]
    values = [float(value) for value in range(1, 9)]

    def restate(value: float) -> None:
        vendor = frames(with_close(BARS, "AAA", day, value))
        later = NOW + timedelta(days=value)
        ingest_bars(lake, vendor, symbols=SYMBOLS, sessions=SESSIONS[-count:], now=later)

    writers = [threading.Thread(target=restate, args=(value,)) for value in values]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    kept = whole(lake).filter(symbol="AAA", session=day)
    assert sorted(kept["close"])[:8] == values
    assert kept.height == 9


def test_a_session_without_bars_is_held_as_empty(lake: Lake) -> None:
    vendor = frames(BARS.filter(pl.col("session") != SESSIONS[1]))
    both(lake, vendor, SESSIONS[:3])
    assert missing_sessions(lake, "raw_bars", SESSIONS[:3]) == []
    assert lake.read("raw_bars", SESSIONS[1], SESSIONS[1]).is_empty()
    assert missing_sessions(lake, "corporate_actions", SESSIONS[:3]) == []


def test_an_unknown_symbol_is_a_settings_error_that_names_some_that_exist(lake: Lake) -> None:
    for ingest in (ingest_bars, ingest_actions):
        with pytest.raises(SettingsError, match="does not have NONE, ZZZ: it has AAA, BBB, CCC"):
            ingest(lake, frames(), symbols=["ZZZ", "AAA", "NONE"], sessions=SESSIONS, now=NOW)
    assert not lake.root.exists()


def test_a_vendor_that_cannot_list_its_symbols_is_believed(lake: Lake) -> None:
    vendor = frames(lists_symbols=False)
    done = ingest_bars(lake, vendor, symbols=["AAA", "ZZZ"], sessions=SESSIONS, now=NOW)
    assert done.rows["symbol"].unique().to_list() == ["AAA"]


def test_a_range_the_vendor_has_nothing_of_is_a_missing_data_error(lake: Lake) -> None:
    beyond = sessions_between(date(2013, 3, 4), date(2013, 3, 8))
    with pytest.raises(
        MissingDataError,
        match=r"sample has no bar of AAPL from 2013-03-04 to 2013-03-08: .* is 2013-03-01",
    ):
        ingest_bars(lake, SampleData(), symbols=["AAPL"], sessions=beyond, now=NOW)
    assert not lake.root.exists()


@pytest.mark.parametrize(
    ("sessions", "pattern"),
    [
        ([date(2012, 1, 7)], r"2012-01-07 \(Saturday\) is no session"),
        ([], "No session was asked for"),
    ],
)
def test_days_that_are_no_sessions_are_refused(
    lake: Lake, sessions: list[date], pattern: str
) -> None:
    for ingest in (ingest_bars, ingest_actions):
        with pytest.raises(SettingsError, match=pattern):
            ingest(lake, frames(), symbols=SYMBOLS, sessions=sessions, now=NOW)
    assert not lake.root.exists()


def test_no_symbols_and_a_time_without_a_zone_are_refused(lake: Lake) -> None:
    with pytest.raises(SettingsError, match="No symbol was asked for"):
        ingest_bars(lake, frames(), symbols=[], sessions=SESSIONS, now=NOW)
    with pytest.raises(SettingsError, match="has no time zone"):
        ingest_bars(
            lake, frames(), symbols=SYMBOLS, sessions=SESSIONS, now=NOW.replace(tzinfo=None)
        )
    assert not lake.root.exists()


def test_a_vendor_of_another_shape_is_refused_and_nothing_is_written(lake: Lake) -> None:
    for broken in (BARS.drop("close"), BARS.cast({"volume": pl.Int64})):
        with pytest.raises(SchemaError, match="raw_bars does not have the promised shape"):
            ingest_bars(lake, frames(broken), symbols=SYMBOLS, sessions=SESSIONS, now=NOW)
    assert not lake.root.exists()


def test_history_adds_the_sessions_before_that_are_not_held(lake: Lake) -> None:
    vendor = frames()
    ingest_bars(lake, vendor, symbols=SYMBOLS, sessions=SESSIONS[5:8], now=NOW)
    asked = with_history(lake, "raw_bars", [SESSIONS[8]], history=6)
    assert asked == [SESSIONS[3], SESSIONS[4], SESSIONS[8]]
    ingest_bars(lake, vendor, symbols=SYMBOLS, sessions=asked, now=NOW)
    assert with_history(lake, "raw_bars", [SESSIONS[8]], history=6) == [SESSIONS[8]]
    assert missing_sessions(lake, "raw_bars", SESSIONS[:10]) == [*SESSIONS[:3], SESSIONS[9]]
    assert missing_sessions(lake, "raw_bars", []) == []


def test_a_real_delivery_with_a_repeated_header_names_the_line_it_leaves_out(
    shared_data: Path, lake: Lake, tmp_path: Path
) -> None:
    vendor = FileData(real_delivery(shared_data, "20150406", tmp_path))
    done = ingest_bars(lake, vendor, symbols=["CH"], sessions=[date(2015, 4, 6)], now=NOW)
    assert (done.rows.height, done.repeated) == (3, 2)
    assert [line.partition(" has ")[2] for line in vendor.unreadable] == [
        "'date' (String) as session in row 12088: a date was expected."
    ]


def test_a_real_delivery_on_a_holiday_leaves_its_bars_out_and_says_so(
    shared_data: Path, lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vendor = FileData(real_delivery(shared_data, "20150703", tmp_path))
    symbols = sorted(vendor.symbols())
    sessions = [date(2015, 7, 2), date(2015, 7, 6)]
    with caplog.at_level(logging.WARNING, "trading_pipeline"):
        done = ingest_bars(lake, vendor, symbols=symbols, sessions=sessions, now=NOW)
    assert done.rows["session"].unique().to_list() == [date(2015, 7, 2)]
    (told,) = [vars(line) for line in caplog.records if "closed days" in line.message]
    assert (told["rows"], told["days"]) == (22, ["2015-07-03"])


def test_one_line_is_logged_an_effect(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "trading_pipeline"):
        both(lake, frames(), SESSIONS[:2])
    assert [line.message for line in caplog.records] == [
        "delivery kept",
        "delivery kept",
    ]
