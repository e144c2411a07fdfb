"""Get orders to the broker exactly once: SUBMITTING is on record before the wire.

What may have reached the broker is looked up there before it is sent again, always under the same
id. An answer that does not come leaves the order UNKNOWN: neither sent nor not.
"""

import logging
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.account import BrokerOrder
from trading_pipeline.core.execution.order import OPEN, Order, OrderState, move
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.errors import RejectedError, TradingError, TransientError
from trading_pipeline.flows.halt import standing
from trading_pipeline.flows.order_updates import SENT, catch_up
from trading_pipeline.flows.ports import Broker

_log = logging.getLogger(__name__)

ROUNDS: Final = 4
"""How often what was lost is looked up, and sent again where the broker does not know it."""

PATIENCE: Final = 3
"""Lost answers in a row after which nothing more is sent before a look-up."""

IN_DOUBT: Final = frozenset({OrderState.SUBMITTING, OrderState.UNKNOWN})


def send(ledger: Ledger, broker: Broker, order: Order, *, now: datetime) -> bool:
    """Put an order, SUBMITTING on record, on the wire; append its answer and return if it came."""
    try:
        steps, answered = catch_up(order, broker.submit(order), ()), True
    except (TransientError, RejectedError) as error:
        # The answer was lost, or the broker has had this id before: only a look-up can tell.
        _log.warning("order unknown", extra={"order": order.client_order_id, "why": str(error)})
        steps, answered = [move(order, OrderState.UNKNOWN)], False
    ledger.append(at=now, orders=steps)
    _log.info("order sent", extra={"order": order.client_order_id, "state": steps[-1].state})
    return answered


def in_turn(
    ledger: Ledger, orders: Sequence[Order], key: tuple[str, date], *, now: datetime
) -> list[Order]:
    """Return those of a decision's orders, (strategy, session), whose turn has come.

    The leg that opens the other side of a position waits, planned, until the leg that closes it
    has filled; when that has ended otherwise, it is canceled. Nor is it sent while another
    decision's order for the symbol is out, and no order against one of the other side: the broker
    would take it for a wash trade, or for more than there is.
    """
    decided = ledger.orders(strategy=key[0], session=key[1])
    out = [one for one in ledger.orders(states=SENT) if (one.strategy, one.session) != key]
    ready: list[Order] = []
    for order in orders:
        states = {one.state for one in decided if _is_leg_ahead(one, order)}
        if states <= {OrderState.FILLED}:
            others = [one for one in out if one.symbol == order.symbol]
            if not others or not (states or {one.side for one in others} - {order.side}):
                ready.append(order)
        elif not states & OPEN:
            reason = "The order that was to close the position first has ended without doing so."
            ledger.append_event(move(order, OrderState.CANCELED, reason=reason), at=now)
    return ready


def _is_leg_ahead(one: Order, order: Order) -> bool:
    same = (one.symbol, one.side) == (order.symbol, order.side)
    return same and one.sequence < order.sequence


def resolve(
    ledger: Ledger,
    broker: Broker,
    key: tuple[str, date],
    *,
    rules: BreakerRules,
    now: datetime,
) -> bool:
    """Settle the doubt about orders of a decision, (strategy, session): found, or sent again.

    Up to ROUNDS times; what is still in doubt then, False, stays so for the next call. Nothing is
    sent again while trading is not ACTIVE. Raises TradingError when the broker holds another order
    under an id of ours.
    """
    for last in range(ROUNDS + 1):
        lost = ledger.orders(strategy=key[0], session=key[1], states=IN_DOUBT)
        if not lost:
            return True
        if last == ROUNDS:
            break
        for order in _still_absent(ledger, broker, lost, now):
            if standing(ledger, now=now, rules=rules).state is TradingState.ACTIVE:
                send(ledger, broker, _again(ledger, order, now), now=now)
    return False


def _still_absent(
    ledger: Ledger, broker: Broker, lost: Sequence[Order], now: datetime
) -> list[Order]:
    """Append what the broker knows of `lost`, and return the rest; nothing while it is mute."""
    try:
        found = broker.find_all([order.client_order_id for order in lost])
    except TransientError as error:
        _log.warning("orders not looked up", extra={"orders": len(lost), "why": str(error)})
        return []
    for order in lost:
        if (there := found.get(order.client_order_id)) is not None:
            _require_same(order, there)
            ledger.append(at=now, orders=catch_up(order, there, ()))
    return [order for order in lost if order.client_order_id not in found]


def _again(ledger: Ledger, order: Order, now: datetime) -> Order:
    if order.state is OrderState.UNKNOWN:
        order = move(order, OrderState.SUBMITTING)
        ledger.append_event(order, at=now)
    return order


def _require_same(order: Order, found: BrokerOrder) -> None:
    ours = (order.symbol, order.side, order.quantity)
    if found.body not in {None, ours}:
        raise TradingError(
            f"The broker has {found.body} under the id {order.client_order_id}: expected {ours}."
        )
