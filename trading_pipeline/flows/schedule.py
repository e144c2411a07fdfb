"""Whether the day starts by itself: the schedule, when it is due, and the daemon that minds it."""

from datetime import datetime, time, timedelta
from typing import Final

from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.core.market.calendar import EXCHANGE_ZONE, session_on_or_after
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.status_report import Schedule, Service

DAILY: Final = "daily"
"""The schedule of the trading day."""

STARTS_AT: Final = time(9)
"""New York: before the open that the orders are for."""

DAEMON_SECONDS: Final = 120
"""A daemon that has said nothing for so long is taken for dead; it speaks twice a minute."""


def scheduled(records: RunRecords, now: datetime) -> Schedule:
    """Return how the schedule stands; nothing on record yet means off, and no daemon."""
    try:
        on = DAILY in records.schedules_on()
        seen_at = records.daemon_seen_at()
    except MissingDataError:
        on, seen_at = False, None
    alive = seen_at is not None and now - seen_at < timedelta(seconds=DAEMON_SECONDS)
    return Schedule(
        name=DAILY,
        on=on,
        next_at=next_start(now) if on else None,
        daemon_seen_at=seen_at,
        daemon_alive=alive,
    )


def next_start(now: datetime) -> datetime:
    """Return the next moment after `now` at which a session's day is due to start."""
    today = now.astimezone(EXCHANGE_ZONE)
    day = today.date() if today.time() < STARTS_AT else today.date() + timedelta(days=1)
    return datetime.combine(session_on_or_after(day), STARTS_AT, tzinfo=EXCHANGE_ZONE)


def daemon(found: Schedule | None) -> Service:
    """The daemon as a service: down when a schedule that is on has nobody to start it."""
    if found is None:
        detail = "Nobody knows: Dagster's records are down."
        return Service(name="daemon", state="down", detail=detail)
    if not (found.on or found.daemon_alive):
        return Service(name="daemon", state="not used", detail="no schedule is on")
    if found.daemon_alive:
        return Service(name="daemon", state="up", detail="minds schedules")
    since = f"since {found.daemon_seen_at:%Y-%m-%d %H:%M} UTC" if found.daemon_seen_at else "yet"
    return Service(
        name="daemon", state="down", detail=f"It has said nothing {since}: nothing is started."
    )
