"""The one partition set: a partition is a session of the exchange."""

from collections.abc import Sequence
from datetime import date, datetime, time

import dagster as dg

from trading_pipeline.core.market.calendar import (
    CLOSURES,
    FIRST_SESSION,
    last_closed_session,
    require_session,
)
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import utc_now

EXCHANGE_ZONE = "America/New_York"

# Every day but weekends and holidays, rather than "weekdays": a window of a weekday cron runs from
# Friday to Monday, which hides Friday until the next week begins.
SESSIONS = dg.TimeWindowPartitionsDefinition(
    start=datetime.combine(FIRST_SESSION, time()),
    fmt="%Y-%m-%d",
    timezone=EXCHANGE_ZONE,
    cron_schedule="0 0 * * *",
    exclusions=["0 0 * * 6", "0 0 * * 0", *(datetime.combine(day, time()) for day in CLOSURES)],
    end_offset=1,
)

BACKFILL = dg.BackfillPolicy.single_run()
"""A range of sessions is one run: data and research work on frames, not day by day."""


def sessions_of(context: dg.AssetExecutionContext) -> list[date]:
    """The sessions of a run, each one checked: Dagster lets a tag name any day at all."""
    # A single key is taken as it was given: looked up, a closed day becomes another day's window.
    keys = [context.partition_key] if context.has_partition_key else context.partition_keys
    sessions = [require_session(date.fromisoformat(key)) for key in keys]
    closed = last_closed_session(utc_now())
    if late := [session for session in sessions if session > closed]:
        raise SettingsError(f"{late[0]} has not closed yet: the last closed session is {closed}.")
    return sessions


def session_of(context: dg.AssetExecutionContext) -> date:
    """The one session of a run that cannot be given a range."""
    sessions = sessions_of(context)
    if len(sessions) != 1:
        raise SettingsError(f"{len(sessions)} sessions were asked for where one at a time is done.")
    return sessions[0]


def is_backfill(context: dg.AssetExecutionContext) -> bool:
    """Whether the run is a backfill or covers a range, in which nothing may ever be traded."""
    tags = context.run.tags
    return "dagster/backfill" in tags or any(tag.startswith(_RANGE) for tag in tags)


_RANGE = "dagster/asset_partition_range"


def span(sessions: Sequence[date]) -> str:
    """`first` or `first … last`, for a sentence."""
    first, last = sessions[0], sessions[-1]
    return str(first) if first == last else f"{first} … {last}"
