"""Suspect bars and odd announcements, and what became of them."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.core.market.calendar import next_session, previous_session, sessions_between
from trading_pipeline.flows.clean import clean
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars
from trading_pipeline.flows.quarantine import Word, say
from trading_pipeline_tests.factories import (
    actions_of,
    bars_of,
    dividend,
    sessions_from,
    split,
    with_close,
)
from trading_pipeline_tests.flows.market_days import (
    BARS,
    LATER,
    NOW,
    RULES,
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


def test_the_true_crash_of_the_sample_is_suspect_and_then_confirmed(lake: Lake) -> None:
    sample = SampleData()
    crash = date(2000, 9, 29)
    sessions = sessions_between(previous_session(crash), date(2000, 10, 3))
    ask = {"symbols": ["AAPL", "IBM", "MSFT"], "sessions": sessions, "now": NOW}
    ingest_bars(lake, sample, **ask)
    ingest_actions(lake, sample, **ask)
    done = clean(
        lake,
        symbols=["AAPL", "IBM", "MSFT"],
        sessions=sessions,
        rules=RULES,
    )
    assert done.quarantined.select("symbol", "session", "reason").rows() == [
        ("AAPL", crash, "suspect_move_0.52")
    ]
    assert done.clean.filter(symbol="AAPL")["session"].to_list() == sessions
    said = lake.read("bar_verdicts", crash, crash).select("symbol", "verdict", "decided_in")
    assert said.rows() == [("AAPL", "confirmed", next_session(crash))]


def test_a_bad_tick_in_the_look_back_is_seen_from_a_single_session(lake: Lake) -> None:
    closes = [100.0] * 5 + [200.0, 100.0]
    vendor = frames(bars_of({"AAA": closes}))
    sessions = sessions_from(count=7)
    both(lake, vendor, sessions, symbols=["AAA"])
    reasons = [cleaned(lake, [day], symbols=["AAA"]).quarantined["reason"] for day in sessions]
    assert [list(of_session) for of_session in reasons] == [*[[]] * 5, ["suspect_move_1.00"], []]
    assert whole(lake, "clean_bars")["session"].to_list() == [*sessions[:5], sessions[6]]
    reason = whole(lake, "quarantined_bars")["reason"].to_list()
    assert reason == ["suspect_move_1.00; reverted"]


def test_what_became_of_a_bar_is_remembered_when_its_session_is_cleaned_again(lake: Lake) -> None:
    both(
        lake, frames(bars_of({"AAA": [100.0] * 5 + [200.0, 100.0]})), SESSIONS[:7], symbols=["AAA"]
    )
    for day in SESSIONS[:7]:
        cleaned(lake, [day], symbols=["AAA"])
    before = files(lake)
    for day in reversed(SESSIONS[:7]):
        cleaned(lake, [day], symbols=["AAA"])
    assert files(lake) == before


def test_a_session_as_it_was_known_then_has_the_bytes_it_had(tmp_path: Path) -> None:
    then, now = Lake(tmp_path / "then"), Lake(tmp_path / "now")
    spike = with_close(BARS, "AAA", SESSIONS[78], 900.0)
    for lake in (then, now):
        both(lake, frames(spike), SESSIONS)
    cleaned(then, SESSIONS[75:80])
    cleaned(now, SESSIONS[75:80])
    ingest_bars(now, frames(), symbols=SYMBOLS, sessions=SESSIONS, now=LATER)
    say(now, "BBB", SESSIONS[76], Word(verdict="rejected", by="ann", reason="odd", at=LATER))
    cleaned(now, SESSIONS[75:80])
    assert whole(now, "clean_bars").height == 14
    assert not whole(then, "clean_bars").equals(whole(now, "clean_bars"))
    known_then = replace(RULES, as_known_at=NOW)
    clean(now, symbols=SYMBOLS, sessions=SESSIONS[75:80], rules=known_then)
    for table in ("clean_bars", "quarantined_bars"):
        assert {name: held for name, held in files(now).items() if name.startswith(table)} == {
            name: held for name, held in files(then).items() if name.startswith(table)
        }


def test_a_split_announced_a_day_early_is_reported_and_not_applied(lake: Lake) -> None:
    closes = [700.0] * 6 + [702.6, 704.0, 101.0, 102.0]
    early, real = SESSIONS[7], SESSIONS[8]
    vendor = frames(
        bars_of({"AAA": closes, "BBB": [5.0] * 10}),
        actions=actions_of(split("AAA", early, 7.0), split("AAA", real, 7.0)),
    )
    both(lake, vendor, SESSIONS[:10], symbols=["AAA", "BBB"])
    for session in SESSIONS[:10]:
        done = cleaned(lake, [session], symbols=["AAA", "BBB"])
        assert done.quarantined.is_empty()
        assert done.clean.height == 2
    checks = whole(lake, "action_checks")
    assert checks.select("session", "announced", "verdict").rows() == [
        (early, 7.0, "contradicted"),
        (real, 7.0, "agrees"),
    ]
    assert cleaned(lake, SESSIONS[:10], symbols=["AAA", "BBB"]).action_checks.equals(checks)


def test_a_dividend_larger_than_the_price_does_not_stop_the_day(lake: Lake) -> None:
    vendor = frames(BARS, actions=actions_of(dividend("AAA", SESSIONS[5], 5_000.0)))
    both(lake, vendor, SESSIONS[:10])
    done = cleaned(lake, SESSIONS[:10])
    assert done.quarantined.is_empty()
    assert done.action_checks["verdict"].to_list() == ["contradicted"]
