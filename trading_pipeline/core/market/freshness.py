"""Freshness: how far the newest bar of each symbol is behind, in sessions or in minutes.

Each symbol is judged by itself, so that one live symbol cannot hide dead ones.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.market.calendar import require_session, sessions_between
from trading_pipeline.core.market.checks import CheckOutcome, listed
from trading_pipeline.core.market.corporate_actions import require_columns
from trading_pipeline.errors import SettingsError, StaleDataError


class FreshnessRules(BaseModel):
    """How old data may be, and how many symbols must be that fresh."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_sessions_behind: int = Field(
        default=0, ge=0, description="sessions a symbol's newest bar may be behind"
    )
    max_minutes_old: int = Field(
        default=30, ge=1, le=1440, description="live data only: minutes a quote may be old"
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
    bars: pl.DataFrame, session: date, symbols: Sequence[str], rules: FreshnessRules
) -> CheckOutcome:
    """The blocking check `freshness`: enough symbols have a bar recent enough."""
    found = sessions_behind(bars, session, symbols)
    fresh = (pl.col("sessions_behind") <= rules.max_sessions_behind).fill_null(value=False)
    stale = found.filter(~fresh)
    share = 1 - stale.height / found.height if found.height else 0.0
    late = f" late: {listed([_lateness(row) for row in stale.to_dicts()])};" if stale.height else ""
    return CheckOutcome(
        name="freshness",
        passed=share >= rules.min_fresh_share,
        sentence=f"{session}: {found.height - stale.height} of {found.height} symbols have a bar at"
        f" most {rules.max_sessions_behind} sessions old ({share:.0%});{late}"
        f" at least {rules.min_fresh_share:.0%} is expected.",
        numbers={
            "fresh_share": share,
            "stale": float(stale.height),
            "symbols": float(found.height),
        },
    )


def minutes_old(newest_at: datetime, now: datetime) -> float:
    """Minutes from `newest_at` to `now`; a naive time is a SettingsError, a future one stale."""
    for name, moment in (("newest data", newest_at), ("present", now)):
        if moment.tzinfo is None:
            raise SettingsError(f"The time of the {name}, {moment}, has no time zone.")
    if newest_at > now:
        raise StaleDataError(f"The newest data is of {newest_at}, which is after {now}.")
    return (now - newest_at).total_seconds() / 60


def require_fresh(
    newest_at: Mapping[str, datetime | None], now: datetime, rules: FreshnessRules
) -> None:
    """Raise StaleDataError unless enough symbols have data of the last `max_minutes_old` minutes.

    `newest_at` is when each symbol's newest data is of, None for a symbol without any.
    """
    ages = {
        symbol: None if at is None else minutes_old(at, now) for symbol, at in newest_at.items()
    }
    stale = [
        f"{symbol} ({'no data' if age is None else f'{age:.0f} minutes'})"
        for symbol, age in sorted(ages.items())
        if age is None or age > rules.max_minutes_old
    ]
    share = 1 - len(stale) / len(ages) if ages else 0.0
    if share < rules.min_fresh_share or not ages:
        raise StaleDataError(
            f"{len(stale)} of {len(ages)} symbols have no data of the last {rules.max_minutes_old}"
            f" minutes: {listed(stale)}; at least {rules.min_fresh_share:.0%} fresh is expected."
        )


def _lateness(row: Mapping[str, object]) -> str:
    if row["last_session"] is None:
        return f"{row['symbol']} (no bar)"
    return f"{row['symbol']} (last bar {row['last_session']}, {row['sessions_behind']} behind)"
