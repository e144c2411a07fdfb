"""Profit and loss: the book valued at marks, exactly."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Final

from trading_pipeline.core.accounting.book import COST_QUANTUM, EXACT, Book, Position
from trading_pipeline.errors import TradingError

AT_COST: Final = "cost"
"""The source of an open position that has no mark and is valued at what it cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The price, in dollars a share, at which a holding is valued, and where it comes from."""

    price: Decimal
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionPnl:
    """One symbol's holding and gain, in dollars; every amount is exact.

    `unrealized` = price·quantity − cost. A flat position has no mark: no price and no source. An
    open one for which no mark is known is worth what it cost, with no unrealized gain: its price is
    the average cost to four decimals, its source `cost`. `realized` includes `dividends`; gains are
    before `fees`.
    """

    symbol: str
    quantity: Decimal
    cost: Decimal
    price: Decimal | None
    source: str | None
    realized: Decimal
    unrealized: Decimal
    dividends: Decimal
    fees: Decimal

    @property
    def mark(self) -> Mark | None:
        """The price and its source; None when flat."""
        if self.price is None or self.source is None:
            return None
        return Mark(price=self.price, source=self.source)

    @property
    def value(self) -> Decimal:
        """What the holding is worth, signed as the quantity is."""
        return self.cost + self.unrealized

    @property
    def total(self) -> Decimal:
        """Realized and unrealized gain, before fees."""
        return self.realized + self.unrealized

    @property
    def average_cost(self) -> Decimal | None:
        """Dollars a share of the open quantity; None when flat."""
        return self.cost / self.quantity if self.quantity else None

    @property
    def is_open(self) -> bool:
        """Whether shares are held or owed."""
        return self.quantity != 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pnl:
    """The account at the close of `session`, in dollars; every figure is exact.

    nav = cash + net = cash_in + realized + unrealized − fees; total = realized + unrealized;
    gross = Σ |value|; net = Σ value. `positions` are sorted by symbol, closed ones included.
    """

    session: date
    cash: Decimal
    cash_in: Decimal
    nav: Decimal
    realized: Decimal
    unrealized: Decimal
    fees: Decimal
    total: Decimal
    gross: Decimal
    net: Decimal
    positions: tuple[PositionPnl, ...] = ()

    @property
    def open_positions(self) -> tuple[PositionPnl, ...]:
        """Positions with shares held or owed."""
        return tuple(position for position in self.positions if position.is_open)

    @property
    def closed_positions(self) -> tuple[PositionPnl, ...]:
        """Positions that are flat and have a history."""
        return tuple(position for position in self.positions if not position.is_open)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Symbols that had no mark: their unrealized gain is unknown, and counted as none."""
        return tuple(position.symbol for position in self.positions if position.source == AT_COST)


def mark(book: Book, marks: Mapping[str, Mark], session: date) -> Pnl:
    """Return the book valued at `marks` as of the close of `session`.

    A position without a mark is valued at cost and listed in `Pnl.unpriced`. Raises TradingError
    for a price that is not above 0, and for a book whose cash does not follow from its entries.
    """
    with localcontext(EXACT):
        positions = tuple(
            _value(book.positions[symbol], marks.get(symbol)) for symbol in sorted(book.positions)
        )
        realized = sum((position.realized for position in positions), Decimal(0))
        unrealized = sum((position.unrealized for position in positions), Decimal(0))
        net = sum((position.value for position in positions), Decimal(0))
        pnl = Pnl(
            session=session,
            cash=book.cash,
            cash_in=book.cash_in,
            nav=book.cash + net,
            realized=realized,
            unrealized=unrealized,
            fees=book.fees,
            total=realized + unrealized,
            gross=sum((abs(position.value) for position in positions), Decimal(0)),
            net=net,
            positions=positions,
        )
        _require_balance(pnl)
        return pnl


def fall_back(*sources: Mapping[str, Mark]) -> dict[str, Mark]:
    """Return the first mark of each symbol among `sources`, the best one first.

    Real-time prices go before closes; what none of them has, `mark` values at cost and says so.
    """
    return {symbol: found for source in reversed(sources) for symbol, found in source.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How an account came from one valuation to the next, in dollars.

    `flows` is cash and shares put in or taken out.
    """

    nav: Decimal
    realized: Decimal
    unrealized: Decimal
    flows: Decimal
    fees: Decimal

    @property
    def unexplained(self) -> Decimal:
        """ΔNAV − (realized + Δunrealized + flows − fees); 0 when nothing is missing."""
        return self.nav - (self.realized + self.unrealized + self.flows - self.fees)


def change(before: Pnl | None, after: Pnl) -> Change:
    """Return how `after` came from `before`, from nothing when there is none."""
    with localcontext(EXACT):
        return Change(
            nav=after.nav - (before.nav if before else 0),
            realized=after.realized - (before.realized if before else 0),
            unrealized=after.unrealized - (before.unrealized if before else 0),
            flows=after.cash_in - (before.cash_in if before else 0),
            fees=after.fees - (before.fees if before else 0),
        )


def _value(position: Position, found: Mark | None) -> PositionPnl:
    used = _mark_of(position, found)
    unrealized = Decimal(0)
    if used and used is found:
        unrealized = used.price * position.quantity - position.cost
    return PositionPnl(
        symbol=position.symbol,
        quantity=position.quantity,
        cost=position.cost,
        price=used.price if used else None,
        source=used.source if used else None,
        realized=position.realized,
        unrealized=unrealized,
        dividends=position.dividends,
        fees=position.fees,
    )


def _mark_of(position: Position, found: Mark | None) -> Mark | None:
    if position.average_cost is None:
        return None
    if found is None:
        return Mark(price=position.average_cost.quantize(COST_QUANTUM), source=AT_COST)
    if not (found.price.is_finite() and found.price > 0):
        raise TradingError(
            f"The mark of {position.symbol} from {found.source} is {found.price} dollars: "
            "expected more than 0."
        )
    return found


def _require_balance(pnl: Pnl) -> None:
    expected = pnl.cash_in + pnl.total - pnl.fees
    if pnl.nav != expected:
        raise TradingError(
            f"The book of {pnl.session} is worth {pnl.nav} dollars: expected cash put in + "
            f"realized + unrealized − fees = {expected}."
        )
