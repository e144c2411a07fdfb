"""Look at the account's vital signs, and stop trading when a rule of the breaker is reached.

What has been told is kept in the ledger's runs under the phase `breaker`, so that a restart neither
forgets a trip nor tells it twice. The halt is appended first: a process killed in between tells
once more, and never less.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from trading_pipeline.adapters.ledger import Ledger, Run, Standing
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.pnl import Mark, mark
from trading_pipeline.core.execution.order import Order, OrderState
from trading_pipeline.core.risk.breaker import Breaker, Trip, Value, Vitals, step
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.core.risk.states import is_stricter
from trading_pipeline.errors import ModelError, TransientError
from trading_pipeline.flows.halt import Withdrawn, standing, stop, tidings, withdraw
from trading_pipeline.flows.ports import Broker

_log = logging.getLogger(__name__)

BREAKER: Final = "breaker"
"""The phase of the rows that say what the breaker has told, and who stopped trading."""

SESSIONS: Final = 252
"""Sessions of NAV in which the peak is looked for."""

_ROWS: Final = 500
_ANSWERED: Final = frozenset(OrderState) - {
    OrderState.PLANNED,
    OrderState.BLOCKED,
    OrderState.SUBMITTING,
    OrderState.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveMarks:
    """Prices of now by symbol, and when the newest one was made (aware UTC)."""

    marks: Mapping[str, Mark]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a look found: the state trading is left in, the new trips, and what was taken back."""

    standing: Standing
    vitals: Vitals
    trips: tuple[Trip, ...]
    withdrawn: Withdrawn


def watch(
    ledger: Ledger,
    broker: Broker,
    *,
    rules: BreakerRules,
    now: datetime,
    live: LiveMarks | None = None,
    model: Callable[[], object] | None = None,
) -> Watched:
    """Evaluate the breaker once; append a trip, take back orders that increase, and alert.

    Without live marks the last snapshot is what the account is worth. `model` raises a ModelError
    when the model in use cannot be used. While trading is halted nothing can trip; while it is not
    ACTIVE, by whoever's word, open orders that do not only reduce are taken back.
    """
    vitals = vitals_of(ledger, broker, rules=rules, now=now, live=live, model=model)
    trips: tuple[Trip, ...] = ()
    if ledger.trading_state().state is not TradingState.HALTED:
        before = Breaker(told=told(ledger))
        after = step(before, vitals, rules)
        trips = after.trips
        _trip(ledger, trips, now)
        if after.told != before.told:
            _remember(ledger, after, vitals, now)
    found = standing(ledger, now=now, rules=rules)
    taken = Withdrawn()
    if found.state is not TradingState.ACTIVE:
        taken = withdraw(ledger, broker, now=now, reason=f"Trading is {found.state}.")
    return Watched(standing=found, vitals=vitals, trips=trips, withdrawn=taken)


def told(ledger: Ledger) -> dict[tuple[str, str], Decimal]:
    """Return what the breaker has told and is not over: the value then, by code and anchor."""
    for run in reversed(ledger.runs(_ROWS)):
        if run.phase == BREAKER:
            return {(code, anchor): Decimal(value) for code, anchor, value in run.detail["told"]}
    return {}


def vitals_of(
    ledger: Ledger,
    broker: Broker,
    *,
    rules: BreakerRules,
    now: datetime,
    live: LiveMarks | None = None,
    model: Callable[[], object] | None = None,
) -> Vitals:
    """Return the account's vital signs as they are now; nothing is written."""
    begun = ledger.first_session() is not None
    newest = _newest_orders(ledger.orders())
    failures, breaks = _ask(ledger, broker, rules) if begun else (0, ())
    answered = [order for order in newest if order.state in _ANSWERED]
    return Vitals(
        values=_values(ledger, live),
        minutes_behind=int((now - live.at).total_seconds() // 60) if live else None,
        broker_errors=failures + _unanswered(newest),
        answered=len(answered),
        rejected=sum(order.state is OrderState.REJECTED for order in answered),
        breaks=breaks,
        model_failures=_model_failures(model) if model and begun else (),
    )


def _values(ledger: Ledger, live: LiveMarks | None) -> list[Value]:
    snapshots = ledger.snapshots(SESSIONS)
    values = [Value(session=p.session, nav=p.nav, cash_in=p.cash_in) for p in snapshots]
    if live is not None:
        session: date = live.at.date()
        pnl = mark(replay(Book(), ledger.entries()), live.marks, session)
        values = [value for value in values if value.session < session]
        values.append(Value(session=session, nav=pnl.nav, cash_in=pnl.cash_in))
    return values


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


def _ask(ledger: Ledger, broker: Broker, rules: BreakerRules) -> tuple[int, Sequence[str]]:
    """Return how often in a row the broker did not answer, and where our book differs from its.

    A difference counts when two looks find it: a fill may fall between the book and the account.
    """
    failures = 0
    while failures < rules.max_broker_errors:
        try:
            first = _breaks(ledger, broker)
            again = _breaks(ledger, broker) if first else ()
            return failures, [each for each in first if each in again]
        except TransientError:
            failures += 1
    return failures, ()


def _breaks(ledger: Ledger, broker: Broker) -> list[str]:
    account, news = broker.account(), tidings(ledger, broker)
    book = replay(Book(), [*ledger.entries(), *news.fills, *news.entries])
    ours = {p.symbol: p.quantity for p in book.positions.values() if p.quantity}
    found = [
        f"{ours.get(symbol, 0)} shares of {symbol} against {account.positions.get(symbol, 0)}"
        for symbol in sorted(ours.keys() | account.positions.keys())
        if ours.get(symbol, 0) != account.positions.get(symbol, 0)
    ]
    if book.cash != account.cash:
        found.append(f"{book.cash} dollars of cash against {account.cash}")
    return found


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


def _remember(ledger: Ledger, breaker: Breaker, vitals: Vitals, now: datetime) -> None:
    session = vitals.values[-1].session if vitals.values else now.date()
    kept = [[code, anchor, str(value)] for (code, anchor), value in breaker.told.items()]
    names = [trip.code for trip in breaker.trips]
    detail = {"told": kept, "trips": names}
    run = Run(run_id=BREAKER, phase=BREAKER, session=session, at=now, detail=detail)
    ledger.append_run(run)
