"""What is particular to the vendor `alpaca`, through the real client against a loopback twin."""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_pipeline.adapters.alpaca_data import AlpacaData, DataAccess
from trading_pipeline.core.market.freshness import FreshnessRules
from trading_pipeline.errors import RejectedError, SettingsError, TransientError
from trading_pipeline.flows.look import live_freshness
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin, Fault
from trading_pipeline_tests.factories import random_bars, sessions_from

DAYS = sessions_from(count=40)
BARS = random_bars(("AAA", "BBB", "CCC"), DAYS)
NAMES = ["AAA", "BBB", "CCC"]
PAGES = "GET /v2/stocks/bars"
QUOTES = "GET /v2/stocks/quotes/latest"


class Clock:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now, self.slept = datetime(2026, 11, 20, 12, tzinfo=UTC), list[float]()

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def twin(alpaca: AlpacaTwin) -> AlpacaTwin:
    alpaca.market.add_bars(BARS)
    alpaca.market.page = 10
    return alpaca


def vendor(twin: AlpacaTwin, folder: Path, clock: Clock, **access: Any) -> AlpacaData:
    given: dict[str, Any] = {"answer_seconds": 30} | access
    return AlpacaData(
        DataAccess(url=twin.url, **given),
        (KEY, SECRET),
        spool=folder / "spool",
        clock=clock,
        sleep=clock.sleep,
    )


def asked(twin: AlpacaTwin, line: str = PAGES) -> int:
    return sum(seen.line == line for seen in twin.journal)


def test_a_failed_page_is_where_the_next_fetch_goes_on(
    twin: AlpacaTwin, tmp_path: Path, clock: Clock
) -> None:
    failing = [Fault(500, where=PAGES)] * 3
    whole = vendor(twin, tmp_path / "whole", clock).bars(NAMES, DAYS[0], DAYS[-1])
    pages = asked(twin)
    assert pages == 12
    first = vendor(twin, tmp_path, clock)
    ask = first._connection.page  # the ninth page fails three times, and with it the fetch

    def nine(*words: Any) -> Any:
        if asked(twin) == pages + 8:
            twin.faults.add(*failing)
        return ask(*words)

    first._connection.page = nine  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="500"):
        first.bars(NAMES, DAYS[0], DAYS[-1])
    so_far = asked(twin)
    assert so_far == pages + 8 + 3
    again = vendor(twin, tmp_path, clock)
    assert again.bars(NAMES, DAYS[0], DAYS[-1]).equals(whole)
    assert asked(twin) - so_far == 12 - 8
    assert not (tmp_path / "spool").exists()


def test_pages_of_another_day_are_fetched_anew(
    twin: AlpacaTwin, tmp_path: Path, clock: Clock
) -> None:
    twin.faults.add(*[Fault(500, where=PAGES)] * 3)
    with pytest.raises(TransientError):
        vendor(twin, tmp_path, clock).bars(NAMES, DAYS[0], DAYS[-1])
    clock.now += timedelta(days=1)
    before = asked(twin)
    vendor(twin, tmp_path, clock).bars(NAMES, DAYS[0], DAYS[-1])
    assert asked(twin) - before == 12


@pytest.mark.parametrize("what", ["drop", "truncate", "garbage", "hang", 429, 503])
def test_a_single_fault_of_the_wire_is_got_over(
    twin: AlpacaTwin, tmp_path: Path, clock: Clock, what: Any
) -> None:
    twin.faults.add(Fault(what, where=PAGES, html=True))
    patience = {"answer_seconds": 1.0} if what == "hang" else {}
    found = vendor(twin, tmp_path, clock, **patience).bars(["AAA"], DAYS[0], DAYS[-1])
    assert found.height == len(DAYS)
    assert clock.slept


def test_a_key_that_is_not_accepted_and_a_refusal_are_told_apart(
    twin: AlpacaTwin, tmp_path: Path, clock: Clock
) -> None:
    twin.faults.add(Fault(403, where=PAGES), Fault(422, where=PAGES))
    own = vendor(twin, tmp_path, clock)
    with pytest.raises(SettingsError, match="FEED"):
        own.bars(["AAA"], DAYS[0], DAYS[-1])
    with pytest.raises(RejectedError, match="422"):
        own.bars(["AAA"], DAYS[0], DAYS[-1])
    assert clock.slept == []


def test_requests_stay_within_the_minute(twin: AlpacaTwin, tmp_path: Path, clock: Clock) -> None:
    own = vendor(twin, tmp_path, clock, requests_per_minute=5)
    own.bars(NAMES, DAYS[0], DAYS[-1])
    assert own.requests == 12
    assert clock.slept == [60.0, 60.0]


def test_slices_of_symbols_and_sessions_give_what_one_request_gives(
    twin: AlpacaTwin, tmp_path: Path, clock: Clock
) -> None:
    whole = vendor(twin, tmp_path, clock).bars(NAMES, DAYS[0], DAYS[-1])
    sliced = vendor(twin, tmp_path, clock, symbols_per_request=2, sessions_per_request=7)
    assert sliced.bars(NAMES, DAYS[0], DAYS[-1]).equals(whole)


def test_the_newest_minutes_of_all_exchanges_are_not_asked_for(
    twin: AlpacaTwin, tmp_path: Path, clock: Clock
) -> None:
    day = clock.now.date()
    ends = {
        feed: vendor(twin, tmp_path, clock, feed=feed)._bar_query(["AAA"], [day])["end"]
        for feed in ("iex", "sip")
    }
    assert ends == {"iex": "2026-11-21T04:59:00Z", "sip": "2026-11-20T11:44:00Z"}


def test_the_session_of_a_bar_is_its_day_in_new_york(
    twin: AlpacaTwin, tmp_path: Path, clock: Clock
) -> None:
    bar = {"o": 1.0, "h": 1.0, "l": 1.0, "c": 1.0, "v": 1, "vw": 1.0, "n": 1}
    twin.market.bars = {"AAA": [bar | {"t": "2024-07-01T04:00:00Z"}]}
    found = vendor(twin, tmp_path, clock).bars(["AAA"], date(2024, 7, 1), date(2024, 7, 1))
    assert found["session"].to_list() == [date(2024, 7, 1)]


def test_latest_quotes_say_whether_prices_are_fresh(
    twin: AlpacaTwin, tmp_path: Path, clock: Clock
) -> None:
    clock.now = datetime(2024, 7, 3, 16, 0, tzinfo=UTC)  # noon of a half day
    twin.market.set_quote("AAA", 9.99, 10.01, clock.now - timedelta(minutes=1))
    twin.market.set_quote("BBB", 19.99, 20.01, clock.now - timedelta(hours=2))
    quotes = vendor(twin, tmp_path, clock).latest_quotes(NAMES)
    assert (quotes["AAA"].bid, quotes["AAA"].ask) == (9.99, 10.01)
    look = partial(live_freshness, vendor(twin, tmp_path, clock), rules=FreshnessRules())
    today, yesterday = date(2024, 7, 2), date(2024, 7, 1)
    late = look(symbols=NAMES, session=today, now=clock.now)
    assert late.stops_the_day
    assert "BBB (120 minutes), CCC (no quote)" in late.sentence
    assert look(symbols=["AAA"], session=today, now=clock.now).passed
    after = look(symbols=NAMES, session=date(2024, 7, 3), now=clock.now + timedelta(hours=3))
    assert (after.passed, after.stops_the_day) == (False, False)
    requests = asked(twin, QUOTES)
    assert look(symbols=NAMES, session=yesterday, now=clock.now).passed
    assert asked(twin, QUOTES) == requests
    twin.faults.add(*[Fault(500, where=QUOTES)] * 3)
    assert look(symbols=NAMES, session=today, now=clock.now).stops_the_day


def test_a_bar_without_a_number_is_kept_for_the_gate(
    twin: AlpacaTwin, tmp_path: Path, clock: Clock
) -> None:
    twin.market.bars = {"AAA": [{"t": f"{DAYS[0]}T05:00:00Z", "o": 1.0, "c": None, "v": 0}]}
    found = vendor(twin, tmp_path, clock).bars(["AAA"], DAYS[0], DAYS[0])
    assert found.select(pl.col("close", "high").is_null()).row(0) == (True, True)
