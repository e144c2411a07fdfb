"""One stream is alive while the market is open and it is wanted: not two, and not a dead one."""

from datetime import UTC, datetime, timedelta

import pytest

from trading_pipeline.adapters.live_store import Desired
from trading_pipeline.flows.supervise import Decision, Launched, decide, hours, is_open

FRIDAY = datetime(2026, 11, 20, 15, tzinfo=UTC)
ALIVE = {"at": (FRIDAY - timedelta(seconds=3)).isoformat(), "owner": "cli-1", "state": "streaming"}
STALE = {**ALIVE, "at": (FRIDAY - timedelta(seconds=16)).isoformat()}
ENDED = {**ALIVE, "state": "ended: Asked by SIGTERM."}


def decided(now: datetime = FRIDAY, **changes: object) -> Decision:
    values = {"desired": Desired(), "heartbeat": {}, "runs": (), "margin_minutes": 5} | changes
    return decide(now=now, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("heartbeat", [{}, STALE, ENDED])
def test_a_run_is_started_when_none_lives(heartbeat: dict[str, str]) -> None:
    assert decided(heartbeat=heartbeat) == Decision(start=True, why="No stream lives.")


def test_no_run_is_started_beside_a_stream_that_lives_wherever_it_runs() -> None:
    found = decided(heartbeat=ALIVE)

    assert (found.start, found.why) == (False, "cli-1 streams, heard 3 s ago.")


def test_no_run_is_started_when_the_stream_is_to_be_off() -> None:
    found = decided(desired=Desired(False, "ada", "odd quotes"))

    assert (found.start, found.why) == (False, "To be off, by ada: odd quotes")


def test_a_run_that_is_starting_is_given_time() -> None:
    assert not decided(runs=(Launched("r1", 30),)).start


@pytest.mark.parametrize("heartbeat", [{}, STALE])
def test_a_run_that_no_longer_tells_is_buried_and_another_started(
    heartbeat: dict[str, str],
) -> None:
    found = decided(heartbeat=heartbeat, runs=(Launched("r1", 500),))

    assert (found.start, found.bury) == (True, ("r1",))


def test_a_run_that_still_tells_is_not_buried_however_old() -> None:
    assert decided(heartbeat=ALIVE, runs=(Launched("r1", 9_999),)).bury == ()


@pytest.mark.parametrize(
    ("moment", "is_wanted"),
    [
        ("2026-11-20T14:24:59", False),
        ("2026-11-20T14:25:00", True),  # five minutes before the open
        ("2026-11-20T21:04:59", True),
        ("2026-11-20T21:05:00", False),
        ("2026-11-21T15:00:00", False),  # Saturday
        ("2026-11-26T15:00:00", False),  # Thanksgiving
        ("2026-11-27T18:04:00", True),  # the half day after it closes at 13:00 New York
        ("2026-11-27T18:06:00", False),
        ("2026-07-01T13:26:00", True),  # summer time
    ],
)
def test_a_run_is_started_in_market_hours_and_their_margins_only(
    moment: str, is_wanted: bool
) -> None:
    assert decided(datetime.fromisoformat(moment).replace(tzinfo=UTC)).start is is_wanted


def test_the_market_is_open_from_bell_to_bell() -> None:
    assert is_open(FRIDAY)
    assert not is_open(FRIDAY.replace(hour=14, minute=29))
    assert hours(FRIDAY, 5) == (
        FRIDAY.replace(hour=14, minute=25),
        FRIDAY.replace(hour=21, minute=5),
    )
