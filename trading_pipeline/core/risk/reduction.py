"""Which orders bring a book that has grown over its limits back within them.

Positions over a limit of their own are cut to it. For a limit of the book, positions that are cut
anyway are cut further, then the largest ones, the last only as far as needed. For one breach that
is the smallest set: no fewer orders cure it, and less than a share is sold beyond need. Several at
once are cured one after the other; where that takes more orders than positions must be cut anyway,
a smaller set that cures all of them is looked for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Final

from trading_pipeline.core.accounting.book import EXACT
from trading_pipeline.core.execution.order import Order, Side, client_order_id
from trading_pipeline.core.risk.holdings import UNCLASSIFIED, Holdings
from trading_pipeline.core.risk.smallest import smallest
from trading_pipeline.core.risk.usage import OWN, Use, nav_of, quantities, uses
from trading_pipeline.core.risk.view import RiskView

ZERO: Final = Decimal(0)
_SHARED: Final = (
    "sector_exposure",
    "long_exposure",
    "short_exposure",
    "net_exposure",
    "gross_exposure",
    "borrowing",
    "concentration",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """Reducing orders, the breaches they are for, and those that remain when all have filled."""

    orders: tuple[Order, ...]
    breaches: tuple[Use, ...]
    remaining: tuple[Use, ...]


@dataclass(slots=True)
class _Cuts:
    """Shares left by symbol, and how many of them an order may still take off."""

    view: RiskView
    left: dict[str, Decimal]
    room: dict[str, Decimal]
    cut: dict[str, Decimal] = field(default_factory=dict[str, Decimal])

    def value(self, symbol: str) -> Decimal:
        return abs(self.left[symbol]) * self.view.marks[symbol]

    def take(self, symbol: str, shares: Decimal) -> None:
        """Cut whole shares, rounded up, but never more than there are."""
        taken = min(shares.to_integral_value(ROUND_CEILING), self.room[symbol])
        if taken > 0:
            self.room[symbol] -= taken
            self.cut[symbol] = self.cut.get(symbol, ZERO) + taken
            self.left[symbol] -= taken.copy_sign(self.left[symbol])

    def by_size(self, wanted: Callable[[str], bool]) -> list[str]:
        """Symbols that can be cut: those cut already first, then the largest."""
        able = [symbol for symbol, room in self.room.items() if room > 0 and wanted(symbol)]
        return sorted(
            able, key=lambda symbol: (symbol not in self.cut, -self.value(symbol), symbol)
        )


def reduce(view: RiskView, *, strategy: str, session: date) -> Reduction:
    """Return the orders of `strategy` for `session` that cure the breaches of the view's book.

    Open orders count as filled; an order never takes more than is held whatever they do. Holdings
    without a mark are left alone.
    """
    with localcontext(EXACT):
        cuts = _cuts(view)
        breaches = _breaches(view, cuts.left)
        for breach in breaches:
            if breach.code in OWN:
                _cure_position(breach, cuts)
        must = len(cuts.cut)
        # what cures one limit may tip another, such as net: until nothing more can be cut
        while _cure_all(cuts):
            pass
        if len(breaches) > 1 and len(cuts.cut) > max(must, 1):
            cuts = _fewer(cuts)
        return Reduction(
            orders=_orders(view, cuts.cut, strategy=strategy, session=session),
            breaches=tuple(breaches),
            remaining=tuple(_breaches(view, cuts.left)),
        )


def close_all(view: RiskView, *, strategy: str, session: date) -> tuple[Order, ...]:
    """Return orders that close every position; one without a mark is priced at its average cost."""
    return _orders(view, _cuts(view).room, strategy=strategy, session=session)


def _breaches(view: RiskView, left: dict[str, Decimal]) -> list[Use]:
    held = {symbol: quantity for symbol, quantity in left.items() if quantity}
    return [use for use in uses(view, held) if use.is_breach]


def _cuts(view: RiskView) -> _Cuts:
    ranges = Holdings(view).ranges
    left = quantities(view)
    room = {
        symbol: max(ranges[symbol].sure_low, -ranges[symbol].sure_high, ZERO) for symbol in left
    }
    return _Cuts(view=view, left=left, room={s: min(room[s], abs(q)) for s, q in left.items()})


def _fewer(greedy: _Cuts) -> _Cuts:
    """Return cuts of fewer positions that cure everything, or these where there are none."""
    cuts = _cuts(greedy.view)
    found = smallest(cuts.view, cuts.left, cuts.room, uses(cuts.view, cuts.left))
    for symbol, shares in (found or {}).items():
        cuts.take(symbol, shares)
    cures = bool(found) and not _breaches(cuts.view, cuts.left)
    is_worse = bool(_breaches(greedy.view, greedy.left)) or len(cuts.cut) < len(greedy.cut)
    return cuts if cures and is_worse else greedy


def _cure_all(cuts: _Cuts) -> bool:
    """Cure each limit of the book once; return whether that has cut anything."""
    before = sum(cuts.cut.values(), ZERO)
    for code in _SHARED:
        for breach in [each for each in _breaches(cuts.view, cuts.left) if each.code == code]:
            _cure_book(breach, cuts)
    return sum(cuts.cut.values(), ZERO) > before


def _cure_position(breach: Use, cuts: _Cuts) -> None:
    symbol = breach.subject
    held = abs(cuts.left[symbol])
    price = Decimal(1) if breach.code == "position_quantity" else cuts.view.marks[symbol]
    cuts.take(symbol, held - max(breach.limit, ZERO) / price)


def _cure_book(breach: Use, cuts: _Cuts) -> None:
    view = cuts.view
    if breach.code == "concentration":
        _cure_concentration(breach, cuts, nav_of(view))
        return
    over = breach.value - breach.limit
    for symbol in cuts.by_size(_wanted(breach, cuts)):
        before = cuts.value(symbol)
        cuts.take(symbol, over / view.marks[symbol])
        over -= before - cuts.value(symbol)
        if over <= 0:
            return


def _wanted(breach: Use, cuts: _Cuts) -> Callable[[str], bool]:
    """Return which positions count against the limit."""
    sectors, priced = cuts.view.limits.sector_of, cuts.view.has_price
    net = sum((q * cuts.view.marks[s] for s, q in cuts.left.items() if priced(s)), ZERO)
    sides = {"long_exposure": 1, "borrowing": 1, "short_exposure": -1, "net_exposure": net}

    def wanted(symbol: str) -> bool:
        if breach.code == "sector_exposure":
            return priced(symbol) and sectors.get(symbol, UNCLASSIFIED) == breach.subject
        return priced(symbol) and cuts.left[symbol] * sides.get(breach.code, cuts.left[symbol]) > 0

    return wanted


def _cure_concentration(breach: Use, cuts: _Cuts, nav: Decimal) -> None:
    """Close the largest positions, the last one to √(v² − what the squares are over)."""
    over = (breach.value - breach.limit) * (nav * nav if nav else Decimal(1))
    for symbol in cuts.by_size(cuts.view.has_price):
        value, price = cuts.value(symbol), cuts.view.marks[symbol]
        kept = max(value * value - over, ZERO).sqrt()
        cuts.take(symbol, (value - kept) / price)
        over -= value * value - cuts.value(symbol) ** 2
        if over <= 0:
            return


def _orders(
    view: RiskView, cut: dict[str, Decimal], *, strategy: str, session: date
) -> tuple[Order, ...]:
    held = quantities(view)
    sides = {symbol: Side.SELL if held[symbol] > 0 else Side.BUY for symbol in cut}
    wanted = sorted((s for s in cut if cut[s] > 0), key=lambda s: (sides[s] is Side.BUY, s))
    return tuple(
        Order(
            client_order_id=client_order_id(
                strategy, session, symbol=symbol, side=sides[symbol], leg=1
            ),
            strategy=strategy,
            session=session,
            sequence=number,
            symbol=symbol,
            side=sides[symbol],
            quantity=cut[symbol],
            reference_price=_price(view, symbol),
            target_weight=0.0,
        )
        for number, symbol in enumerate(wanted, start=1)
    )


def _price(view: RiskView, symbol: str) -> Decimal:
    if view.has_price(symbol):
        return view.marks[symbol]
    return view.book.position(symbol).average_cost or ZERO
