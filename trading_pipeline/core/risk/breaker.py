"""The circuit breaker: when trading stops by itself. Trips are values; a flow appends them.

A trip is told once. The same cause, such as the loss of one session, trips again only when it is
over, or has grown by the whole limit: a person who released it is not overruled the next minute,
and a loss that goes on is stopped again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Final

from trading_pipeline.core.market.calendar import previous_session
from trading_pipeline.core.risk.limits import BreakerRules, TradingState

BREAKER: Final = "breaker"
"""Who says so when trading is stopped by rule."""

CASH_COUNTS: Final = 3
"""As how many breaks cash that does not tie counts: it says that something is missing."""

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What the account was worth in a session, and the cash put in so far, in dollars."""

    session: date
    nav: Decimal
    cash_in: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What the breaker looks at. `values` are oldest first, one a session, the last one newest.

    `minutes_behind` is the age of the newest live mark, None without live marks; `broker_errors`
    are calls in a row that got no answer; `answered` and `rejected` are orders of the newest
    session; `breaks` and `model_failures` are sentences, `is_untied` that cash is among the breaks.
    """

    values: Sequence[Value]
    minutes_behind: int | None = None
    broker_errors: int = 0
    answered: int = 0
    rejected: int = 0
    breaks: Sequence[str] = ()
    is_untied: bool = False
    model_failures: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """That a rule was reached: its code, of what (`anchor`), the numbers, and what follows."""

    code: str
    anchor: str
    value: Decimal
    limit: Decimal
    state: TradingState
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """What has been told, by (code, anchor), with its value then; and the trips that are new."""

    told: Mapping[tuple[str, str], Decimal] = field(default_factory=dict[tuple[str, str], Decimal])
    trips: tuple[Trip, ...] = ()


def step(breaker: Breaker, vitals: Vitals, rules: BreakerRules) -> Breaker:
    """Return the breaker after a look at `vitals`; `trips` are those not told before."""
    reached = {(trip.code, trip.anchor): trip for trip in _reached(vitals, rules)}
    trips = tuple(trip for key, trip in reached.items() if _is_news(trip, breaker.told.get(key)))
    told = {key: value for key, value in breaker.told.items() if key in reached}
    told |= {(trip.code, trip.anchor): trip.value for trip in trips}
    return Breaker(told=told, trips=trips)


def daily_loss(values: Sequence[Value]) -> Decimal:
    """Return 1 − (NAV − cash put in since) / NAV before, of the newest session; 0 for the first.

    The loss of an account that was worth nothing before is counted as everything when it has lost.
    """
    if len(values) < 2:
        return ZERO
    before, now = values[-2:]
    lost = before.nav - (now.nav - (now.cash_in - before.cash_in))
    if before.nav > 0:
        return lost / before.nav
    return Decimal(1) if lost > 0 else ZERO


def drawdown(values: Sequence[Value]) -> tuple[Decimal, date | None]:
    """Return 1 − NAV / peak at the newest session, and the session of the peak.

    Where cash is put in or taken out, the peak is scaled with the NAV: c dollars that make NAV of
    N − c an N make a peak of P one of P·N / (N − c). So a deposit is no gain, a withdrawal no loss.
    """
    peak, at = (values[0].nav, values[0].session) if values else (ZERO, None)
    for before, now in pairwise(values):
        earned = now.nav - (now.cash_in - before.cash_in)
        if earned >= peak:
            peak, at = earned, now.session
        if earned > 0 and now.nav > 0:
            peak = peak if earned == now.nav else peak * now.nav / earned
    return (1 - values[-1].nav / peak if values and peak > 0 else ZERO), at


def _is_news(trip: Trip, told: Decimal | None) -> bool:
    return told is None or trip.value >= told + trip.limit


def _reached(vitals: Vitals, rules: BreakerRules) -> Iterator[Trip]:
    yield from _losses(vitals, rules)
    session = str(vitals.values[-1].session) if vitals.values else ""
    broken = len(vitals.breaks) + (CASH_COUNTS - 1) * vitals.is_untied
    counts = (
        ("stale_data", vitals.minutes_behind or 0, rules.max_minutes_behind),
        ("broker_errors", vitals.broker_errors, rules.max_broker_errors),
        ("reconciliation", broken, rules.max_breaks),
        ("model_failure", len(vitals.model_failures), rules.max_model_failures),
    )
    says = {
        "stale_data": "The newest price is {value} minutes old: the limit is {limit}.",
        "broker_errors": "The broker left {value} calls in a row unanswered: the limit is {limit}.",
        "reconciliation": f"Our book and the broker's differ: {'; '.join(vitals.breaks)}.",
        "model_failure": f"The model cannot be used: {'; '.join(vitals.model_failures)}",
    }
    for code, value, limit in counts:
        if value >= limit:
            # what is held is not known: no order can be said to reduce it
            halts = code == "reconciliation"
            yield Trip(
                code=code,
                anchor=session,
                value=Decimal(value),
                limit=Decimal(limit),
                state=TradingState.HALTED if halts else TradingState.REDUCING,
                sentence=says[code].format(value=value, limit=limit)
                if code in {"stale_data", "broker_errors"}
                else says[code],
            )
    yield from _rejects(vitals, rules, session)


def _when(values: Sequence[Value]) -> str:
    """In the newest session, or since the last one in which the account was valued."""
    session = values[-1].session
    before = values[-2].session if len(values) > 1 else previous_session(session)
    return f"in {session}" if before == previous_session(session) else f"since {before}"


def _losses(vitals: Vitals, rules: BreakerRules) -> Iterator[Trip]:
    if not vitals.values:
        return
    session, loss = vitals.values[-1].session, daily_loss(vitals.values)
    if loss >= rules.max_daily_loss:
        yield Trip(
            code="daily_loss",
            anchor=str(session),
            value=loss,
            limit=rules.max_daily_loss,
            state=TradingState.REDUCING,
            sentence=f"The account lost {loss:.2%} {_when(vitals.values)}: the limit is "
            f"{rules.max_daily_loss:.2%}.",
        )
    fall, peak = drawdown(vitals.values)
    if fall >= rules.max_drawdown:
        yield Trip(
            code="drawdown",
            anchor=str(peak),
            value=fall,
            limit=rules.max_drawdown,
            state=TradingState.REDUCING,
            sentence=f"The account has fallen {fall:.2%} from its peak of {peak}: the limit is "
            f"{rules.max_drawdown:.2%}.",
        )


def _rejects(vitals: Vitals, rules: BreakerRules, session: str) -> Iterator[Trip]:
    if vitals.answered < rules.min_answered_orders:
        return
    if vitals.rejected >= rules.max_reject_rate * vitals.answered:
        yield Trip(
            code="reject_rate",
            anchor=session,
            value=Decimal(vitals.rejected) / vitals.answered,
            limit=rules.max_reject_rate,
            state=TradingState.REDUCING,
            sentence=f"The broker rejected {vitals.rejected} of {vitals.answered} orders of "
            f"{session}: the limit is {rules.max_reject_rate:.0%}.",
        )
