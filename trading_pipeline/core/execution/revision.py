"""A second attempt at an intent: a new id, and only once the first has ended for good."""

from collections.abc import Container
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Final

from trading_pipeline.core.execution.order import (
    TERMINAL,
    Order,
    OrderState,
    client_order_id,
)
from trading_pipeline.errors import IllegalTransitionError

LEGS: Final = (1, 2)
"""An intent has one leg, or two where it crosses zero."""

_ENDED: Final = TERMINAL - {OrderState.FILLED}


def revise(order: Order, *, taken: Container[str], sequence: int) -> Order:
    """Return a planned order for what is left of one that has ended, as its next revision.

    A broker burns an id for ever, so the revision is part of it: the first that is not `taken`.
    Raises IllegalTransitionError for an order that may still fill, or that has filled.
    """
    if order.state not in _ENDED or not order.remaining_quantity:
        raise IllegalTransitionError(
            f"Order {order.client_order_id} is {order.state} with {order.filled_quantity:f} of "
            f"{order.quantity:f} filled: only what has ended unfilled is sent anew."
        )
    return replace(
        order,
        client_order_id=_next_id(order, taken),
        sequence=sequence,
        quantity=order.remaining_quantity,
        state=OrderState.PLANNED,
        filled_quantity=Decimal(0),
        average_fill_price=None,
        broker_order_id=None,
        code=None,
        reason=None,
    )


def _next_id(order: Order, taken: Container[str]) -> str:
    """Return the id of the next revision of the order's own leg, which its id tells."""
    leg = 0
    for revision in count():
        names = {one: _id(order, one, revision) for one in LEGS}
        leg = next((one for one, name in names.items() if name == order.client_order_id), leg)
        if leg and names[leg] not in taken:
            return names[leg]
        if not leg and not any(name in taken for name in names.values()):
            break
    raise IllegalTransitionError(
        f"Order {order.client_order_id} bears an id that does not follow from what it is: "
        "it cannot have a revision."
    )


def _id(order: Order, leg: int, revision: int) -> str:
    return client_order_id(
        order.strategy,
        order.session,
        symbol=order.symbol,
        side=order.side,
        leg=leg,
        revision=revision,
    )
