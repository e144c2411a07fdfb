"""What is odd about a session's bars against those before them: told, and seldom a reason to stop.

Only a session that repeats the one before it blocks the day: it is a delivery of the wrong day.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from statistics import median
from typing import Final, NamedTuple

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.checks import CheckOutcome, listed
from trading_pipeline.core.market.expected import LOOK_BACK, numbered

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
_ODD: Final = ("missing_sessions", "stale_series", "volume_break")


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
    sessions: Sequence[date], bars: pl.DataFrame, suspects: pl.DataFrame, rules: WatchRules
) -> dict[date, list[CheckOutcome]]:
    """Return the checks WATCHES of each session, in that order.

    `sessions` are in order; `bars` are the delivered ones up to the last, from LOOK_BACK sessions
    before the first on, copies included. A vendor's split-adjusted volume or a split changes the
    volume of a bar, and is told like any other break.
    """
    came = dict(bars.group_by("session").len().iter_rows())
    marked = _marked(numbered(bars, sessions, LOOK_BACK), rules)
    today = marked.filter(pl.col("session").is_in(list(sessions)))
    sums = today.group_by("session").agg(pl.len(), pl.col("traded", "repeated").sum())
    own = {session: Counts(*counts) for session, *counts in sums.iter_rows()}
    told = {name: names_by_session(today.filter(name)) for name in _ODD}
    told = {"suspects": names_by_session(suspects), **told}
    return {
        session: [
            _wrong_day(session, own.get(session, Counts()), rules),
            _delivery(session, came, rules),
            *(
                _told(name, session, found.get(session, []), own.get(session, Counts()).bars)
                for name, found in told.items()
            ),
        ]
        for session in sessions
    }


def names_by_session(rows: pl.DataFrame) -> dict[date, list[str]]:
    """The symbols of each session that has any, in order."""
    found = rows.group_by("session").agg(pl.col("symbol").unique().sort())
    return dict(found.iter_rows())


class Counts(NamedTuple):
    """Bars of a session: all, those traded after one of the session before, those equal to it."""

    bars: int = 0
    traded: int = 0
    repeated: int = 0


def _marked(rows: pl.DataFrame, rules: WatchRules) -> pl.DataFrame:
    """Numbered bars with what each is against those of its symbol before it.

    Columns traded, repeated and _ODD, all boolean.
    """
    number, volume, most = pl.col("number"), pl.col("volume"), rules.max_volume_ratio
    step = number - number.shift().over("symbol")
    same = {name: pl.col(name).eq_missing(pl.col(name).shift().over("symbol")) for name in _BAR}
    stands = pl.all_horizontal(same[name] for name in _BAR[:4]) & (step == 1)
    is_known, real = rows["number"].unique().to_list(), pl.when(volume > 0).then(volume)
    usual = real.rolling_median_by("number", f"{USUAL}i", min_samples=LEAST, closed="left")
    found = rows.with_columns(
        traded=(step == 1) & (volume > 0),
        same=pl.all_horizontal(same.values()),
        run=(~stands.fill_null(value=False)).cum_sum().over("symbol"),
        missing_sessions=(step > 1) & (step <= LOOK_BACK) & (number - 1).is_in(is_known),
        ratio=real / usual.over("symbol"),
    )
    in_run = pl.int_range(pl.len()).over("symbol", "run") + 1
    return found.with_columns(
        pl.col("traded", "missing_sessions").fill_null(value=False),
        repeated=(pl.col("traded") & pl.col("same")).fill_null(value=False),
        stale_series=in_run >= rules.stale_sessions,
        volume_break=(~pl.col("ratio").is_between(1 / most, most)).fill_null(value=False),
    )


def _wrong_day(session: date, counts: Counts, rules: WatchRules) -> CheckOutcome:
    same, of = counts.repeated, counts.traded
    share = same / of if of else 0.0
    return CheckOutcome(
        name="wrong_day",
        passed=share <= rules.max_repeated_share,
        sentence=f"{session}: {same} of {of} traded bars are those of the session before"
        f" ({share:.0%}); at most {rules.max_repeated_share:.0%} is expected.",
        numbers={"repeated_share": share, "repeated": float(same)},
    )


def _delivery(session: date, counts: Mapping[date, int], rules: WatchRules) -> CheckOutcome:
    came = counts.get(session, 0)
    before = [counts[day] for day in session_window(session, USUAL + 1)[:-1] if day in counts]
    share = came / median(before) if before else 1.0
    return CheckOutcome(
        name="delivery",
        passed=rules.min_delivery_share <= share <= rules.max_delivery_share,
        sentence=f"{session}: {came} bars came, {share:.0%} of the usual number;"
        f" {rules.min_delivery_share:.0%} to {rules.max_delivery_share:.0%} is expected.",
        numbers={"bars": float(came), "share_of_usual": share},
        blocking=False,
    )


def _told(name: str, session: date, found: list[str], of: int) -> CheckOutcome:
    which = f": {listed(found)}" if found else ""
    return CheckOutcome(
        name=name,
        passed=not found,
        sentence=f"{session}: {name.replace('_', ' ')} of {len(found)} of {of} symbols{which}.",
        numbers={name: float(len(found)), "symbols": float(of)},
        blocking=False,
    )
