"""Freshness, symbol by symbol."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.calendar import EXCHANGE_ZONE, session_window
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.core.market.freshness import (
    FreshnessRules,
    check_freshness,
    check_live,
    is_open,
    sessions_behind,
    trading_minutes,
)
from trading_pipeline.errors import SettingsError
from trading_pipeline_tests.factories import bars_of, sessions_from

RULES = FreshnessRules()
NOW = datetime(2012, 1, 9, 16, 0, tzinfo=UTC)
DAYS = sessions_from(count=6)


def _checked(
    bars: pl.DataFrame, session: date, symbols: Sequence[str], rules: FreshnessRules
) -> CheckOutcome:
    rows = sessions_behind(bars, session, symbols).rows()
    return check_freshness(session, [row for row in rows if row[2] != 0], len(rows), rules)


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
    outcome = _checked(bars, DAYS[3], ["A", "B", "C"], RULES)
    assert not outcome.passed
    assert outcome.blocking
    assert "B (last bar 2012-01-03, 3 behind), C (no bar)" in outcome.sentence
    assert outcome.numbers == {"fresh_share": pytest.approx(1 / 3), "stale": 2.0, "symbols": 3.0}


def test_a_bar_of_a_later_session_does_not_make_a_symbol_fresh() -> None:
    bars = bars_of({"A": [1.0, None, None, 1.0]})
    assert sessions_behind(bars, DAYS[2], ["A"])["sessions_behind"].to_list() == [2]


def test_enough_fresh_symbols_pass() -> None:
    closes = {f"S{n}": [1.0, 1.0] for n in range(9)} | {"OLD": [1.0]}
    assert _checked(bars_of(closes), DAYS[1], sorted(closes), RULES).passed
    stricter = FreshnessRules(min_fresh_share=0.95)
    assert not _checked(bars_of(closes), DAYS[1], sorted(closes), stricter).passed


def test_the_sessions_allowed_are_a_rule() -> None:
    bars = bars_of({"A": [1.0]})
    assert not _checked(bars, DAYS[1], ["A"], RULES).passed
    assert _checked(bars, DAYS[1], ["A"], FreshnessRules(max_sessions_behind=1)).passed


def test_no_symbols_are_never_fresh() -> None:
    assert not _checked(bars_of({"A": [1.0]}), DAYS[0], [], RULES).passed


def test_freshness_is_asked_of_a_session() -> None:
    with pytest.raises(SettingsError, match="no session"):
        sessions_behind(bars_of({"A": [1.0]}), date(2012, 1, 7), ["A"])


@given(st.integers(0, 60), st.dates(date(2001, 1, 1), date(2029, 1, 1)))
def test_a_last_bar_n_sessions_ago_is_n_sessions_behind(behind: int, day: date) -> None:
    window = session_window(sessions_from(day, 61)[-1], behind + 1)
    found = sessions_behind(bars_of({"A": [1.0]}, first=window[0]), window[-1], ["A"])
    assert found["sessions_behind"].item() == behind


def at(day: int, hour: int, minute: int = 0, *, month: int = 1) -> datetime:
    """A time of 2012 in New York."""
    return datetime(2012, month, day, hour, minute, tzinfo=EXCHANGE_ZONE)


@pytest.mark.parametrize(
    ("since", "now", "minutes"),
    [
        (at(9, 10), at(9, 10, 12), 12),
        (at(6, 16), at(9, 9, 35), 5),  # over a weekend
        (at(6, 15, 50), at(8, 12), 10),  # closed since
        (at(13, 15, 59), at(17, 9, 31), 2),  # over a weekend and a holiday
        (at(23, 12, 50, month=11), at(23, 15, month=11), 10),  # a half day ends at 13:00
        (at(9, 20), at(9, 23), 0),
    ],
)
def test_age_is_counted_in_minutes_of_trading(since: datetime, now: datetime, minutes: int) -> None:
    assert trading_minutes(since, now) == minutes
    assert trading_minutes(since.astimezone(UTC), now.astimezone(UTC)) == minutes


@settings(max_examples=30)
@given(st.lists(st.datetimes(datetime(2012, 1, 2), datetime(2012, 12, 31)), min_size=3, max_size=3))
def test_minutes_of_trading_add_up(moments: list[datetime]) -> None:
    one, two, three = sorted(moment.replace(tzinfo=UTC) for moment in moments)
    parts = trading_minutes(one, two) + trading_minutes(two, three)
    assert trading_minutes(one, three) == pytest.approx(parts)
    assert 0 <= trading_minutes(one, two) <= (two - one).total_seconds() / 60


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(SettingsError, match="time zone"):
        trading_minutes(datetime(2012, 1, 9, 15, 0), NOW)
    with pytest.raises(SettingsError, match="time zone"):
        trading_minutes(NOW, datetime(2012, 1, 9, 15, 0))


def test_a_time_in_the_future_is_not_fresh() -> None:
    """C-ETL-8: a future timestamp used to pass."""
    assert not check_live({"A": NOW + timedelta(hours=1)}, NOW, RULES).passed
    assert check_live({"A": NOW + timedelta(seconds=30)}, NOW, RULES).passed


def test_live_data_is_fresh_up_to_its_limit() -> None:
    assert check_live({"A": _ago(30), "B": NOW}, NOW, RULES).passed
    late = check_live({"A": _ago(31), "B": NOW}, NOW + timedelta(minutes=1), RULES)
    assert not late.passed
    assert "A (30 minutes)" not in late.sentence
    assert "A (32 minutes)" in late.sentence
    assert late.numbers == {"live_share": 0.5, "newest_minutes": 1.0, "oldest_minutes": 32.0}


def test_a_symbol_without_live_data_counts_as_stale() -> None:
    assert "B (no quote)" in check_live({"A": NOW, "B": None}, NOW, RULES).sentence
    assert not check_live({}, NOW, RULES).passed
    assert check_live({"A": NOW, "B": None}, NOW, FreshnessRules(min_fresh_share=0.5)).passed


def test_late_quotes_stop_the_day_only_while_the_exchange_is_open() -> None:
    half_day = at(23, 9, 30, month=11)
    for now, is_blocked in ((at(23, 12, 59, month=11), True), (at(23, 13, month=11), False)):
        assert is_open(now) is is_blocked
        assert check_live({"A": half_day}, now, RULES).stops_the_day is is_blocked
