"""Freshness, symbol by symbol."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.freshness import (
    FreshnessRules,
    check_freshness,
    minutes_old,
    require_fresh,
    sessions_behind,
)
from trading_pipeline.errors import SettingsError, StaleDataError
from trading_pipeline_tests.factories import bars_of, sessions_from

RULES = FreshnessRules()
NOW = datetime(2012, 1, 9, 15, 0, tzinfo=UTC)
DAYS = sessions_from(count=6)


def _ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def test_age_is_counted_in_sessions_not_in_days() -> None:
    bars = bars_of({"A": [1.0, 1.0, 1.0, 1.0]})
    assert (DAYS[3], DAYS[4]) == (date(2012, 1, 6), date(2012, 1, 9))
    found = sessions_behind(bars, DAYS[4], ["A"])
    assert found.rows() == [("A", date(2012, 1, 6), 1)]


def test_one_live_symbol_does_not_hide_a_dead_one() -> None:
    """C-ETL-8: only the newest row of all used to be looked at."""
    bars = bars_of({"A": [1.0] * 4, "B": [1.0]})
    outcome = check_freshness(bars, DAYS[3], ["A", "B", "C"], RULES)
    assert not outcome.passed
    assert outcome.blocking
    assert "B (last bar 2012-01-03, 3 behind), C (no bar)" in outcome.sentence
    assert outcome.numbers == {"fresh_share": pytest.approx(1 / 3), "stale": 2.0, "symbols": 3.0}


def test_a_bar_of_a_later_session_does_not_make_a_symbol_fresh() -> None:
    bars = bars_of({"A": [1.0, None, None, 1.0]})
    assert sessions_behind(bars, DAYS[2], ["A"])["sessions_behind"].to_list() == [2]


def test_enough_fresh_symbols_pass() -> None:
    closes = {f"S{n}": [1.0, 1.0] for n in range(9)} | {"OLD": [1.0]}
    assert check_freshness(bars_of(closes), DAYS[1], sorted(closes), RULES).passed
    stricter = FreshnessRules(min_fresh_share=0.95)
    assert not check_freshness(bars_of(closes), DAYS[1], sorted(closes), stricter).passed


def test_the_sessions_allowed_are_a_rule() -> None:
    bars = bars_of({"A": [1.0]})
    assert not check_freshness(bars, DAYS[1], ["A"], RULES).passed
    assert check_freshness(bars, DAYS[1], ["A"], FreshnessRules(max_sessions_behind=1)).passed


def test_no_symbols_are_never_fresh() -> None:
    assert not check_freshness(bars_of({"A": [1.0]}), DAYS[0], [], RULES).passed


def test_freshness_is_asked_of_a_session() -> None:
    with pytest.raises(SettingsError, match="no session"):
        sessions_behind(bars_of({"A": [1.0]}), date(2012, 1, 7), ["A"])


@settings(max_examples=40)
@given(st.integers(0, 60), st.dates(date(2001, 1, 1), date(2029, 1, 1)))
def test_a_last_bar_n_sessions_ago_is_n_sessions_behind(behind: int, day: date) -> None:
    window = session_window(sessions_from(day, 61)[-1], behind + 1)
    found = sessions_behind(bars_of({"A": [1.0]}, first=window[0]), window[-1], ["A"])
    assert found["sessions_behind"].item() == behind


def test_minutes_old_is_the_time_between() -> None:
    assert minutes_old(_ago(12.5), NOW) == 12.5


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(SettingsError, match="time zone"):
        minutes_old(datetime(2012, 1, 9, 15, 0), NOW)
    with pytest.raises(SettingsError, match="time zone"):
        minutes_old(NOW, datetime(2012, 1, 9, 15, 0))


def test_a_time_in_the_future_is_not_fresh() -> None:
    """C-ETL-8: a future timestamp used to pass."""
    with pytest.raises(StaleDataError, match="after"):
        require_fresh({"A": NOW + timedelta(minutes=1)}, NOW, RULES)


def test_live_data_is_fresh_up_to_its_limit() -> None:
    require_fresh({"A": _ago(30), "B": NOW}, NOW, RULES)
    with pytest.raises(StaleDataError, match=r"A \(31 minutes\)"):
        require_fresh({"A": _ago(31), "B": NOW}, NOW, RULES)


def test_a_symbol_without_live_data_counts_as_stale() -> None:
    with pytest.raises(StaleDataError, match=r"B \(no data\)"):
        require_fresh({"A": NOW, "B": None}, NOW, RULES)
    with pytest.raises(StaleDataError, match="0 of 0"):
        require_fresh({}, NOW, RULES)


def test_enough_live_symbols_pass() -> None:
    require_fresh({"A": NOW, "B": None}, NOW, FreshnessRules(min_fresh_share=0.5))
