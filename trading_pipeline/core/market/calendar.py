"""The sessions of the exchange (XNYS): which days they are, and when they open and close.

All functions read one generated table (holidays.py), so nothing here imports pandas or needs a
network. A day outside the table is a SettingsError, never a guess.
"""

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, time
from typing import cast
from zoneinfo import ZoneInfo

import numpy as np

from trading_pipeline.core.market.holidays import CLOSURES, EARLY_CLOSES, FIRST_YEAR, LAST_YEAR
from trading_pipeline.errors import SettingsError

__all__ = [
    "CLOSURES",
    "EXCHANGE_ZONE",
    "FIRST_SESSION",
    "LAST_SESSION",
    "is_half_day",
    "is_session",
    "last_closed_session",
    "next_session",
    "previous_session",
    "require_session",
    "session_close",
    "session_on_or_after",
    "session_open",
    "session_window",
    "sessions_between",
]

EXCHANGE_ZONE = ZoneInfo("America/New_York")
_OPEN, _CLOSE, _EARLY_CLOSE = time(9, 30), time(16), time(13)


def _sessions() -> list[date]:
    days = np.arange(f"{FIRST_YEAR}-01-01", f"{LAST_YEAR + 1}-01-01", dtype="datetime64[D]")
    closed = np.array(CLOSURES, dtype="datetime64[D]")
    return cast("list[date]", days[np.is_busday(days, holidays=closed)].tolist())


_SESSIONS = _sessions()
_MEMBERS = frozenset(_SESSIONS)
_HALF_DAYS = frozenset(EARLY_CLOSES)

FIRST_SESSION: date = _SESSIONS[0]
"""The first session of the table, 2000-01-03."""

LAST_SESSION: date = _SESSIONS[-1]
"""The last session of the table."""


def is_session(day: date) -> bool:
    """Whether the exchange trades on `day`; days outside the table are not sessions."""
    return day in _MEMBERS


def is_half_day(day: date) -> bool:
    """Whether `day` is a session that closes at 13:00 New York."""
    return day in _HALF_DAYS


def require_session(day: date) -> date:
    """Return `day` when it is a session; raise SettingsError that names the nearest ones."""
    if is_session(day):
        return day
    before = bisect_left(_SESSIONS, _within(day))
    near = [str(near) for near in _SESSIONS[max(before - 1, 0) : before + 1]]
    raise SettingsError(
        f"{day} ({day:%A}) is no session of the exchange: nearest are {' and '.join(near)}."
    )


def sessions_between(first: date, last: date) -> list[date]:
    """Every session from `first` to `last`, both included; empty when `last` is before `first`."""
    return _SESSIONS[
        bisect_left(_SESSIONS, _within(first)) : bisect_right(_SESSIONS, _within(last))
    ]


def session_window(last: date, count: int) -> list[date]:
    """The `count` sessions that end at the session `last`; fewer only where the table begins."""
    if count < 1:
        raise SettingsError(f"A window of {count} sessions is empty: at least 1 is expected.")
    end = bisect_right(_SESSIONS, require_session(last))
    return _SESSIONS[max(end - count, 0) : end]


def next_session(day: date) -> date:
    """The first session after `day`, which need not be a session itself."""
    return _at(bisect_right(_SESSIONS, _within(day)), f"after {day}")


def previous_session(day: date) -> date:
    """The last session before `day`, which need not be a session itself."""
    return _at(bisect_left(_SESSIONS, _within(day)) - 1, f"before {day}")


def session_on_or_after(day: date) -> date:
    """`day` itself when it is a session, else the next one."""
    return _at(bisect_left(_SESSIONS, _within(day)), f"on or after {day}")


def session_open(session: date) -> datetime:
    """When the session opens, 09:30 New York, in UTC."""
    return _moment(require_session(session), _OPEN)


def session_close(session: date) -> datetime:
    """When the session closes, 16:00 or on half days 13:00 New York, in UTC."""
    closing = _EARLY_CLOSE if is_half_day(session) else _CLOSE
    return _moment(require_session(session), closing)


def last_closed_session(now: datetime) -> date:
    """The newest session whose close is not after `now`; a naive time is a SettingsError."""
    if now.tzinfo is None:
        raise SettingsError(f"The time {now} has no time zone: an aware one is expected.")
    today = now.astimezone(EXCHANGE_ZONE).date()
    if is_session(today) and session_close(today) <= now:
        return today
    return previous_session(today)


def _moment(session: date, at: time) -> datetime:
    return datetime.combine(session, at, tzinfo=EXCHANGE_ZONE).astimezone(UTC)


def _within(day: date) -> date:
    if FIRST_YEAR <= day.year <= LAST_YEAR:
        return day
    raise SettingsError(_outside(str(day)))


def _at(position: int, what: str) -> date:
    if 0 <= position < len(_SESSIONS):
        return _SESSIONS[position]
    raise SettingsError(_outside(f"The session {what}"))


def _outside(what: str) -> str:
    return f"{what} is outside the calendar, which holds {FIRST_SESSION} to {LAST_SESSION}."
