import logging
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trading_pipeline.adapters.file_data import FileData
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.watch import WATCHES
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.flows.clean import LOOK_BACK
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline_tests.factories import (
    actions_of,
    dividend,
    random_bars,
    real_delivery,
    sessions_from,
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
    cleaned,
    files,
    frames,
    whole,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_clean_and_quarantined_bars_are_the_raw_bars(lake: Lake) -> None:
    held = with_close(with_close(BARS, "AAA", SESSIONS[50], -1.0), "BBB", SESSIONS[60], 900.0)
    both(lake, frames(held), SESSIONS)
    done = cleaned(lake, SESSIONS)
    assert done.quarantined.select("symbol", "session").rows() == [
        ("AAA", SESSIONS[50]),
        ("BBB", SESSIONS[60]),
    ]
    assert done.quarantined["reason"].to_list() == [
        "non_positive_price; open_close_outside_range",
        "suspect_move_8.16; reverted",
    ]
    together = pl.concat([done.clean, done.quarantined.drop("reason")])
    assert_frame_equal(together.sort("session", "symbol"), held)
    assert_frame_equal(whole(lake, "clean_bars"), done.clean)
    assert_frame_equal(whole(lake, "quarantined_bars"), done.quarantined)


def test_a_range_is_cleaned_as_each_of_its_sessions_alone(tmp_path: Path) -> None:
    held = with_close(with_close(BARS, "AAA", SESSIONS[75], 20.0), "BBB", SESSIONS[80], 900.0)
    vendor = frames(
        held=held.filter(~((pl.col("symbol") == "CCC") & pl.col("session").is_in(SESSIONS[3:77]))),
        actions=actions_of(split("AAA", SESSIONS[75], 4.0), dividend("CCC", SESSIONS[82], 1.0)),
    )
    at_once, one_by_one = Lake(tmp_path / "range"), Lake(tmp_path / "single")
    for lake in (at_once, one_by_one):
        both(lake, vendor, SESSIONS)
    part = SESSIONS[72:88]
    range_of = cleaned(at_once, part)
    singles = {session: cleaned(one_by_one, [session]) for session in part}
    for table in ("clean_bars", "quarantined_bars"):
        assert_frame_equal(whole(at_once, table), whole(one_by_one, table))
    assert not whole(at_once, "quarantined_bars").is_empty()
    for session, single in singles.items():
        assert single.outcomes[session] == range_of.outcomes[session]


def test_later_bars_and_actions_change_no_verdict(tmp_path: Path) -> None:
    vendor = frames(
        held=with_close(BARS, "AAA", SESSIONS[70], 20.0),
        actions=actions_of(split("BBB", SESSIONS[80], 3.0)),
    )
    known, all_of_it = Lake(tmp_path / "known"), Lake(tmp_path / "all")
    both(known, vendor, SESSIONS[:71])
    both(all_of_it, vendor, SESSIONS)
    one, other = cleaned(known, [SESSIONS[70]]), cleaned(all_of_it, [SESSIONS[70]])
    assert_frame_equal(one.clean, other.clean)
    assert_frame_equal(one.quarantined, other.quarantined)
    assert dict(one.outcomes) == dict(other.outcomes)


def test_a_restated_bar_is_judged_as_it_is_known_now(lake: Lake) -> None:
    both(lake, frames(with_close(BARS, "AAA", SESSIONS[50], 900.0)), SESSIONS)
    assert cleaned(lake, SESSIONS[50:51]).quarantined.height == 1
    ingest_bars(lake, frames(), symbols=SYMBOLS, sessions=SESSIONS, now=LATER)
    done = cleaned(lake, SESSIONS[50:51])
    assert done.quarantined.is_empty()
    assert_frame_equal(done.clean, BARS.filter(pl.col("session") == SESSIONS[50]))


def test_cleaning_again_changes_no_byte(lake: Lake) -> None:
    both(lake, frames(), SESSIONS)
    cleaned(lake, SESSIONS)
    before = files(lake)
    cleaned(lake, SESSIONS)
    assert files(lake) == before


@pytest.mark.parametrize("table", ["raw_bars", "corporate_actions"])
def test_what_was_not_ingested_cannot_be_cleaned(lake: Lake, table: str) -> None:
    ingest: Callable[..., object] = ingest_actions if table == "raw_bars" else ingest_bars
    ingest(lake, frames(), symbols=SYMBOLS, sessions=SESSIONS[:2], now=NOW)
    with pytest.raises(MissingDataError, match=f"{table} of {SESSIONS[1]} is not held: ingest it"):
        cleaned(lake, SESSIONS[1:2])
    assert not (lake.root / "clean_bars").exists()


def test_a_missing_bar_fails_coverage_and_freshness_with_its_symbol(lake: Lake) -> None:
    gone = (pl.col("symbol") == "BBB") & (pl.col("session") == SESSIONS[9])
    both(lake, frames(BARS.filter(~gone)), SESSIONS[:12])
    outcomes = cleaned(lake, SESSIONS[:12]).outcomes
    verdicts = {outcome.name: outcome for outcome in outcomes[SESSIONS[9]]}
    assert list(verdicts) == ["coverage", "quarantine", "freshness", *WATCHES]
    assert not verdicts["coverage"].passed
    assert "BBB" in verdicts["coverage"].sentence
    assert not verdicts["freshness"].passed
    assert f"BBB (last bar {SESSIONS[8]}, 1 behind)" in verdicts["freshness"].sentence
    around = outcomes[SESSIONS[8]] + outcomes[SESSIONS[10]]
    assert [outcome.name for outcome in around if not outcome.passed] == ["missing_sessions"]


def test_a_stock_is_expected_from_its_listing_until_it_is_long_gone(lake: Lake) -> None:
    sessions = sessions_from(count=LOOK_BACK + 20)
    listed, delisted = sessions[4], sessions[9]
    held = random_bars(["AAA", "BBB"], sessions)
    new = (pl.col("symbol") == "AAA") | pl.col("session").is_between(listed, delisted)
    both(lake, frames(held.filter(new)), sessions, symbols=["AAA", "BBB"])
    outcomes = cleaned(lake, sessions, symbols=["AAA", "BBB"]).outcomes
    checks = outcomes.of(sessions)
    expected = [checks[session][0].numbers["expected"] for session in sessions]
    last = sessions.index(delisted) + LOOK_BACK
    assert expected == [1.0] * 4 + [2.0] * (last - 3) + [1.0] * (len(sessions) - last - 1)
    passed = [checks[session][0].passed for session in sessions]
    assert passed == [True] * 10 + [False] * (last - 9) + [True] * (len(sessions) - last - 1)


def test_a_session_without_any_bar_fails_its_checks(lake: Lake) -> None:
    both(lake, frames(BARS.filter(pl.col("session") != SESSIONS[0])), SESSIONS[:2])
    outcomes = cleaned(lake, SESSIONS[:1]).outcomes
    assert [outcome.name for outcome in outcomes[SESSIONS[0]] if outcome.stops_the_day] == [
        "coverage",
        "freshness",
    ]


def test_outcomes_are_of_the_asked_sessions_only(lake: Lake) -> None:
    both(lake, frames(), SESSIONS[:3])
    outcomes = cleaned(lake, [SESSIONS[0], SESSIONS[2]]).outcomes
    assert list(outcomes) == [SESSIONS[0], SESSIONS[2]]
    with pytest.raises(KeyError):
        outcomes[SESSIONS[1]]


def test_a_real_partial_delivery_fails_coverage(
    shared_data: Path, lake: Lake, tmp_path: Path
) -> None:
    vendor = FileData(real_delivery(shared_data, "20160901", tmp_path))
    symbols = sorted(vendor.symbols())
    sessions = [date(2016, 8, 31), date(2016, 9, 1)]
    both(lake, vendor, sessions, symbols=symbols)
    coverage = cleaned(lake, sessions, symbols=symbols).outcomes[sessions[1]][0]
    assert not coverage.passed
    assert coverage.numbers["expected"] > 2_900


def test_a_day_that_is_no_session_is_not_cleaned(lake: Lake) -> None:
    with pytest.raises(SettingsError, match=r"2012-01-07 \(Saturday\) is no session"):
        cleaned(lake, [date(2012, 1, 7)])
    assert not lake.root.exists()


def test_the_gate_logs_one_line(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    both(lake, frames(), SESSIONS[:2])
    with caplog.at_level(logging.INFO, "trading_pipeline"):
        cleaned(lake, SESSIONS[:2])
    (line,) = caplog.records
    assert (line.message, vars(line)["clean"], vars(line)["quarantined"]) == ("bars gated", 6, 0)


def test_bars_of_a_symbol_that_was_not_ingested_cannot_be_cleaned(lake: Lake) -> None:
    both(lake, frames(), SESSIONS[:2], symbols=["AAA", "BBB"])
    with pytest.raises(MissingDataError, match=r"is not held: ingest it first for AAA, BBB, CCC\."):
        cleaned(lake, SESSIONS[:2])


def test_cleaning_one_symbol_leaves_the_others_rows(lake: Lake) -> None:
    both(lake, frames(), SESSIONS[:2])
    cleaned(lake, SESSIONS[:2])
    before = whole(lake, "clean_bars")
    cleaned(lake, SESSIONS[:2], symbols=["BBB"])
    assert_frame_equal(whole(lake, "clean_bars"), before)


def test_one_of_five_symbols_may_be_missing_and_two_may_not(lake: Lake) -> None:
    names = ["AAA", "BBB", "CCC", "DDD", "EEE"]
    bars = random_bars(names, SESSIONS[:4])
    for missing, passes in ((["EEE"], True), (["DDD", "EEE"], False)):
        gone = pl.col("symbol").is_in(missing) & (pl.col("session") == SESSIONS[2])
        vendor = frames(bars.filter(~gone))
        place = Lake(lake.root / str(len(missing)))
        both(place, vendor, SESSIONS[:4], symbols=names)
        verdicts = cleaned(place, SESSIONS[:4], symbols=names).outcomes[SESSIONS[2]]
        assert [outcome.passed for outcome in verdicts[:3]] == [passes, True, passes]
