"""The risk gate: ordered pre-trade checks, folded over the basket.

Each order is judged against the holdings as they would stand after the orders already let through:
judged one by one, two orders could together break a limit that each respects. Everything is valued
at the view's marks, never at what an order says of its own price.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from trading_pipeline.core.accounting.book import Book
from trading_pipeline.core.execution.order import Order, OrderState, move
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.errors import IllegalTransitionError


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskView:
    """What the gate knows: whether trading may happen, the book, its marks and the limits.

    `state_reason` says why trading is not ACTIVE; `marks` are dollars a share by symbol. Orders
    still open at the broker belong into `book` (see `accounting.book.expect`).
    """

    state: TradingState
    state_reason: str
    book: Book
    marks: Mapping[str, Decimal]
    limits: RiskLimits

    @property
    def nav(self) -> Decimal:
        """Cash and all holdings in dollars; trading at the marks leaves it as it is."""
        held = _held(self.book)
        return sum((held[symbol] * self.marks[symbol] for symbol in held), self.book.cash)

    def has_price(self, symbol: str) -> bool:
        """Whether the symbol's mark is known and above 0."""
        price = self.marks.get(symbol)
        return price is not None and price.is_finite() and price > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One order on its turn; `held` are the signed shares after the orders let through before."""

    order: Order
    view: RiskView
    held: Mapping[str, Decimal]

    @property
    def quantity_after(self) -> Decimal:
        """Signed shares of the order's symbol once it is filled."""
        return self.held.get(self.order.symbol, Decimal(0)) + self.order.signed_quantity

    @property
    def is_reducing(self) -> bool:
        """Whether the order only takes shares off the position, never past zero."""
        held = self.held.get(self.order.symbol, Decimal(0))
        return held * self.order.side.sign < 0 and self.order.quantity <= abs(held)

    @property
    def order_value(self) -> Decimal:
        """The order in dollars, unsigned."""
        return self.order.quantity * self.view.marks[self.order.symbol]

    @property
    def position_value(self) -> Decimal:
        """The order's position once it is filled, in dollars, unsigned."""
        return abs(self.quantity_after) * self.view.marks[self.order.symbol]

    @property
    def gross(self) -> Decimal:
        """All positions once the order is filled, in dollars, unsigned."""
        after = {**self.held, self.order.symbol: self.quantity_after}
        values = (abs(after[symbol]) * self.view.marks[symbol] for symbol in after)
        return sum(values, Decimal(0))


Check = Callable[[Step], str | None]
"""Returns in one sentence why the order must not go, or None."""


def trading_state(step: Step) -> str | None:
    """HALTED stops every order; REDUCING every one that does not only shrink a position."""
    view = step.view
    if view.state is TradingState.ACTIVE:
        return None
    if view.state is TradingState.REDUCING and step.is_reducing:
        return None
    return f"Trading is {view.state}: {view.state_reason}"


def known_prices(step: Step) -> str | None:
    """Without a price of every holding and of the order's symbol, no size can be known."""
    symbols = {*_held(step.view.book), step.order.symbol}
    missing = sorted(symbol for symbol in symbols if not step.view.has_price(symbol))
    return f"There is no price of {', '.join(missing)}." if missing else None


def order_value(step: Step) -> str | None:
    """One order is worth at most `max_order_value`."""
    return _over("The order", step.order_value, step.view.limits.max_order_value)


def position_value(step: Step) -> str | None:
    """One position is worth at most `max_position_value`."""
    limit = step.view.limits.max_position_value
    return _over(f"The {step.order.symbol} position", step.position_value, limit)


def position_share(step: Step) -> str | None:
    """One position is worth at most `max_position_share` of NAV."""
    limit = step.view.limits.max_position_share * step.view.nav
    return _over(f"The {step.order.symbol} position", step.position_value, limit)


def gross_exposure(step: Step) -> str | None:
    """All positions together are worth at most `max_gross_exposure` times NAV."""
    limit = step.view.limits.max_gross_exposure * step.view.nav
    return _over("All positions together", step.gross, limit)


STATE_CHECKS: Final[tuple[Check, ...]] = (trading_state,)
"""What every order must pass."""

SIZE_CHECKS: Final[tuple[Check, ...]] = (
    known_prices,
    order_value,
    position_value,
    position_share,
    gross_exposure,
)
"""What an order that only shrinks a position need not pass: a limit must never keep risk on."""

CHECKS: Final = STATE_CHECKS + SIZE_CHECKS
"""All checks in order; the first that objects blocks the order under its own name."""


def gate(orders: Iterable[Order], view: RiskView) -> list[Order]:
    """Return the orders, in their order, those that must not go moved to BLOCKED.

    A blocked order bears the check's name as `code` and its sentence as `reason`. The orders must
    be PLANNED: any other state raises IllegalTransitionError.
    """
    judged: list[Order] = []
    held = _held(view.book)
    for order in orders:
        step = Step(order=order, view=view, held=held)
        after = _judge(step)
        if after.state is OrderState.PLANNED:
            held = {**held, order.symbol: step.quantity_after}
        judged.append(after)
    return judged


def _judge(step: Step) -> Order:
    order = step.order
    if order.state is not OrderState.PLANNED:
        raise IllegalTransitionError(
            f"Order {order.client_order_id} is {order.state}: expected planned, before the gate."
        )
    for check in STATE_CHECKS if step.is_reducing else CHECKS:
        if reason := check(step):
            return move(order, OrderState.BLOCKED, code=check.__name__, reason=reason)
    return order


def _held(book: Book) -> dict[str, Decimal]:
    return {p.symbol: p.quantity for p in book.positions.values() if p.quantity}


def _over(what: str, value: Decimal, limit: Decimal) -> str | None:
    if value <= limit:
        return None
    return f"{what} would be worth {value:,.2f} dollars: the limit is {limit:,.2f}."
