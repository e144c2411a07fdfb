"""What a report of the broker adds to an order: the part of its cumulative fills not booked yet.

Reports come by several ways, late, twice and in any order. The shares an order has filled only ever
grow, so they say how much of a report is news; executions, where they are told, at what price.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from trading_pipeline.core.execution.account import BrokerOrder, Execution
from trading_pipeline.core.execution.order import PRICE_QUANTUM, Fill, Order

_NONE: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """That an order changed, as a stream or a relay tells: the order as it then stood.

    `execution` is what made it change, where that was one; `session` is that of `at`, aware UTC.
    """

    order: BrokerOrder
    at: datetime
    session: date
    execution: Execution | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """That a stream tells from now on, and has not told what came before: the `number`th time."""

    number: int


def unbooked(order: Order, fills: Iterable[Fill]) -> list[Fill]:
    """Return what of the order's `fills`, all of them, oldest first, goes beyond what it has.

    They bear the order's strategy. A fill that is booked in part is told of with its rest.
    """
    return [replace(fill, strategy=order.strategy) for fill in _beyond(order, fills)]


def _beyond(order: Order, fills: Iterable[Fill]) -> Iterator[Fill]:
    passed, booked = _NONE, order.filled_quantity
    for fill in fills:
        passed += fill.quantity
        if passed - fill.quantity >= booked:
            yield fill
        elif passed > booked:
            yield replace(fill, fill_id=f"{fill.fill_id}/rest", quantity=passed - booked)


def gained(order: Order, update: Update) -> Fill | None:
    """Return one fill of the shares that the update has beyond the order, or None for none.

    It is the execution itself when that is just those shares; else its price is what makes the
    order's average theirs: (q₂·a₂ − q₁·a₁) / (q₂ − q₁), in dollars to six decimals. The id follows
    from the order and the cumulative quantity alone, so every way it may be told books it once.
    """
    told = update.order
    more = told.filled_quantity - order.filled_quantity
    if more <= 0:
        return None
    execution = None if is_gap(order, update) else update.execution
    return Fill(
        fill_id=f"{order.client_order_id}@{told.filled_quantity.normalize():f}",
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        symbol=order.symbol,
        side=order.side,
        quantity=more,
        price=execution.price if execution else _price(order, told, more),
        commission=_NONE,
        session=update.session,
        filled_at=execution.at if execution else update.at,
    )


def is_gap(order: Order, update: Update) -> bool:
    """Whether shares were filled that no execution we were told of accounts for."""
    more = update.order.filled_quantity - order.filled_quantity
    told = update.execution.quantity if update.execution else _NONE
    return more > 0 and told != more


def _price(order: Order, told: BrokerOrder, more: Decimal) -> Decimal:
    """Return the price at which `more` shares lead from our average to theirs."""
    theirs = told.filled_quantity * (told.average_fill_price or order.reference_price)
    ours = order.filled_quantity * (order.average_fill_price or _NONE)
    return ((theirs - ours) / more).quantize(PRICE_QUANTUM, ROUND_HALF_EVEN)
