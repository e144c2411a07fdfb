"""Stop trading, let it go on, and take back orders that have not been filled."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trading_pipeline.adapters.ledger import Ledger, Standing
from trading_pipeline.core.execution.order import OPEN, Order, OrderState, move
from trading_pipeline.core.risk.gate import gate, planned_anew
from trading_pipeline.core.risk.limits import BreakerRules, RiskLimits, TradingState
from trading_pipeline.core.risk.states import HaltEvent
from trading_pipeline.core.risk.states import standing as standing_of
from trading_pipeline.core.risk.view import RiskView
from trading_pipeline.errors import AdapterError
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.order_updates import News, hear
from trading_pipeline.flows.ports import Broker

_log = logging.getLogger(__name__)

_AT_BROKER: Final = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """Orders that were canceled, and those that were to be and may still fill."""

    canceled: tuple[Order, ...] = ()
    standing: tuple[Order, ...] = ()


def standing(ledger: Ledger, *, now: datetime, rules: BreakerRules) -> Standing:
    """Return what trading may do at `now`, the quiet period after a release included."""
    last = ledger.trading_state()
    event = HaltEvent(state=last.state, who=last.who, reason=last.reason, at=last.at)
    found = standing_of([event], now, rules)
    return Standing(found.state, found.reason, found.who, found.at)


def stop(ledger: Ledger, state: TradingState, *, who: str, reason: str, now: datetime) -> Standing:
    """Append that trading is HALTED or REDUCING from now on; it counts for the next order."""
    ledger.append_halt(state, who=who, reason=reason, at=now)
    _log.info("trading stopped", extra={"state": state.value, "who": who, "why": reason})
    return Standing(state, reason, who, now)


def release(
    ledger: Ledger, *, who: str, reason: str, now: datetime, rules: BreakerRules
) -> Standing:
    """Append that a person lets trading go on: reducing orders now, all after the quiet period.

    A release that stands already is not appended again, so its quiet period is not drawn out.
    """
    if ledger.trading_state().state is not TradingState.ACTIVE:
        ledger.append_halt(TradingState.ACTIVE, who=who, reason=reason, at=now)
        _log.info("trading released", extra={"who": who, "why": reason})
    return standing(ledger, now=now, rules=rules)


def withdraw(
    ledger: Ledger, broker: Broker, *, now: datetime, reason: str, everything: bool = False
) -> Withdrawn:
    """Cancel the open orders that do not only reduce, or all of them.

    An order not sent yet is canceled in the ledger; one at the broker is asked back where the
    broker can do that. Orders in doubt, those the broker keeps and those it does not answer about
    are returned as standing: they may still fill, and the gate counts on it.
    """
    doomed = _doomed(ledger, everything=everything)
    ours = [order for order in doomed if order.state is OrderState.PLANNED]
    canceled = [move(order, OrderState.CANCELED, code="withdrawn", reason=reason) for order in ours]
    if canceled:
        ledger.append(at=now, orders=canceled)
    names = {order.client_order_id for order in doomed} - {o.client_order_id for o in ours}
    if _ask_back(broker, [order for order in doomed if order.client_order_id in names]):
        news = tidings(ledger, broker)
        ledger.append(at=now, orders=news.orders, fills=news.fills, entries=news.entries)
    left = {order.client_order_id: order for order in ledger.orders(states=OPEN)}
    gone = [order for order in doomed if order.client_order_id in names - left.keys()]
    done = Withdrawn(
        canceled=(*canceled, *gone),
        standing=tuple(left[name] for name in sorted(names & left.keys())),
    )
    if doomed:
        counts = {"canceled": len(done.canceled), "standing": len(done.standing)}
        _log.info("orders withdrawn", extra=counts)
    return done


def tidings(ledger: Ledger, broker: Broker) -> News:
    """Return what the broker tells beyond what the ledger holds; nothing is written."""
    return hear(ledger, broker, ledger.orders(states=OPEN))


def _doomed(ledger: Ledger, *, everything: bool) -> list[Order]:
    orders = ledger.orders(states=OPEN)
    if everything or not orders:
        return orders
    view = RiskView(
        state=TradingState.REDUCING,
        state_reason="",
        book=book_of(ledger),
        marks={},
        limits=RiskLimits(),
    )
    judged = gate([planned_anew(order) for order in orders], view)
    return [
        order
        for order, verdict in zip(orders, judged, strict=True)
        if verdict.state is OrderState.BLOCKED
    ]


def _ask_back(broker: Broker, orders: Sequence[Order]) -> bool:
    """Ask for each order at the broker; return whether anything may have moved."""
    asked = False
    for order in orders:
        if order.state not in _AT_BROKER:
            continue
        try:
            broker.cancel(order.client_order_id)
            asked = True
        except AdapterError as error:
            facts = {"order": order.client_order_id, "why": str(error)}
            _log.warning("order not canceled", extra=facts)
    return asked
