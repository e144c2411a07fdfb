"""How a day ended: its status, the value it traded, and the sentence that says so."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from trading_pipeline.core.execution.order import Decision, Order, OrderState
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.flows.day_report import Status

NOT_SENT: Final = frozenset({OrderState.PLANNED, OrderState.BLOCKED})
NOT_TAKEN: Final = frozenset({OrderState.SUBMITTING, OrderState.UNKNOWN, OrderState.REJECTED})
STANDING: Final = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED, OrderState.FILLED})
"""Where an order is, or was, carried out as planned."""


def status(orders: Sequence[Order], checks: Iterable[CheckOutcome], *, dry_run: bool) -> Status:
    """Say how the day ended.

    `failed` when a blocking check did not pass, or orders were planned and none stands; `partial`
    when some do not stand (blocked, rejected, expired, canceled, or the answer lost); else
    `success`, also when there was nothing to trade. A day that sends nothing is `dry_run`.
    """
    if any(check.stops_the_day for check in checks):
        return "failed"
    if dry_run:
        return "dry_run"
    standing = sum(order.state in STANDING for order in orders)
    if standing == len(orders):
        return "success"
    return "partial" if standing else "failed"


def is_submitted(order: Order) -> bool:
    """Whether it went on the wire."""
    return order.state not in NOT_SENT


def is_accepted(order: Order) -> bool:
    """Whether the broker took it, whatever became of it then."""
    return order.state not in NOT_SENT | NOT_TAKEN


def notional(orders: Iterable[Order]) -> Decimal:
    """Σ quantity × price over accepted orders, in dollars.

    A filled part counts at its fill price, a part that still waits at the reference price, and a
    part that will never fill (canceled, expired) not at all.
    """
    return sum((_notional(order) for order in orders if is_accepted(order)), Decimal(0))


def summary(orders: Sequence[Order], checks: Iterable[CheckOutcome], trade_session: date) -> str:
    """Say in one sentence what became of the day's orders."""
    if stops := [check.sentence for check in checks if check.stops_the_day]:
        return f"The day stopped before any order: {' '.join(stops)}"
    opening = f"the open of {trade_session:%A, %B} {trade_session.day}, {trade_session.year}"
    if not orders:
        return f"No order for {opening}: the book already stands at its targets."
    counts = {
        word: sum(order.state in states for order in orders) for word, states in _WORDS.items()
    }
    found = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    plural = "s" if len(orders) > 1 else ""
    return f"{len(orders)} order{plural} for {opening}: {found}."


def decided_before(decision: Decision | None, run_id: str) -> str:
    """Say when an earlier run decided, whose decision stands; nothing of a run that did itself."""
    if decision is None or decision.run_id == run_id:
        return ""
    at, capital = f"{decision.decided_at:%Y-%m-%d %H:%M} UTC", f"${decision.capital:,.2f}"
    return f" Decided at {at} by an earlier run, with {capital}: that stands."


_WORDS: Final = {
    "filled": {OrderState.FILLED},
    "partly filled": {OrderState.PARTIALLY_FILLED},
    "waiting at the broker": {OrderState.ACCEPTED},
    "rejected": {OrderState.REJECTED},
    "blocked by a risk check": {OrderState.BLOCKED},
    "expired or canceled": {OrderState.EXPIRED, OrderState.CANCELED},
    "without an answer": {OrderState.SUBMITTING, OrderState.UNKNOWN},
    "planned and not sent": {OrderState.PLANNED},
}


def _notional(order: Order) -> Decimal:
    filled = order.filled_quantity * (order.average_fill_price or order.reference_price)
    waiting = order.quantity - order.filled_quantity if order.state in STANDING else Decimal(0)
    return filled + waiting * order.reference_price
