"""Orders and fills, how they move, and the id that makes an intent the same one for ever."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from trading_pipeline.core.execution.moves import MOVES, OPEN, TERMINAL, Cause, OrderState
from trading_pipeline.errors import IllegalTransitionError, SettingsError, TradingError

__all__ = [
    "MOVES",
    "OPEN",
    "PRICE_QUANTUM",
    "TERMINAL",
    "Cause",
    "Decision",
    "Fill",
    "Order",
    "OrderState",
    "OrderType",
    "Side",
    "TimeInForce",
    "client_order_id",
    "move",
    "record",
]


class Side(StrEnum):
    """Which way shares move; selling more than is held opens a short position."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, −1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """How the price is set."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    """How long an order stands: opg and cls are for the auctions only, ioc for an instant."""

    DAY = "day"
    GTC = "gtc"
    OPG = "opg"
    CLS = "cls"
    IOC = "ioc"


PRICE_QUANTUM: Final = Decimal("0.000001")
"""Average fill prices are rounded to this, half to even."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A wish to trade, as decided after the close of `session` and sent for the next one.

    `quantity` is positive, in shares; `reference_price` is the mark it was sized at, in dollars;
    limits and stops have their prices, in dollars, and no others do, else SettingsError; `code` and
    `reason` say which risk check blocked it, or why the broker refused.
    """

    client_order_id: str
    strategy: str
    session: date
    sequence: int
    symbol: str
    side: Side
    quantity: Decimal
    reference_price: Decimal
    target_weight: float
    order_type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.DAY
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    state: OrderState = OrderState.PLANNED
    filled_quantity: Decimal = Decimal(0)
    average_fill_price: Decimal | None = None
    broker_order_id: str | None = None
    code: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        _require_prices(self)

    @property
    def signed_quantity(self) -> Decimal:
        """Shares with the sign of the side."""
        return self.quantity * self.side.sign

    @property
    def remaining_quantity(self) -> Decimal:
        """Shares not filled yet, unsigned."""
        return self.quantity - self.filled_quantity

    @property
    def value(self) -> Decimal:
        """Quantity times reference price, in dollars, unsigned."""
        return self.quantity * self.reference_price


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Shares that changed hands in `session`.

    `fill_id` is the broker's execution id, so one fill is booked once; `quantity` is this fill's
    own, never cumulative.
    """

    fill_id: str
    client_order_id: str
    strategy: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    session: date
    filled_at: datetime

    @property
    def signed_quantity(self) -> Decimal:
        """Shares with the sign of the side."""
        return self.quantity * self.side.sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """That `strategy` decided its orders for `session`, once, with which model and which means.

    `capital` is what it sized by and `nav` what the book was worth then, in dollars; `decided_at`
    is aware UTC.
    """

    strategy: str
    session: date
    run_id: str
    model_version: str
    capital: Decimal
    nav: Decimal
    decided_at: datetime


_LIMITS: Final = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_STOPS: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


def _require_prices(order: Order) -> None:
    prices = {"limit_price": (order.limit_price, _LIMITS), "stop_price": (order.stop_price, _STOPS)}
    for name, (price, types) in prices.items():
        if (price is not None) is not (order.order_type in types) or (
            price is not None and price <= 0
        ):
            raise SettingsError(
                f"The {order.order_type} order {order.client_order_id} has the {name} {price}: "
                f"expected {'dollars above 0' if order.order_type in types else 'none'}."
            )


def client_order_id(
    strategy: str, session: date, *, symbol: str, side: Side, leg: int, revision: int = 0
) -> str:
    """Return the id of an intent: the same words always, other words for any other intent.

    At most 48 characters: the session and the symbol for people, and 96 bits of SHA-256 over all
    arguments. The quantity is no part of it: a rerun that sizes anew is still the same intent.
    `revision` is raised to send again what a broker refused.
    """
    words = (strategy, session.isoformat(), symbol, side.value, str(leg), str(revision))
    digest = hashlib.sha256(json.dumps(words).encode()).hexdigest()[:24]
    return f"tp-{session:%Y%m%d}-{symbol[:8]}-{digest}"


def move(
    order: Order,
    to: OrderState,
    *,
    code: str | None = None,
    reason: str | None = None,
    broker_order_id: str | None = None,
) -> Order:
    """Return the order in state `to`; raise IllegalTransitionError when the table has no such move.

    Shares move by `record` only: an order found filled at the broker is ACCEPTED, then its fills
    are recorded. From UNKNOWN only a look-up leads on: to SUBMITTING when the broker does not know
    the order, else to the state found together with the broker's own id.
    """
    cause = MOVES.get((order.state, to))
    if cause is None or cause is Cause.FILL:
        raise _illegal(order, to, cause)
    found = broker_order_id or order.broker_order_id
    if cause is Cause.LOOK_UP and to is not OrderState.SUBMITTING and not found:
        raise _illegal(order, to, cause)
    return replace(
        order,
        state=to,
        code=code or order.code,
        reason=reason or order.reason,
        broker_order_id=found,
    )


def record(order: Order, fill: Fill) -> Order:
    """Return the order with the fill's shares added to those filled before.

    `average_fill_price` is weighted by shares. The state becomes FILLED when nothing remains; a
    canceled or expired order that a late fill leaves short of that stays so. Raises TradingError
    for a fill of another order or one that fills more than was ordered, IllegalTransitionError
    where the table has no such move. Recording the same fill twice is the caller's to prevent.
    """
    filled = order.filled_quantity + fill.quantity
    _require_match(order, fill, filled)
    to = _state_after(order, filled)
    cause = MOVES.get((order.state, to))
    if cause is not Cause.FILL:
        raise _illegal(order, to, cause)
    before = (order.average_fill_price or Decimal(0)) * order.filled_quantity
    average = (before + fill.price * fill.quantity) / filled
    return replace(
        order,
        state=to,
        filled_quantity=filled,
        average_fill_price=average.quantize(PRICE_QUANTUM),
    )


def _state_after(order: Order, filled: Decimal) -> OrderState:
    if filled == order.quantity:
        return OrderState.FILLED
    if order.state in {OrderState.CANCELED, OrderState.EXPIRED}:
        return order.state
    return OrderState.PARTIALLY_FILLED


def _require_match(order: Order, fill: Fill, filled: Decimal) -> None:
    theirs = (fill.client_order_id, fill.symbol, fill.side)
    if theirs != (order.client_order_id, order.symbol, order.side):
        raise TradingError(
            f"Fill {fill.fill_id} is {fill.side} {fill.symbol} of order {fill.client_order_id}, "
            f"not of {order.side} {order.symbol} {order.client_order_id}."
        )
    if not fill.quantity > 0 or filled > order.quantity:
        raise TradingError(
            f"Fill {fill.fill_id} of {fill.quantity} shares would make {filled} filled of order "
            f"{order.client_order_id}: expected more than 0 and at most {order.quantity} in all."
        )


def _illegal(order: Order, to: OrderState, cause: Cause | None) -> IllegalTransitionError:
    legal = sorted(move[1] for move in MOVES if move[0] is order.state)
    only = f" but by {cause}" if cause else ""
    return IllegalTransitionError(
        f"Order {order.client_order_id} cannot go from {order.state} to {to}{only}: "
        f"expected one of {', '.join(legal) or 'nothing, it is done'}."
    )
