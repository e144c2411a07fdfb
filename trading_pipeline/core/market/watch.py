"""What is odd about a session's bars against those before them: told, and seldom a reason to stop.

Only a session that repeats the one before it blocks the day: it is a delivery of the wrong day.
"""

from collections.abc import Iterable
from datetime import date
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.market.calendar import previous_session, session_window
from trading_pipeline.core.market.checks import CheckOutcome, listed

USUAL: Final = 20
"""Sessions before a session that say what is usual."""

LEAST: Final = 5
"""Sessions with volume that make a usual one."""

WATCHES: Final = {
    "wrong_day": "The session's bars are not those of the session before.",
    "delivery": "About as many bars came as usually do.",
    "suspects": "No bar of the session is a suspect.",
    "missing_sessions": "Each symbol's bar follows one of the session before.",
    "stale_series": "No symbol's bars stand still.",
    "volume_break": "No symbol's volume is far from its usual one.",
}
"""The checks by name, and what each says when it passes."""

BLOCKING: Final = frozenset({"wrong_day"})

_BAR: Final = ("open", "high", "low", "close", "volume")


class WatchRules(BaseModel):
    """From where on bars are odd."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_repeated_share: float = Field(
        default=0.5, ge=0, le=1, description="largest share of bars equal to the session before's"
    )
    min_delivery_share: float = Field(
        default=0.7, ge=0, le=1, description="smallest number of bars, as a share of the usual"
    )
    max_delivery_share: float = Field(
        default=1.5, ge=1, description="largest number of bars, as a multiple of the usual"
    )
    stale_sessions: int = Field(
        default=5, ge=2, le=USUAL, description="sessions with the same prices that are stale"
    )
    max_volume_ratio: float = Field(
        default=20.0, gt=1, description="largest volume, as a multiple or a part of the usual"
    )


def watch(
    session: date, bars: pl.DataFrame, suspects: pl.DataFrame, rules: WatchRules
) -> list[CheckOutcome]:
    """Return the checks WATCHES of a session, in that order.

    `bars` are the delivered ones up to the session, copies included; a vendor's split-adjusted
    volume or a split changes the volume of a bar, and is told like any other break.
    """
    days = session_window(session, USUAL + 1)
    recent = bars.filter(pl.col("session").is_between(days[0], session))
    single = recent.unique(["symbol", "session"], keep="first")
    today = single.filter(pl.col("session") == session)
    own = suspects.filter(pl.col("session") == session)["symbol"].to_list()
    return [
        _wrong_day(session, single, today, rules),
        _delivery(session, recent, rules),
        _told("suspects", session, own, len(today)),
        _told("missing_sessions", session, _after_a_gap(session, bars, today), len(today)),
        _told("stale_series", session, _stale(single, session, rules), len(today)),
        _told("volume_break", session, _odd_volumes(single, session, rules), len(today)),
    ]


def _wrong_day(
    session: date, single: pl.DataFrame, today: pl.DataFrame, rules: WatchRules
) -> CheckOutcome:
    before = single.filter(pl.col("session") == previous_session(session))
    traded = today.filter(pl.col("volume") > 0).select("symbol", pl.struct(_BAR).alias("bar"))
    both = traded.join(before.select("symbol", before=pl.struct(_BAR)), on="symbol")
    same, of = both.select((pl.col("bar") == pl.col("before")).sum(), pl.len()).row(0)
    share = same / of if of else 0.0
    return CheckOutcome(
        name="wrong_day",
        passed=share <= rules.max_repeated_share,
        sentence=f"{session}: {same} of {of} traded bars are those of the session before"
        f" ({share:.0%}); at most {rules.max_repeated_share:.0%} is expected.",
        numbers={"repeated_share": share, "repeated": float(same)},
    )


def _delivery(session: date, recent: pl.DataFrame, rules: WatchRules) -> CheckOutcome:
    counts = recent.group_by("session").len()
    came = recent.filter(pl.col("session") == session).height
    usual = counts.filter(pl.col("session") != session)["len"].median()
    share = came / float(usual) if isinstance(usual, int | float) and usual else 1.0
    return CheckOutcome(
        name="delivery",
        passed=rules.min_delivery_share <= share <= rules.max_delivery_share,
        sentence=f"{session}: {came} bars came, {share:.0%} of the usual number;"
        f" {rules.min_delivery_share:.0%} to {rules.max_delivery_share:.0%} is expected.",
        numbers={"bars": float(came), "share_of_usual": share},
        blocking=False,
    )


def _told(name: str, session: date, names: Iterable[str], of: int) -> CheckOutcome:
    found = sorted(names)
    which = f": {listed(found)}" if found else ""
    return CheckOutcome(
        name=name,
        passed=not found,
        sentence=f"{session}: {name.replace('_', ' ')} of {len(found)} of {of} symbols{which}.",
        numbers={name: float(len(found)), "symbols": float(of)},
        blocking=False,
    )


def _after_a_gap(session: date, bars: pl.DataFrame, today: pl.DataFrame) -> list[str]:
    """The symbols with a bar today, none in the session before, and some earlier."""
    own, last = pl.col("session"), previous_session(session)
    known = set(bars.filter(own < session)["symbol"])
    before = set(bars.filter(own == last)["symbol"])
    return [name for name in today["symbol"] if name in known - before] if before else []


def _stale(single: pl.DataFrame, session: date, rules: WatchRules) -> list[str]:
    days = session_window(session, rules.stale_sessions)
    prices = [pl.col(name).n_unique().alias(name) for name in _BAR[:4]]
    last = single.filter(pl.col("session") >= days[0]).group_by("symbol")
    found = last.agg(pl.len(), *prices, newest=pl.col("session").max())
    stands = pl.all_horizontal(pl.col(name) == 1 for name in _BAR[:4])
    long = (pl.col("len") >= rules.stale_sessions) & (pl.col("newest") == session)
    return found.filter(stands & long)["symbol"].to_list()


def _odd_volumes(single: pl.DataFrame, session: date, rules: WatchRules) -> list[str]:
    volume, today = pl.col("volume"), pl.col("session") == session
    found = single.group_by("symbol").agg(
        now=volume.filter(today).first(),
        usual=volume.filter(~today & (volume > 0)).median(),
        before=(~today & (volume > 0)).sum(),
    )
    enough = pl.col("before") >= LEAST
    ratio, most = pl.col("now") / pl.col("usual"), rules.max_volume_ratio
    return found.filter(enough & (pl.col("now") > 0) & ((ratio > most) | (ratio < 1 / most)))[
        "symbol"
    ].to_list()
