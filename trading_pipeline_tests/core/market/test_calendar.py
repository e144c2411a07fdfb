"""The sessions of the exchange."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market import calendar
from trading_pipeline.errors import SettingsError

DAYS = st.dates(date(2000, 1, 10), date(2030, 12, 20))


def test_the_table_begins_with_the_first_session_of_2000() -> None:
    assert date(2000, 1, 3) == calendar.FIRST_SESSION
    assert date(2027, 12, 31) <= calendar.LAST_SESSION


@pytest.mark.parametrize(
    "day",
    [date(2024, 7, 4), date(2024, 7, 6), date(2001, 9, 12), date(2025, 1, 9), date(1999, 12, 31)],
)
def test_a_holiday_a_weekend_and_a_day_outside_the_table_are_no_sessions(day: date) -> None:
    assert not calendar.is_session(day)


def test_a_day_that_is_no_session_is_refused_with_its_neighbors() -> None:
    with pytest.raises(SettingsError, match="2024-07-03 and 2024-07-05"):
        calendar.require_session(date(2024, 7, 4))
    assert calendar.require_session(date(2024, 7, 5)) == date(2024, 7, 5)


@pytest.mark.parametrize("day", [date(1999, 12, 31), date(2031, 1, 2)])
def test_a_day_outside_the_table_is_refused_with_the_range(day: date) -> None:
    for ask in (
        calendar.require_session,
        calendar.next_session,
        calendar.previous_session,
        calendar.session_on_or_after,
    ):
        with pytest.raises(SettingsError, match="2000-01-03 to 20"):
            ask(day)
    with pytest.raises(SettingsError, match="outside the calendar"):
        calendar.sessions_between(day, day)


def test_before_the_first_and_after_the_last_session_there_is_none() -> None:
    with pytest.raises(SettingsError, match="before 2000-01-03"):
        calendar.previous_session(calendar.FIRST_SESSION)
    with pytest.raises(SettingsError, match="after"):
        calendar.next_session(calendar.LAST_SESSION)


@given(DAYS)
def test_next_and_previous_are_the_nearest_sessions_on_each_side(day: date) -> None:
    after, before = calendar.next_session(day), calendar.previous_session(day)
    assert before < day < after
    between = {before + timedelta(days=n) for n in range(1, (after - before).days)} - {day}
    assert not any(calendar.is_session(other) for other in between)
    assert calendar.session_on_or_after(day) == (day if calendar.is_session(day) else after)


@given(DAYS, st.integers(0, 400))
def test_sessions_between_are_exactly_the_sessions_of_the_span(first: date, days: int) -> None:
    last = min(first + timedelta(days=days), date(2030, 12, 31))
    span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    assert calendar.sessions_between(first, last) == [d for d in span if calendar.is_session(d)]


def test_a_span_that_ends_before_it_begins_has_no_sessions() -> None:
    assert calendar.sessions_between(date(2024, 7, 5), date(2024, 7, 3)) == []


def test_a_window_ends_with_its_last_session_and_has_the_count_asked_for() -> None:
    window = calendar.session_window(date(2024, 7, 5), 3)
    assert window == [date(2024, 7, 2), date(2024, 7, 3), date(2024, 7, 5)]


def test_a_window_is_shorter_only_where_the_table_begins() -> None:
    assert calendar.session_window(date(2000, 1, 4), 70) == [date(2000, 1, 3), date(2000, 1, 4)]


@pytest.mark.parametrize(("last", "count"), [(date(2024, 7, 4), 3), (date(2024, 7, 5), 0)])
def test_a_window_needs_a_session_and_a_count(last: date, count: int) -> None:
    with pytest.raises(SettingsError):
        calendar.session_window(last, count)


def test_a_session_opens_at_half_past_nine_in_new_york_in_winter_and_summer() -> None:
    assert calendar.session_open(date(2024, 1, 2)) == datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
    assert calendar.session_open(date(2024, 7, 2)) == datetime(2024, 7, 2, 13, 30, tzinfo=UTC)
    assert calendar.session_close(date(2024, 7, 2)) == datetime(2024, 7, 2, 20, 0, tzinfo=UTC)


def test_a_half_day_closes_at_one_in_new_york() -> None:
    assert calendar.is_half_day(date(2024, 7, 3))
    assert not calendar.is_half_day(date(2024, 7, 2))
    assert calendar.session_close(date(2024, 7, 3)) == datetime(2024, 7, 3, 17, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        (datetime(2024, 7, 3, 16, 59, tzinfo=UTC), date(2024, 7, 2)),
        (datetime(2024, 7, 3, 17, 0, tzinfo=UTC), date(2024, 7, 3)),
        (datetime(2024, 7, 4, 22, 0, tzinfo=UTC), date(2024, 7, 3)),
        (datetime(2024, 7, 6, 2, 0, tzinfo=UTC), date(2024, 7, 5)),
        (datetime(2024, 7, 9, 3, 0, tzinfo=UTC), date(2024, 7, 8)),
    ],
)
def test_a_session_counts_as_closed_from_the_moment_it_closes(now: datetime, closed: date) -> None:
    assert calendar.last_closed_session(now) == closed


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(SettingsError, match="no time zone"):
        calendar.last_closed_session(datetime(2024, 7, 3, 17, 0))


def test_the_calendar_imports_neither_pandas_nor_the_source_of_its_table() -> None:
    code = (
        "import sys, trading_pipeline.core.market.calendar;"
        "sys.exit(bool({'pandas', 'exchange_calendars', 'polars'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
