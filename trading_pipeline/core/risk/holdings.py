"""What the account would hold: per symbol the least and the most, whichever open orders fill.

Positions lie between `low` (every open sale filled, no purchase) and `high` (the other way round);
the symbols are independent of each other, so each total takes its worst at one of the two. Orders
let through earlier in the basket count as filled here. `sure_low` and `sure_high` take them for
open too: an order that shrinks the position there shrinks it whatever fills.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from trading_pipeline.core.execution.order import Order
from trading_pipeline.core.risk.correlation import Correlations
from trading_pipeline.core.risk.view import RiskView

ZERO: Final = Decimal(0)
UNCLASSIFIED: Final = "unclassified"
"""The sector of symbols that the map of sectors does not have."""


@dataclass(slots=True)
class Range:
    """Signed shares of one symbol, and the unsigned shares its orders trade."""

    low: Decimal = ZERO
    high: Decimal = ZERO
    sure_low: Decimal = ZERO
    sure_high: Decimal = ZERO
    ordered: Decimal = ZERO

    @property
    def largest(self) -> Decimal:
        """The most unsigned shares it can come to."""
        return max(self.high, -self.low)

    def after(self, signed: Decimal) -> "Range":
        """Return the range once an order of these signed shares was let through."""
        return Range(
            low=self.low + signed,
            high=self.high + signed,
            sure_low=self.sure_low + min(signed, ZERO),
            sure_high=self.sure_high + max(signed, ZERO),
            ordered=self.ordered + abs(signed),
        )

    def is_reduced_by(self, signed: Decimal) -> bool:
        """Whether these signed shares shrink the position, never past zero, whatever fills."""
        if signed < 0:
            return self.sure_low + signed >= 0
        return self.sure_high + signed <= 0


FLAT: Final = Range()


@dataclass(slots=True)
class Totals:
    """The account at its worst, in dollars; `squares` are of position values."""

    gross: Decimal = ZERO
    long: Decimal = ZERO
    short: Decimal = ZERO
    net_low: Decimal = ZERO
    net_high: Decimal = ZERO
    squares: Decimal = ZERO
    cash: Decimal = ZERO
    turnover: Decimal = ZERO
    bought: Decimal = ZERO
    orders: int = 0

    def after(self, change: "Totals") -> "Totals":
        """Return the sums."""
        return Totals(
            gross=self.gross + change.gross,
            long=self.long + change.long,
            short=self.short + change.short,
            net_low=self.net_low + change.net_low,
            net_high=self.net_high + change.net_high,
            squares=self.squares + change.squares,
            cash=self.cash + change.cash,
            turnover=self.turnover + change.turnover,
            bought=self.bought + change.bought,
            orders=self.orders + change.orders,
        )


class Holdings:
    """The ranges of all symbols and their totals, kept up as orders are let through."""

    def __init__(self, view: RiskView) -> None:
        self.view = view
        self.limits = view.limits
        self.ranges = _ranges(view)
        self.unpriced = sorted(symbol for symbol in self.ranges if not view.has_price(symbol))
        self.nav = ZERO if self.unpriced else view.nav
        self.sector_of = view.limits.sector_of
        self.restricted = view.limits.restricted_symbols
        self.sectors: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.totals = Totals(cash=view.book.cash)
        self.correlations: Correlations | None = None
        if view.returns is not None:
            filled = {symbol: held.low + held.high for symbol, held in self.ranges.items()}
            look_back = view.limits.correlation_look_back
            self.correlations = Correlations(view.returns, look_back, filled)
        for symbol, held in self.ranges.items():
            self._add(symbol, _exposure(held, self.price(symbol)))
        self._reserve()

    def price(self, symbol: str) -> Decimal:
        """The symbol's mark in dollars; 0 when there is none."""
        return self.view.marks[symbol] if self.view.has_price(symbol) else ZERO

    def range_of(self, symbol: str) -> Range:
        """The range of a symbol."""
        return self.ranges.get(symbol, FLAT)

    def sector(self, symbol: str) -> str:
        """The symbol's sector."""
        return self.sector_of.get(symbol, UNCLASSIFIED)

    def let_through(self, order: Order, after: Range, *, change: Totals, totals: Totals) -> None:
        """Count the order as let through; `change` is what it does to the totals."""
        self.ranges[order.symbol] = after
        self.totals = totals
        if self.sector_of:
            self.sectors[self.sector(order.symbol)] += change.gross
        if self.correlations is not None:
            self.correlations.hold(order.symbol, sign(after))

    def change(self, order: Order, after: Range, *, is_reducing: bool) -> Totals:
        """Return what the order does to the totals."""
        price = self.price(order.symbol)
        now, then = (_exposure(held, price) for held in (self.range_of(order.symbol), after))
        value = order.quantity * price
        return Totals(
            gross=then.gross - now.gross,
            long=then.long - now.long,
            short=then.short - now.short,
            net_low=then.net_low - now.net_low,
            net_high=then.net_high - now.net_high,
            squares=then.squares - now.squares,
            cash=-order.side.sign * value,
            turnover=value,
            bought=ZERO if is_reducing else value,
            orders=1,
        )

    def _add(self, symbol: str, change: Totals) -> None:
        self.totals = self.totals.after(change)
        if self.sector_of:
            self.sectors[self.sector(symbol)] += change.gross

    def _reserve(self) -> None:
        """Take off the cash that open purchases would cost; open sales may bring none."""
        for order in self.view.open_orders:
            if order.side.sign > 0:
                self.totals.cash -= order.remaining_quantity * self.price(order.symbol)


def sign(held: Range) -> int:
    """Long 1, short −1, flat 0, halfway between the least and the most."""
    middle = held.low + held.high
    return int(middle > 0) - int(middle < 0)


def _ranges(view: RiskView) -> dict[str, Range]:
    ranges = {
        position.symbol: Range(*[position.quantity] * 4)
        for position in view.book.positions.values()
        if position.quantity
    }
    for order in view.open_orders:
        held = ranges.setdefault(order.symbol, Range())
        signed = order.remaining_quantity * order.side.sign
        held.low += min(signed, ZERO)
        held.high += max(signed, ZERO)
        held.ordered += abs(signed)
        held.sure_low, held.sure_high = held.low, held.high
    return ranges


def _exposure(held: Range, price: Decimal) -> Totals:
    worst = held.largest * price
    return Totals(
        gross=worst,
        long=max(held.high, ZERO) * price,
        short=max(-held.low, ZERO) * price,
        net_low=held.low * price,
        net_high=held.high * price,
        squares=worst * worst,
    )


def gross_by_symbol(holdings: Holdings) -> Mapping[str, Decimal]:
    """Return each symbol's worst unsigned value in dollars."""
    return {s: held.largest * holdings.price(s) for s, held in holdings.ranges.items()}
