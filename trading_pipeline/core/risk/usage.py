"""How much of each limit the book uses, all open orders taken as filled."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from trading_pipeline.core.risk.holdings import UNCLASSIFIED
from trading_pipeline.core.risk.view import RiskView

ZERO: Final = Decimal(0)
OWN: Final = ("position_quantity", "position_value", "position_share")
"""The limits of a position of its own; all others are of the book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One limit of the book: the check it belongs to, of what, and how much of it is used.

    `value` and `limit` are dollars, but shares for position_quantity and a plain number for
    concentration.
    """

    code: str
    subject: str
    value: Decimal
    limit: Decimal

    @property
    def is_breach(self) -> bool:
        """Whether more is used than allowed."""
        return self.value > self.limit

    @property
    def share(self) -> Decimal | None:
        """What is used as a fraction of the limit; None where nothing is allowed."""
        return self.value / self.limit if self.limit > 0 else None

    @property
    def headroom(self) -> Decimal:
        """What is left, negative for a breach."""
        return self.limit - self.value


def quantities(view: RiskView) -> dict[str, Decimal]:
    """Return the signed shares by symbol, all open orders taken as filled; flat ones left out."""
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    for position in view.book.positions.values():
        held[position.symbol] += position.quantity
    for order in view.open_orders:
        held[order.symbol] += order.remaining_quantity * order.side.sign
    return {symbol: quantity for symbol, quantity in sorted(held.items()) if quantity}


def uses(view: RiskView, held: dict[str, Decimal] | None = None) -> list[Use]:
    """Return the use of every limit of the book, portfolio first; `held` replaces its shares.

    Symbols without a mark are left out: `gate` lets nothing grow while there is one.
    """
    shares = quantities(view) if held is None else held
    values = {s: q * view.marks[s] for s, q in shares.items() if view.has_price(s)}
    nav = nav_of(view)
    return [*_of_book(view, values, nav), *_of_positions(view, shares, values, nav=nav)]


def nav_of(view: RiskView) -> Decimal:
    """Return NAV in dollars, holdings without a mark counted as nothing."""
    held = (p for p in view.book.positions.values() if p.quantity and view.has_price(p.symbol))
    return sum((p.quantity * view.marks[p.symbol] for p in held), view.book.cash)


def _of_book(view: RiskView, values: dict[str, Decimal], nav: Decimal) -> Iterator[Use]:
    limits = view.limits
    long = sum((value for value in values.values() if value > 0), ZERO)
    short = sum((-value for value in values.values() if value < 0), ZERO)
    in_book = {
        "gross_exposure": (long + short, limits.max_gross_exposure),
        "net_exposure": (abs(long - short), limits.max_net_exposure),
        "long_exposure": (long, limits.max_long_exposure),
        "short_exposure": (short, limits.max_short_exposure),
        "borrowing": (max(long - short - nav, ZERO), limits.max_borrowing),
    }
    for code, (value, share) in in_book.items():
        yield Use(code=code, subject="book", value=value, limit=share * nav)
    squares = sum((value * value for value in values.values()), ZERO)
    yield Use(
        code="concentration",
        subject="book",
        value=squares / (nav * nav) if nav else squares,
        limit=limits.max_concentration if nav > 0 else ZERO,
    )
    sectors = limits.sector_of
    for sector in sorted({sectors.get(symbol, UNCLASSIFIED) for symbol in values if sectors}):
        inside = (abs(v) for s, v in values.items() if sectors.get(s, UNCLASSIFIED) == sector)
        yield Use(
            code="sector_exposure",
            subject=sector,
            value=sum(inside, ZERO),
            limit=limits.max_sector_exposure * nav,
        )


def _of_positions(
    view: RiskView, shares: dict[str, Decimal], values: dict[str, Decimal], *, nav: Decimal
) -> Iterator[Use]:
    limits = view.limits
    for symbol, value in values.items():
        of_position = {
            "position_quantity": (abs(shares[symbol]), limits.max_position_quantity),
            "position_value": (abs(value), limits.max_position_value),
            "position_share": (abs(value), limits.max_position_share * nav),
        }
        for code, (used, limit) in of_position.items():
            yield Use(code=code, subject=symbol, value=used, limit=limit)
