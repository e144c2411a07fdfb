"""Whether a stream must be started now, and which dead one buried first: a decision, no more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trading_pipeline.adapters.live_store import Desired
from trading_pipeline.core.market.calendar import (
    is_session,
    session_close,
    session_on_or_after,
    session_open,
)
from trading_pipeline.flows.stream_report import ALIVE_SECONDS, age_of

STARTING_SECONDS: Final = 90.0
"""In which a run that was asked for must have told that it lives."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A run of the stream that is not over, and how long ago it was asked for, in seconds."""

    run_id: str
    age: float


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to start a run, which dead runs to bury before, and why."""

    start: bool
    why: str
    bury: tuple[str, ...] = ()


def is_open(now: datetime) -> bool:
    """Whether the exchange trades at `now` (aware UTC)."""
    return hours(now, 0) is not None


def hours(now: datetime, margin_minutes: int) -> tuple[datetime, datetime] | None:
    """Return when the session around `now` begins and ends with its margins; None when closed."""
    margin, day = timedelta(minutes=margin_minutes), now.date()
    if not is_session(day):
        return None
    begins, ends = session_open(day) - margin, session_close(day) + margin
    return (begins, ends) if begins <= now < ends else None


def decide(
    *,
    now: datetime,
    desired: Desired,
    heartbeat: Mapping[str, str],
    runs: Sequence[Launched],
    margin_minutes: int,
) -> Decision:
    """Say whether a run must be started: when the market is open, it is wanted, and none lives.

    A run without a heartbeat is given time to start; after that it is dead, and buried.
    """
    if not desired.on:
        return Decision(start=False, why=f"To be off, by {desired.by}: {desired.reason}")
    if hours(now, margin_minutes) is None:
        opens = session_open(session_on_or_after(now.date()))
        return Decision(start=False, why=f"The market is closed; the next open is {opens}.")
    age = age_of(heartbeat, now)
    if age < ALIVE_SECONDS:
        owner = heartbeat.get("owner", "?")
        return Decision(start=False, why=f"{owner} streams, heard {age:.0f} s ago.")
    if any(run.age < STARTING_SECONDS for run in runs):
        return Decision(start=False, why="A run is starting.")
    dead = tuple(run.run_id for run in runs)
    return Decision(start=True, why="No stream lives.", bury=dead)
