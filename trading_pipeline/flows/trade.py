"""Decide a session's orders once, and get each of them to the broker exactly once.

The decision is appended before anything is sent, and SUBMITTING before the wire: whatever is found
in the ledger afterwards says what may have happened. What may have reached the broker is looked up
there before it is sent again, always under the same id.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from typing import Final

import polars as pl

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, Entry, expect, replay
from trading_pipeline.core.accounting.pnl import Mark, mark
from trading_pipeline.core.execution.order import OPEN, Decision, Order, OrderState, move
from trading_pipeline.core.portfolio.rebalance import SizingRules, plan
from trading_pipeline.core.risk.gate import RiskView, gate
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.errors import RejectedError, SettingsError, TransientError
from trading_pipeline.flows.halt import standing
from trading_pipeline.flows.order_updates import catch_up, hear
from trading_pipeline.flows.ports import Broker
from trading_pipeline.flows.risk_view import MarketFacts, view_of

_log = logging.getLogger(__name__)

CLOSE: Final = "close"
"""The source of the marks that orders are sized at."""

_LOST: Final = frozenset({OrderState.SUBMITTING, OrderState.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """Whose orders for which session, by which run and model, within which rules.

    With `dry_run` the orders are planned and judged, and nothing is written or sent.
    """

    strategy: str
    session: date
    run_id: str
    model_version: str
    sizing: SizingRules
    limits: RiskLimits
    facts: MarketFacts | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """The decision, its orders as they stand, and why other symbols have none.

    `new` says whether this call took the decision; otherwise it carried on with the one it found.
    """

    decision: Decision
    orders: tuple[Order, ...]
    skips: Mapping[str, str]
    new: bool


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What there is to decide on: the book with open orders as filled, and its value."""

    view: RiskView
    book: Book
    nav: Decimal


def trade(
    ledger: Ledger,
    broker: Broker,
    targets: pl.DataFrame,
    marks: Mapping[str, Decimal],
    *,
    mandate: Mandate,
    now: datetime,
) -> Traded:
    """Take the session's decision if there is none yet, and send what has not been sent.

    `targets` are the target_weights of the session; `marks` its raw closes in dollars by symbol. A
    decision that exists is carried on with, whatever `targets` say now. Trading that was halted
    since blocks what was planned. A lost answer leaves the order UNKNOWN, and the next call looks
    it up. Settle through the session first: the orders are the difference to the settled book.

    Raises SettingsError for a session without a decision of its own that lies before the strategy's
    last one, or whose next open has been settled. A failure of the broker other than a lost answer
    is raised; the call may be repeated.
    """
    key = (mandate.strategy, mandate.session)
    if ledger.decision(*key) is not None:
        return _carry_on(ledger, broker, marks, mandate=mandate, now=now)
    _require_turn(ledger, mandate)
    decision, orders, skips = _decide(
        _outlook(ledger, broker, marks, mandate, now=now), targets, mandate=mandate, now=now
    )
    if mandate.dry_run:
        return Traded(decision=decision, orders=tuple(orders), skips=skips, new=True)
    new = ledger.record_decision(decision, orders, skips)
    _log.info("orders decided", extra={"orders": len(orders), "skips": len(skips), "new": new})
    traded = _carry_on(ledger, broker, marks, mandate=mandate, now=now)
    return replace(traded, new=new)


def _require_turn(ledger: Ledger, mandate: Mandate) -> None:
    session, last = mandate.session, ledger.last_decision(mandate.strategy)
    if last is not None and session < last.session:
        raise SettingsError(
            f"{mandate.strategy} has decided {last.session} already: {session} lies before it and "
            "was not traded, so it cannot be now."
        )
    settled = ledger.last_settlement()
    if settled is not None and session < settled:
        raise SettingsError(
            f"{settled} is settled already: orders of {session}, for an open before its close, "
            "cannot be sent any more."
        )


def _decide(
    outlook: _Outlook, targets: pl.DataFrame, *, mandate: Mandate, now: datetime
) -> tuple[Decision, list[Order], dict[str, str]]:
    planned = plan(
        targets,
        outlook.book,
        outlook.view.marks,
        session=mandate.session,
        strategy=mandate.strategy,
        rules=mandate.sizing,
    )
    decision = Decision(
        strategy=mandate.strategy,
        session=mandate.session,
        run_id=mandate.run_id,
        model_version=mandate.model_version,
        capital=mandate.sizing.capital,
        nav=outlook.nav,
        decided_at=now,
    )
    skips = {skip.symbol: skip.reason.value for skip in planned.skips}
    return decision, gate(planned.orders, outlook.view), skips


def _outlook(
    ledger: Ledger,
    broker: Broker,
    marks: Mapping[str, Decimal],
    mandate: Mandate,
    *,
    now: datetime,
) -> _Outlook:
    """Return the book of the session, with what is on its way to the market as if filled."""
    entries, orders = ledger.entries(), ledger.orders(states=OPEN)
    if mandate.dry_run:  # nothing was settled, so hear what settling would bring
        entries, orders = _heard(broker, entries, orders)
    settled = replay(Book(), (entry for entry in entries if entry.session <= mandate.session))
    closes = {symbol: Mark(price=price, source=CLOSE) for symbol, price in marks.items()}
    others = [order for order in orders if not _is_own_plan(order, mandate)]
    book = reduce(lambda held, one: expect(held, one, one.reference_price), others, settled)
    whose = (mandate.strategy, mandate.session)
    known = view_of(
        ledger, limits=mandate.limits, marks=marks, now=now, besides=whose, facts=mandate.facts
    )
    view = replace(known, book=settled, open_orders=others)
    return _Outlook(view, book, mark(settled, closes, mandate.session).nav)


def _heard(
    broker: Broker, entries: list[Entry], orders: list[Order]
) -> tuple[list[Entry], list[Order]]:
    news = hear(broker, orders, entries)
    moved = {order.client_order_id: order for order in news.orders}
    now = [moved.get(order.client_order_id, order) for order in orders]
    return [*entries, *news.fills, *news.entries], [o for o in now if o.state in OPEN]


def _is_own_plan(order: Order, mandate: Mandate) -> bool:
    own = (order.strategy, order.session) == (mandate.strategy, mandate.session)
    return own and order.state is OrderState.PLANNED


def _carry_on(
    ledger: Ledger,
    broker: Broker,
    marks: Mapping[str, Decimal],
    *,
    mandate: Mandate,
    now: datetime,
) -> Traded:
    """Send what the decision has not sent, and return all of it as it stands."""
    strategy, session = mandate.strategy, mandate.session
    if not mandate.dry_run:
        _look_up(ledger, broker, mandate, now)  # what an earlier process left in doubt
        _send(ledger, broker, _released(ledger, broker, marks, mandate=mandate, now=now), now)
        _look_up(ledger, broker, mandate, now)  # what was lost just now
    return decided(ledger, strategy, session)


def decided(ledger: Ledger, strategy: str, session: date) -> Traded:
    """Return a decision of the ledger with its orders as they stand; SettingsError without one."""
    decision = ledger.decision(strategy, session)
    if decision is None:
        raise SettingsError(f"{strategy} has not decided {session}: there is nothing to carry on.")
    return Traded(
        decision=decision,
        orders=tuple(ledger.orders(strategy=strategy, session=session)),
        skips=ledger.skips(strategy, session),
        new=False,
    )


def _released(
    ledger: Ledger,
    broker: Broker,
    marks: Mapping[str, Decimal],
    *,
    mandate: Mandate,
    now: datetime,
) -> list[Order]:
    """Return the planned orders, SUBMITTING as of now; those a later halt forbids are blocked."""
    strategy, session = mandate.strategy, mandate.session
    planned = ledger.orders(strategy=strategy, session=session, states=[OrderState.PLANNED])
    if planned:  # once more, now that what others decided meanwhile is on record too
        planned = gate(planned, _outlook(ledger, broker, marks, mandate, now=now).view)
    moved = [
        order if order.state is OrderState.BLOCKED else move(order, OrderState.SUBMITTING)
        for order in planned
    ]
    if moved:
        ledger.append(at=now, orders=moved)
    return [order for order in moved if order.state is OrderState.SUBMITTING]


def _look_up(ledger: Ledger, broker: Broker, mandate: Mandate, now: datetime) -> None:
    """Settle the doubt about orders that may have reached the broker: found, or sent again.

    Nothing is sent again while trading is not ACTIVE.
    """
    lost = ledger.orders(strategy=mandate.strategy, session=mandate.session, states=_LOST)
    rules = mandate.limits.breaker
    for order in lost:
        try:
            found = broker.find(order.client_order_id)
        except TransientError:
            _log.warning("order not looked up", extra={"order": order.client_order_id})
            continue
        if found is not None:
            ledger.append(at=now, orders=catch_up(order, found, ()))
        elif standing(ledger, now=now, rules=rules).state is TradingState.ACTIVE:
            _send(ledger, broker, [_again(ledger, order, now)], now)


def _again(ledger: Ledger, order: Order, now: datetime) -> Order:
    if order.state is OrderState.UNKNOWN:
        order = move(order, OrderState.SUBMITTING)
        ledger.append_event(order, at=now)
    return order


def _send(ledger: Ledger, broker: Broker, orders: Sequence[Order], now: datetime) -> None:
    """Put each order on the wire and append the answer before the next one goes."""
    for order in orders:
        try:
            steps = catch_up(order, broker.submit(order), ())
        except (TransientError, RejectedError) as error:
            # The answer was lost, or the broker has had this id before: only a look-up can tell.
            _log.warning("order unknown", extra={"order": order.client_order_id, "why": str(error)})
            steps = [move(order, OrderState.UNKNOWN)]
        ledger.append(at=now, orders=steps)
        _log.info("order sent", extra={"order": order.client_order_id, "state": steps[-1].state})
