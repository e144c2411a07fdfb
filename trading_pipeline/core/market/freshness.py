"""Freshness: how far the newest bar of each symbol is behind, in sessions or in minutes.

Each symbol is judged by itself, so that one live symbol cannot hide dead ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.market.calendar import (
    EXCHANGE_ZONE,
    is_session,
    require_session,
    session_close,
    session_open,
    sessions_between,
)
from trading_pipeline.core.market.checks import CheckOutcome, listed
from trading_pipeline.core.market.corporate_actions import require_columns
from trading_pipeline.errors import SettingsError

Late = tuple[str, date | None, int | None]
"""A symbol, the session of its newest bar, and how many sessions that is behind."""


LIVE: Final = "live_freshness"
"""The check of quotes."""

_SKEW: Final = timedelta(minutes=1)
"""By which two clocks may differ."""


class FreshnessRules(BaseModel):
    """How old data may be, and how many symbols must be that fresh."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_sessions_behind: int = Field(
        default=0, ge=0, description="sessions a symbol's newest bar may be behind"
    )
    max_minutes_old: int = Field(
        default=30,
        ge=1,
        le=1440,
        description="live data only: minutes of trading a quote may be old",
    )
    min_fresh_share: float = Field(
        default=0.8, ge=0, le=1, description="smallest share of symbols that must be fresh"
    )


def sessions_behind(bars: pl.DataFrame, session: date, symbols: Sequence[str]) -> pl.DataFrame:
    """How many sessions each symbol's newest bar is behind `session`, by the bars' own sessions.

    Columns symbol, last_session, sessions_behind (both null for a symbol without a bar), sorted by
    symbol. Bars later than `session` are not known in it and do not count.
    """
    require_columns(bars, ("symbol", "session"), "Bars")
    known = bars.filter(pl.col("session") <= require_session(session))
    newest = known.group_by("symbol").agg(last_session=pl.col("session").max())
    asked = pl.DataFrame({"symbol": sorted(set(symbols))}, schema={"symbol": pl.String})
    found = asked.join(newest, on="symbol", how="left", maintain_order="left")
    behind = [
        None if last is None else len(sessions_between(last + timedelta(days=1), session))
        for last in found["last_session"]
    ]
    return found.with_columns(pl.Series("sessions_behind", behind, dtype=pl.Int64))


def check_freshness(
    session: date, late: Iterable[Late], expected: int, rules: FreshnessRules
) -> CheckOutcome:
    """The blocking check `freshness`: enough of the expected symbols have a bar recent enough.

    `late` are those whose newest bar is not of the session, as `sessions_behind` tells of them.
    """
    most = rules.max_sessions_behind
    stale = [row for row in late if row[2] is None or row[2] > most]
    share = 1 - len(stale) / expected if expected else 0.0
    which = f" late: {listed([_lateness(*row) for row in stale])};" if stale else ""
    return CheckOutcome(
        name="freshness",
        passed=share >= rules.min_fresh_share,
        sentence=f"{session}: {expected - len(stale)} of {expected} symbols have a bar at"
        f" most {most} sessions old ({share:.0%});{which}"
        f" at least {rules.min_fresh_share:.0%} is expected.",
        numbers={
            "fresh_share": share,
            "stale": float(len(stale)),
            "symbols": float(expected),
        },
    )


def trading_minutes(since: datetime, now: datetime) -> float:
    """Minutes for which the exchange was open from `since` to `now`; a naive time is an error.

    Nights, weekends and holidays do not count, and a half day counts until 13:00: a quote of
    Friday's close is five minutes old at 9:35 on Monday.
    """
    for name, moment in (("data", since), ("present", now)):
        if moment.tzinfo is None:
            raise SettingsError(f"The time of the {name}, {moment}, has no time zone.")
    days = (moment.astimezone(EXCHANGE_ZONE).date() for moment in (since, now))
    open_for = (
        (min(now, session_close(day)) - max(since, session_open(day))).total_seconds() / 60
        for day in sessions_between(*days)
    )
    return sum(max(minutes, 0.0) for minutes in open_for)


def check_live(
    newest_at: Mapping[str, datetime | None], now: datetime, rules: FreshnessRules
) -> CheckOutcome:
    """The check `live_freshness`: enough symbols were quoted in the last minutes of trading.

    `newest_at` is when each symbol was last quoted, None for one that was not; a quote from the
    future is no quote. It blocks while the exchange is open: then prices are wanted that move.
    """
    ages = {symbol: _age(at, now) for symbol, at in newest_at.items()}
    most, known = rules.max_minutes_old, [age for age in ages.values() if age is not None]
    stale = [
        f"{symbol} ({'no quote' if age is None else f'{age:.0f} minutes'})"
        for symbol, age in sorted(ages.items())
        if age is None or age > most
    ]
    share = 1 - len(stale) / len(ages) if ages else 0.0
    late = f" late: {listed(stale)};" if stale else ""
    return CheckOutcome(
        name=LIVE,
        passed=share >= rules.min_fresh_share,
        sentence=f"{len(ages) - len(stale)} of {len(ages)} symbols were quoted in the last {most}"
        f" minutes of trading ({share:.0%});{late}"
        f" at least {rules.min_fresh_share:.0%} is expected.",
        numbers={
            "live_share": share,
            "newest_minutes": min(known, default=-1.0),
            "oldest_minutes": max(known, default=-1.0),
        },
        blocking=is_open(now),
    )


def is_open(now: datetime) -> bool:
    """Whether the exchange trades at `now`, aware; on a half day until 13:00."""
    day = now.astimezone(EXCHANGE_ZONE).date()
    return is_session(day) and session_open(day) <= now < session_close(day)


def _age(at: datetime | None, now: datetime) -> float | None:
    return None if at is None or at > now + _SKEW else trading_minutes(at, now)


def _lateness(symbol: str, last: date | None, behind: int | None) -> str:
    if last is None:
        return f"{symbol} (no bar)"
    return f"{symbol} (last bar {last}, {behind} behind)"
