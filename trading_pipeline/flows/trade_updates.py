"""Bring what the broker tells of orders into the ledger once, by whatever way it is told.

A stream tells at once but forgets what happened while it was away; looks at the broker find
everything, later; a relay may tell anything twice. All of them end here: an order's cumulative
fills say what is new.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import OPEN, Fill, Order, OrderState
from trading_pipeline.core.execution.reports import Connected, Update, gained, is_gap
from trading_pipeline.errors import TradingError, TransientError
from trading_pipeline.flows.order_updates import catch_up, hear
from trading_pipeline.flows.ports import Broker

_log = logging.getLogger(__name__)

ATTEMPTS: Final = 5
"""How often a report is weighed anew when another process booked something in between."""

_ATTENTION_SECONDS: Final = 1.0
"""How long a silence may last before `is_over` is asked again."""

_UNSENT: Final = frozenset({OrderState.PLANNED, OrderState.BLOCKED})


class Outcome(StrEnum):
    """What became of a report."""

    BOOKED = "booked"
    NOTHING_NEW = "nothing new"
    IGNORED = "ignored"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What became of a report, why, and of ours the order as it stands after it and its new fill.

    `unknown_status` is a word of the broker's for the order's status that we do not know.
    """

    outcome: Outcome
    why: str = ""
    order: Order | None = None
    fill: Fill | None = None
    unknown_status: str | None = None


class Updates(Protocol):
    """A stream of what happens to orders."""

    def next(self, seconds: float) -> Connected | Update | None:
        """Return the next event, or None when there was none for so many seconds."""
        ...


def book(ledger: Ledger, update: Update, *, now: datetime) -> Booked:
    """Append what the update adds to its order; told again, late or out of order it adds nothing.

    An order that is not ours is IGNORED. What the table of moves does not have, such as a fill of
    an order that was refused, is a CONTRADICTION: nothing is written, and reconciliation finds it.
    """
    name, status = update.order.client_order_id, update.order.unknown_status
    if status:
        _log.warning("unknown order status", extra={"order": name, "status": status})
    for _ in range(ATTEMPTS):
        order = _ours(ledger, name)
        if order is None or order.state in _UNSENT:
            why = f"{name} is no order that we have sent."
            return Booked(outcome=Outcome.IGNORED, why=why, unknown_status=status)
        fill = gained(order, update)
        try:
            steps = catch_up(order, update.order, [fill] if fill else [])
        except TradingError as error:
            _log.error("contradiction", extra={"order": name, "why": str(error)})
            return Booked(outcome=Outcome.CONTRADICTION, why=str(error), order=order)
        if not steps or _append(ledger, steps, [fill] if fill else [], now):
            outcome = Outcome.BOOKED if steps else Outcome.NOTHING_NEW
            last = steps[-1] if steps else order
            return Booked(outcome=outcome, order=last, fill=fill, unknown_status=status)
    raise TransientError(f"Order {name} keeps being moved by others: it can be booked in a moment.")


def look(ledger: Ledger, broker: Broker, *, now: datetime) -> list[Order]:
    """Look at all open orders at the broker and append what is new; return those that moved."""
    for _ in range(ATTEMPTS):
        news = hear(ledger, broker, ledger.orders(states=OPEN))
        if not news.orders or _append(ledger, news.orders, news.fills, now):
            moved = {order.client_order_id: order for order in news.orders}
            return list(moved.values())
    raise TransientError("The orders keep being moved by others: they can be read in a moment.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """How orders are followed: how long silence may last, when to end, what a reconnect calls for.

    `on_connect` is called after the look that follows each connection, the first one included;
    `on_move` after anything has been booked.
    """

    clock: Callable[[], datetime]
    poll_seconds: float
    is_over: Callable[[], bool]
    on_connect: Callable[[], None] = lambda: None
    on_move: Callable[[], None] = lambda: None


def follow(ledger: Ledger, broker: Broker, updates: Updates, *, by: Following) -> None:
    """Book updates until `by.is_over`, and look at the orders wherever the stream may have gaps.

    That is after each connection, when shares were filled that no update told of, and every
    `poll_seconds`, so that a stream that is connected and mute costs seconds, not fills. A look
    that fails is done again after as long, and so is what a connection calls for.
    """
    due, unseen = by.clock(), None
    while not by.is_over():
        now = by.clock()
        event = updates.next(min((due - now).total_seconds(), _ATTENTION_SECONDS))
        if isinstance(event, Update) and not _has_gap(ledger, event):
            if book(ledger, event, now=by.clock()).outcome is Outcome.BOOKED:
                by.on_move()
            continue
        if event is None and by.clock() < due:
            continue
        now = by.clock()
        due = now + timedelta(seconds=by.poll_seconds)
        unseen = event if isinstance(event, Connected) else unseen
        try:
            _look_after(ledger, broker, event or unseen, by=by)
        except TransientError as error:
            _log.warning("orders not looked at", extra={"why": str(error)})
        else:
            unseen = unseen if isinstance(event, Update) else None


def _look_after(
    ledger: Ledger, broker: Broker, event: Connected | Update | None, *, by: Following
) -> None:
    moved = bool(look(ledger, broker, now=by.clock()))
    if isinstance(event, Update):  # what the look could not see yet is booked at the average
        moved = book(ledger, event, now=by.clock()).outcome is Outcome.BOOKED or moved
    if isinstance(event, Connected):
        _log.info("trade updates connected", extra={"number": event.number})
        by.on_connect()
    if moved:
        by.on_move()


def _has_gap(ledger: Ledger, update: Update) -> bool:
    order = _ours(ledger, update.order.client_order_id)
    return order is not None and is_gap(order, update)


def _ours(ledger: Ledger, client_order_id: str) -> Order | None:
    found = ledger.orders(client_order_ids=[client_order_id])
    return found[0] if found else None


def _append(ledger: Ledger, steps: list[Order], fills: list[Fill], now: datetime) -> bool:
    """Append steps and fills; False when another process has moved an order meanwhile."""
    try:
        ledger.append(at=now, orders=steps, fills=fills)
    except TradingError as error:
        _log.info("booked by another", extra={"why": str(error)})
        return False
    return True
