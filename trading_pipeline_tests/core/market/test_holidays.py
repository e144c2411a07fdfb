"""The generated table of closures."""

from collections.abc import Iterable
from datetime import date, timedelta
from importlib import import_module
from itertools import groupby

import pytest

from trading_pipeline.core.market import holidays
from trading_pipeline.core.market.holidays import FIRST_YEAR, LAST_YEAR


@pytest.fixture(scope="module")
def exchange():
    # Imported when asked for: it takes a second.
    return import_module("exchange_calendars").get_calendar(
        "XNYS", start=f"{FIRST_YEAR}-01-01", end=f"{LAST_YEAR}-12-31"
    )


def test_the_closures_are_those_of_the_exchange(exchange) -> None:
    sessions = set(exchange.sessions.date)
    first, last = date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    closed = tuple(day for day in days if day.weekday() < 5 and day not in sessions)
    assert closed == holidays.CLOSURES, f"CLOSURE_TABLE should be\n{_table(closed)}"


def test_the_exchange_holds_no_session_on_a_weekend(exchange) -> None:
    assert all(day.weekday() < 5 for day in exchange.sessions)


def test_the_early_closes_are_those_of_the_exchange_at_one_in_new_york(exchange) -> None:
    early = tuple(exchange.early_closes.date)
    assert early == holidays.EARLY_CLOSES, f"EARLY_CLOSE_TABLE should be\n{_table(early)}"
    closes = exchange.closes[exchange.early_closes].dt.tz_convert("America/New_York")
    assert set(closes.dt.strftime("%H:%M")) == {"13:00"}


def _table(days: Iterable[date]) -> str:
    return "\n".join(
        f"{year}: {' '.join(f'{day:%m-%d}' for day in of_year)}"
        for year, of_year in groupby(days, lambda day: day.year)
    )
