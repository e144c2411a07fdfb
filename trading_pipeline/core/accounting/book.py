"""The book: cash and positions, always the fold of ledger entries.

All sums are exact. The cost of the shares that a partial close takes out is rounded to four
decimals once, and what is left keeps the rest, so cash = cash_in + Σ realized − Σ cost − fees
holds to the last digit after any sequence of entries.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from enum import StrEnum
from functools import reduce
from typing import Final

from trading_pipeline.core.execution.order import Fill, Order
from trading_pipeline.errors import TradingError

EXACT: Final = Context(prec=60)
"""The arithmetic of books: wide enough that no sum or product of real money is ever rounded."""

COST_QUANTUM: Final = Decimal("0.0001")
"""Closed cost is rounded to this, in dollars, toward zero: what is left never changes sign."""


class EntryKind(StrEnum):
    """What moved cash or shares without an order."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    DIVIDEND = "dividend"
    SPLIT = "split"
    FEE = "fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class CashEntry:
    """One fact of the account that is not a fill.

    `amount` is the change of cash in dollars (negative for a withdrawal, a fee or a dividend owed
    on a short); `quantity` is the change of shares (splits only): the position's quantity after the
    split less that before. A split's `amount` is cash in lieu.
    """

    entry_id: str
    kind: EntryKind
    session: date
    amount: Decimal
    symbol: str | None = None
    quantity: Decimal = Decimal(0)
    at: datetime


Entry = Fill | CashEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One symbol's holding by the average-cost method.

    `quantity` is signed; `cost` is what the open shares cost in dollars, signed as the quantity is
    (negative for a short: the proceeds); `realized` is the gain of closed shares plus dividends,
    before fees; `fees` are commissions and other fees of the symbol.
    """

    symbol: str
    quantity: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    realized: Decimal = Decimal(0)
    dividends: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)

    @property
    def average_cost(self) -> Decimal | None:
        """Dollars a share of the open quantity; None when flat."""
        return self.cost / self.quantity if self.quantity else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Cash and all positions, flat ones with a history included.

    `cash_in` is deposits less withdrawals; `fees` is every fee, commissions included. Always
    exactly: cash = cash_in + Σ realized − Σ cost − fees.
    """

    cash: Decimal = Decimal(0)
    cash_in: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    positions: Mapping[str, Position] = field(default_factory=dict[str, Position])

    def position(self, symbol: str) -> Position:
        """Return the holding of `symbol`, a flat one when it was never traded."""
        return self.positions.get(symbol) or Position(symbol=symbol)

    def quantity(self, symbol: str) -> Decimal:
        """Return the signed shares held of `symbol`."""
        return self.position(symbol).quantity


def post(book: Book, entry: Entry) -> Book:
    """Return the book after one entry; raise TradingError for one that cannot have happened."""
    with localcontext(EXACT):
        if isinstance(entry, Fill):
            return _post_fill(book, entry)
        return _POST_CASH[entry.kind](book, entry)


def replay(opening: Book, entries: Iterable[Entry]) -> Book:
    """Return the book after all entries, each id once, in the order of the trading day.

    The order is: session; splits, dividends, cash, fills; time of the fill; id. It does not depend
    on the order of `entries`. Two different entries with one id raise TradingError.
    """
    return reduce(post, sorted(_unique(entries), key=_day_order), opening)


def expect(book: Book, order: Order, price: Decimal) -> Book:
    """Return the book as it would stand if the rest of `order` filled at `price`, free of fees."""
    position = book.position(order.symbol)
    with localcontext(EXACT):
        quantity = order.remaining_quantity * order.side.sign
        after = _trade(position, quantity, price)
        return _put(book, after, cash=-quantity * price)


def _post_fill(book: Book, fill: Fill) -> Book:
    if not (fill.quantity > 0 and fill.price > 0 and fill.commission >= 0):
        raise TradingError(
            f"Fill {fill.fill_id} has quantity {fill.quantity}, price {fill.price} and commission "
            f"{fill.commission}: expected shares and dollars above 0 and no negative commission."
        )
    traded = _trade(book.position(fill.symbol), fill.signed_quantity, fill.price)
    after = replace(traded, fees=traded.fees + fill.commission)
    paid = -fill.signed_quantity * fill.price
    return _put(book, after, cash=paid - fill.commission, fees=fill.commission)


def _trade(position: Position, quantity: Decimal, price: Decimal) -> Position:
    """Close what `quantity` takes off the position, then add the rest at `price`."""
    held = position.quantity
    closing = Decimal(0)
    if held * quantity < 0:
        closing = quantity if abs(quantity) <= abs(held) else -held
    position = _close(position, closing, price) if closing else position
    opening = quantity - closing
    return replace(
        position,
        quantity=position.quantity + opening,
        cost=position.cost + opening * price,
    )


def _close(position: Position, quantity: Decimal, price: Decimal) -> Position:
    left = position.quantity + quantity
    share = position.cost * -quantity / position.quantity
    cost = share.quantize(COST_QUANTUM, ROUND_DOWN) if left else position.cost
    return replace(
        position,
        quantity=left,
        cost=position.cost - cost,
        realized=position.realized - quantity * price - cost,
    )


def _post_transfer(book: Book, entry: CashEntry) -> Book:
    sign = 1 if entry.kind is EntryKind.DEPOSIT else -1
    if entry.amount * sign <= 0:
        raise TradingError(
            f"{entry.kind.capitalize()} {entry.entry_id} changes cash by {entry.amount} dollars: "
            f"expected {'more' if sign > 0 else 'less'} than 0."
        )
    return replace(book, cash=book.cash + entry.amount, cash_in=book.cash_in + entry.amount)


def _post_fee(book: Book, entry: CashEntry) -> Book:
    if entry.symbol is None:
        return replace(book, cash=book.cash + entry.amount, fees=book.fees - entry.amount)
    position = book.position(entry.symbol)
    after = replace(position, fees=position.fees - entry.amount)
    return _put(book, after, cash=entry.amount, fees=-entry.amount)


def _post_dividend(book: Book, entry: CashEntry) -> Book:
    position = book.position(_symbol(entry))
    after = replace(
        position,
        realized=position.realized + entry.amount,
        dividends=position.dividends + entry.amount,
    )
    return _put(book, after, cash=entry.amount)


def _post_split(book: Book, entry: CashEntry) -> Book:
    """Change the shares; cash in lieu gives back cost, and what exceeds the cost is a gain."""
    position = book.position(_symbol(entry))
    quantity = position.quantity + entry.quantity
    if position.quantity * quantity < 0 or not position.quantity:
        raise TradingError(
            f"Split {entry.entry_id} changes {position.quantity} shares of {entry.symbol} by "
            f"{entry.quantity}: expected a position, and the same side after it."
        )
    cost = _cost_after_lieu(position.cost, entry.amount) if quantity else Decimal(0)
    gain = entry.amount - (position.cost - cost)
    after = replace(position, quantity=quantity, cost=cost, realized=position.realized + gain)
    return _put(book, after, cash=entry.amount)


def _cost_after_lieu(cost: Decimal, amount: Decimal) -> Decimal:
    left = cost - amount
    return left if left * cost > 0 else Decimal(0)


_POST_CASH: Final[Mapping[EntryKind, Callable[[Book, CashEntry], Book]]] = {
    EntryKind.DEPOSIT: _post_transfer,
    EntryKind.WITHDRAWAL: _post_transfer,
    EntryKind.DIVIDEND: _post_dividend,
    EntryKind.SPLIT: _post_split,
    EntryKind.FEE: _post_fee,
}


def _put(book: Book, position: Position, *, cash: Decimal, fees: Decimal = Decimal(0)) -> Book:
    return replace(
        book,
        cash=book.cash + cash,
        fees=book.fees + fees,
        positions={**book.positions, position.symbol: position},
    )


def _symbol(entry: CashEntry) -> str:
    if entry.symbol is None:
        raise TradingError(f"{entry.kind.capitalize()} {entry.entry_id} names no symbol.")
    return entry.symbol


def _key(entry: Entry) -> tuple[bool, str]:
    if isinstance(entry, Fill):
        return True, entry.fill_id
    return False, entry.entry_id


def _unique(entries: Iterable[Entry]) -> list[Entry]:
    seen: dict[tuple[bool, str], Entry] = {}
    for entry in entries:
        if seen.setdefault(_key(entry), entry) != entry:
            raise TradingError(f"Two different entries bear the id {_key(entry)[1]}.")
    return list(seen.values())


_RANKS: Final = {EntryKind.SPLIT: 0, EntryKind.DIVIDEND: 1}


def _day_order(entry: Entry) -> tuple[date, int, str, str]:
    if isinstance(entry, Fill):
        return entry.session, 3, entry.filled_at.isoformat(), entry.fill_id
    return entry.session, _RANKS.get(entry.kind, 2), "", entry.entry_id
