"""Look at the account's vital signs, and stop trading when a rule of the breaker is reached.

What has been told, and its alert with it, is kept in the ledger's runs under a phase of its own, so
that a restart neither forgets a trip nor tells it twice. The halt is appended first: a process
killed in between halts once more, and never less.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from trading_pipeline.adapters.ledger import Ledger, Run, Standing
from trading_pipeline.core.accounting.pnl import Mark, Pnl, mark
from trading_pipeline.core.execution.breaks import Break
from trading_pipeline.core.execution.order import Order, OrderState
from trading_pipeline.core.market.calendar import previous_session
from trading_pipeline.core.risk.breaker import BREAKER, Breaker, Trip, Value, Vitals, step
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.core.risk.states import is_stricter
from trading_pipeline.errors import ModelError, TransientError
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.halt import Withdrawn, standing, stop, withdraw
from trading_pipeline.flows.ports import Broker
from trading_pipeline.flows.reconcile import reconcile

_log = logging.getLogger(__name__)

SESSIONS: Final = 252
"""Sessions of NAV in which the peak is looked for."""

_TRIPS: Final = 500
_ANSWERED: Final = frozenset(OrderState) - {
    OrderState.PLANNED,
    OrderState.BLOCKED,
    OrderState.SUBMITTING,
    OrderState.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What the holdings are worth in `session`, by symbol.

    Live ones bear when the newest of them was made (aware UTC); closes do not grow stale.
    """

    marks: Mapping[str, Mark]
    session: date
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a look found: the state trading is left in, the new trips, and what was taken back."""

    standing: Standing
    vitals: Vitals
    trips: tuple[Trip, ...]
    withdrawn: Withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """That a rule of the breaker was reached: which, in which session, and when it was told."""

    code: str
    sentence: str
    session: date
    at: datetime


def watch(
    ledger: Ledger,
    broker: Broker,
    *,
    rules: BreakerRules,
    now: datetime,
    prices: Prices | None = None,
    model: Callable[[], object] | None = None,
) -> Watched:
    """Evaluate the breaker once; append a trip, take back orders that increase, and alert.

    Without `prices`, or with those of a session before it, the last snapshot is what the account is
    worth. `model` raises a ModelError when the model in use cannot be used. While trading is halted
    nothing can trip; while it is not ACTIVE, by whoever's word, open orders that do not only reduce
    are taken back.
    """
    vitals = vitals_of(ledger, broker, rules=rules, now=now, prices=prices, model=model)
    trips: tuple[Trip, ...] = ()
    if ledger.trading_state().state is not TradingState.HALTED:
        last = _last(ledger)
        before = Breaker(told=_told(last))
        after = step(before, vitals, rules)
        trips = after.trips
        _trip(ledger, trips, now)
        if after.told != before.told:
            _remember(ledger, after, vitals, last=last, now=now)
    found = standing(ledger, now=now, rules=rules)
    taken = Withdrawn()
    if found.state is not TradingState.ACTIVE:
        taken = withdraw(ledger, broker, now=now, reason=f"Trading is {found.state}.")
    return Watched(standing=found, vitals=vitals, trips=trips, withdrawn=taken)


def alerts(ledger: Ledger) -> list[Alert]:
    """Return what the breaker has told, oldest first: each trip once, for whoever delivers it."""
    return [
        Alert(code=told["code"], sentence=told["sentence"], session=run.session, at=run.at)
        for run in ledger.runs(_TRIPS, BREAKER)
        for told in run.detail["alerts"]
    ]


def told(ledger: Ledger) -> dict[tuple[str, str], Decimal]:
    """Return what the breaker has told and is not over: the value then, by code and anchor."""
    return _told(_last(ledger))


def valued(ledger: Ledger, prices: Prices) -> Pnl:
    """Return the account at these prices, with everything that is booked by their session."""
    return mark(book_of(ledger, prices.session), prices.marks, prices.session)


def values_of(past: Sequence[Value], live: Pnl | None) -> list[Value]:
    """Return the values that losses are counted from: of each session, oldest first, and now's.

    `past` are those of the last SESSIONS snapshots at most. Where it is all there are, the cash put
    in stands before the first. A `live` one of an older session than the newest is left out.
    """
    values = list(past)
    if live and not (values and live.session < values[-1].session):
        values = [*(value for value in past if value.session < live.session), _value(live)]
    return values if len(values) >= SESSIONS else [*_opening(values[:1]), *values]


def vitals_of(
    ledger: Ledger,
    broker: Broker,
    *,
    rules: BreakerRules,
    now: datetime,
    prices: Prices | None = None,
    model: Callable[[], object] | None = None,
) -> Vitals:
    """Return the account's vital signs as they are now; nothing is written."""
    begun = ledger.first_session() is not None
    newest = _newest_orders(ledger.orders())
    failures, held = _ask(ledger, broker, rules=rules, now=now) if begun else (0, ())
    answered = [order for order in newest if order.state in _ANSWERED]
    return Vitals(
        values=_values(ledger, prices),
        minutes_behind=_minutes_since(prices.made_at if prices else None, now),
        broker_errors=failures + _unanswered(newest),
        answered=len(answered),
        rejected=sum(order.state is OrderState.REJECTED for order in answered),
        breaks=[each.figures for each in held],
        is_untied=any(each.blocks_everything for each in held),
        model_failures=_model_failures(model) if model and begun else (),
    )


def _values(ledger: Ledger, prices: Prices | None) -> list[Value]:
    past = [_value(pnl) for pnl in ledger.snapshots(SESSIONS)]
    return values_of(past, valued(ledger, prices) if prices else None)


def _value(pnl: Pnl) -> Value:
    return Value(session=pnl.session, nav=pnl.nav, cash_in=pnl.cash_in)


def _opening(first: list[Value]) -> list[Value]:
    """What the account was worth before it was first valued: the cash put in."""
    return [
        replace(value, session=previous_session(value.session), nav=value.cash_in)
        for value in first
        if value.cash_in > 0
    ]


def _minutes_since(made_at: datetime | None, now: datetime) -> int | None:
    return int((now - made_at).total_seconds() // 60) if made_at else None


def _newest_orders(orders: Sequence[Order]) -> list[Order]:
    last = max((order.session for order in orders), default=None)
    return [order for order in orders if order.session == last]


def _unanswered(orders: Sequence[Order]) -> int:
    """Count the orders in a row, from the last one sent back, that got no answer."""
    sent = [o for o in orders if o.state is OrderState.UNKNOWN or o.state in _ANSWERED]
    count = 0
    for order in reversed(sent):
        if order.state is not OrderState.UNKNOWN:
            break
        count += 1
    return count


def _ask(
    ledger: Ledger, broker: Broker, *, rules: BreakerRules, now: datetime
) -> tuple[int, Sequence[Break]]:
    """Return how often in a row the broker did not answer, and the breaks that are held."""
    failures = 0
    while failures < rules.max_broker_errors:
        try:
            return failures, reconcile(ledger, broker, cause=BREAKER, now=now, write=False).held
        except TransientError:
            failures += 1
    return failures, ()


def _model_failures(model: Callable[[], object]) -> tuple[str, ...]:
    try:
        model()
    except ModelError as error:
        return (str(error),)
    return ()


def _trip(ledger: Ledger, trips: Sequence[Trip], now: datetime) -> None:
    for trip in trips:
        facts = {"code": trip.code, "value": str(trip.value), "limit": str(trip.limit)}
        _log.error("breaker tripped", extra={**facts, "why": trip.sentence})
    if not trips:
        return
    state = trips[0].state
    for trip in trips:
        state = trip.state if is_stricter(trip.state, state) else state
    stop(ledger, state, who=BREAKER, reason=" ".join(t.sentence for t in trips), now=now)


def _last(ledger: Ledger) -> Run | None:
    return next(iter(ledger.runs(1, BREAKER)), None)


def _told(last: Run | None) -> dict[tuple[str, str], Decimal]:
    if last is None:
        return {}
    return {(code, anchor): Decimal(value) for code, anchor, value in last.detail["told"]}


def _remember(
    ledger: Ledger, breaker: Breaker, vitals: Vitals, *, last: Run | None, now: datetime
) -> None:
    """Keep what is told from now on, unless another process that looked as well came first."""
    session = vitals.values[-1].session if vitals.values else now.date()
    kept = [[code, anchor, str(value)] for (code, anchor), value in breaker.told.items()]
    alerts = [{"code": trip.code, "sentence": trip.sentence} for trip in breaker.trips]
    detail = {"told": kept, "alerts": alerts}
    run = Run(run_id=BREAKER, phase=BREAKER, session=session, at=now, detail=detail)
    ledger.append_run_after(last, run)
