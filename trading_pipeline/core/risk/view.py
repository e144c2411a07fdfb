"""What the gate knows when it judges, and what it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.accounting.book import Book
from trading_pipeline.core.execution.order import Order
from trading_pipeline.core.risk.limits import RiskLimits, TradingState


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """What the broker says may be done with a symbol."""

    tradable: bool = True
    shortable: bool = True
    fractionable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Returns:
    """Returns of sessions (rows, oldest first) by symbol (columns); NaN where there is none."""

    symbols: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskView:
    """What the gate knows: whether trading may happen, the book, its marks and the limits.

    `state_reason` says why trading is not ACTIVE, and `is_tripped` whether it was the breaker that
    said so; `marks` are dollars a share by symbol. `book` is
    what is held; each of `open_orders` may or may not fill, and the worst is assumed. (An open
    order put into `book` by `accounting.book.expect` counts as filled instead.)

    What is None was not asked for, and its check lets pass; a mapping that is given and does not
    have the symbol blocks. `suspects` says why a symbol's data is not trusted; `sessions_behind` is
    the age of its mark, `average_volumes` its shares a session; `buying_power` is in dollars;
    `orders_in_minute`, `orders_in_session` and `turnover` (dollars) are of orders sent before.
    """

    state: TradingState
    state_reason: str
    book: Book
    marks: Mapping[str, Decimal]
    limits: RiskLimits
    is_tripped: bool = False
    open_orders: Sequence[Order] = ()
    assets: Mapping[str, Asset] | None = None
    suspects: Mapping[str, str] = field(default_factory=dict[str, str])
    sessions_behind: Mapping[str, int] | None = None
    average_volumes: Mapping[str, Decimal] | None = None
    buying_power: Decimal | None = None
    orders_in_minute: int = 0
    orders_in_session: int = 0
    turnover: Decimal = Decimal(0)
    returns: Returns | None = None

    @property
    def nav(self) -> Decimal:
        """Cash and all holdings in dollars; trading at the marks leaves it as it is."""
        values = (
            position.quantity * self.marks[position.symbol]
            for position in self.book.positions.values()
            if position.quantity
        )
        return sum(values, self.book.cash)

    def has_price(self, symbol: str) -> bool:
        """Whether the symbol's mark is known and above 0."""
        price = self.marks.get(symbol)
        return price is not None and price.is_finite() and price > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why an order must not go: what was found, what is allowed, and both in a sentence.

    `value` and `limit` are None where the check is about no number.
    """

    sentence: str
    value: Decimal | None = None
    limit: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A finding under the name of its check."""

    code: str
    sentence: str
    value: Decimal | None
    limit: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An order as the gate leaves it, and the block of one that must not go."""

    order: Order
    block: Block | None
