"""What the account would hold: per symbol the least and the most, whichever open orders fill.

Positions lie between `low` (every open sale filled, no purchase) and `high` (the other way round);
the symbols are independent of each other, so each total takes its worst at one of the two. Orders
let through earlier in the basket count as filled here. `sure_low` and `sure_high` take them for
open too: an order that shrinks the position there shrinks it whatever fills.
"""

from collections import defaultdict
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
            self._add(symbol, held)
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

    def let_through(self, order: Order, after: Range, totals: Totals) -> None:
        """Count the order as let through: its symbol is at `after`, the account at `totals`."""
        self.ranges[order.symbol] = after
        if self.sector_of:
            self.sectors[self.sector(order.symbol)] += totals.gross - self.totals.gross
        self.totals = totals
        if self.correlations is not None:
            self.correlations.hold(order.symbol, sign(after))

    def totals_after(self, order: Order, after: Range, *, is_reducing: bool) -> Totals:
        """Return the totals once the order is let through."""
        symbol, sums = order.symbol, self.totals
        price, now = self.price(symbol), self.range_of(symbol)
        value, moved = order.quantity * price, order.signed_quantity * price
        before, worst = now.largest * price, after.largest * price
        return Totals(
            gross=sums.gross + worst - before,
            long=sums.long + (max(after.high, ZERO) - max(now.high, ZERO)) * price,
            short=sums.short + (max(-after.low, ZERO) - max(-now.low, ZERO)) * price,
            net_low=sums.net_low + moved,
            net_high=sums.net_high + moved,
            squares=sums.squares + worst * worst - before * before,
            cash=sums.cash - moved,
            turnover=sums.turnover + value,
            bought=sums.bought if is_reducing else sums.bought + value,
            orders=sums.orders + 1,
        )

    def _add(self, symbol: str, held: Range) -> None:
        price, sums = self.price(symbol), self.totals
        worst = held.largest * price
        sums.gross += worst
        sums.long += max(held.high, ZERO) * price
        sums.short += max(-held.low, ZERO) * price
        sums.net_low += held.low * price
        sums.net_high += held.high * price
        sums.squares += worst * worst
        if self.sector_of:
            self.sectors[self.sector(symbol)] += worst

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
