"""The book: cash and positions, always the fold of ledger entries.

All sums are exact. The cost of the shares that a partial close takes out is rounded to four
decimals once, and what is left keeps the rest, so cash = cash_in + Σ realized − Σ cost − fees
holds to the last digit after any sequence of entries.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from typing import Final

from trading_pipeline.core.accounting.entries import CashEntry, Entry, EntryKind, in_order
from trading_pipeline.core.execution.order import Fill, Order
from trading_pipeline.errors import TradingError

EXACT: Final = Context(prec=60)
"""The arithmetic of books: wide enough that no sum or product of real money is ever rounded."""

COST_QUANTUM: Final = Decimal("0.0001")
"""Closed cost is rounded to this, in dollars, toward zero: what is left never changes sign."""


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

    `cash_in` is deposits less withdrawals, and shares put in or taken out at their price; `fees` is
    every fee, commissions, borrow and interest included (interest earned counts against them).
    Always exactly: cash = cash_in + Σ realized − Σ cost − fees.
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


class Running:
    """A book being written, entry by entry: what it costs does not grow with the positions."""

    __slots__ = ("cash", "cash_in", "fees", "positions")

    def __init__(self, opening: Book) -> None:
        self.cash, self.cash_in, self.fees = opening.cash, opening.cash_in, opening.fees
        self.positions = dict(opening.positions)

    def position(self, symbol: str) -> Position:
        """Return the holding of `symbol`, a flat one when it was never traded."""
        return self.positions.get(symbol) or Position(symbol=symbol)

    def post(self, entry: Entry) -> None:
        """Take one entry in; TradingError for one that cannot have happened. Use EXACT around."""
        if isinstance(entry, Fill):
            _post_fill(self, entry)
        else:
            _POST_CASH[entry.kind](self, entry)

    def put(self, position: Position, *, cash: Decimal, fees: Decimal = Decimal(0)) -> None:
        """Replace a position, and move cash and fees by these amounts."""
        self.cash += cash
        self.fees += fees
        self.positions[position.symbol] = position

    def book(self) -> Book:
        """The book as it stands now; what is posted afterwards does not change it."""
        return Book(
            cash=self.cash, cash_in=self.cash_in, fees=self.fees, positions=dict(self.positions)
        )


def post(book: Book, entry: Entry) -> Book:
    """Return the book after one entry; raise TradingError for one that cannot have happened."""
    return _after(book, [entry])


def replay(opening: Book, entries: Iterable[Entry]) -> Book:
    """Return the book after all entries, each id once, in the order of the trading day.

    It does not depend on the order of `entries`; see `in_order`.
    """
    return _after(opening, in_order(entries))


def expect(book: Book, order: Order, price: Decimal) -> Book:
    """Return the book as it would stand if the rest of `order` filled at `price`, free of fees."""
    running = Running(book)
    with localcontext(EXACT):
        quantity = order.remaining_quantity * order.side.sign
        after = _trade(running.position(order.symbol), quantity, price)
        running.put(after, cash=-quantity * price)
    return running.book()


def _after(opening: Book, entries: Iterable[Entry]) -> Book:
    running = Running(opening)
    with localcontext(EXACT):
        for entry in entries:
            running.post(entry)
    return running.book()


def _post_fill(book: Running, fill: Fill) -> None:
    if not (fill.quantity > 0 and fill.price > 0 and fill.commission >= 0):
        raise TradingError(
            f"Fill {fill.fill_id} has quantity {fill.quantity}, price {fill.price} and commission "
            f"{fill.commission}: expected shares and dollars above 0 and no negative commission."
        )
    quantity = fill.signed_quantity
    after = _trade(book.position(fill.symbol), quantity, fill.price, fees=fill.commission)
    paid = -quantity * fill.price
    book.put(after, cash=paid - fill.commission, fees=fill.commission)


def _trade(
    position: Position, quantity: Decimal, price: Decimal, *, fees: Decimal = Decimal(0)
) -> Position:
    """Close what `quantity` takes off the position, then add the rest at `price`."""
    held, cost, realized = position.quantity, position.cost, position.realized
    if held * quantity < 0:
        closing = quantity if abs(quantity) <= abs(held) else -held
        left = held + closing
        out = _share(cost, -closing, held) if left else cost
        realized -= closing * price + out
        held, cost, quantity = left, cost - out, quantity - closing
    return Position(
        symbol=position.symbol,
        quantity=held + quantity,
        cost=cost + quantity * price,
        realized=realized,
        dividends=position.dividends,
        fees=position.fees + fees,
    )


def _share(cost: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    return (cost * part / whole).quantize(COST_QUANTUM, ROUND_DOWN)


def _post_transfer(book: Running, entry: CashEntry) -> None:
    sign = 1 if entry.kind is EntryKind.DEPOSIT else -1
    if entry.amount * sign <= 0:
        raise TradingError(
            f"{entry.kind.capitalize()} {entry.entry_id} changes cash by {entry.amount} dollars: "
            f"expected {'more' if sign > 0 else 'less'} than 0."
        )
    book.cash += entry.amount
    book.cash_in += entry.amount


def _post_fee(book: Running, entry: CashEntry) -> None:
    if entry.symbol is None:
        book.cash += entry.amount
        book.fees -= entry.amount
        return
    position = book.position(entry.symbol)
    after = replace(position, fees=position.fees - entry.amount)
    book.put(after, cash=entry.amount, fees=-entry.amount)


def _post_dividend(book: Running, entry: CashEntry) -> None:
    position = book.position(_symbol(entry))
    realized, dividends = position.realized + entry.amount, position.dividends + entry.amount
    book.put(replace(position, realized=realized, dividends=dividends), cash=entry.amount)


def _post_split(book: Running, entry: CashEntry) -> None:
    """Change the shares; cash in lieu gives back cost, and what exceeds the cost is a gain."""
    position = book.position(_symbol(entry))
    quantity = position.quantity + entry.quantity
    if position.quantity * quantity < 0 or not position.quantity:
        raise TradingError(
            f"Split {entry.entry_id} changes {position.quantity} shares of {entry.symbol} by "
            f"{entry.quantity}: expected a position, and the same side after it."
        )
    cost = cost_after_lieu(position.cost, entry.amount) if quantity else Decimal(0)
    gain = entry.amount - (position.cost - cost)
    after = replace(position, quantity=quantity, cost=cost, realized=position.realized + gain)
    book.put(after, cash=entry.amount)


def _post_trade(book: Running, entry: CashEntry) -> None:
    """Shares bought or sold past this system; what the amount lacks of their value is a fee."""
    symbol, price = _symbol(entry), _price(entry)
    fees = -(entry.amount + entry.quantity * price)
    after = _trade(book.position(symbol), entry.quantity, price, fees=fees)
    book.put(after, cash=entry.amount, fees=fees)


def _post_shares(book: Running, entry: CashEntry) -> None:
    """Shares that came or went in kind: no cash moves, their value is put in or taken out."""
    symbol, price = _symbol(entry), _price(entry)
    if entry.amount:
        raise TradingError(
            f"Transfer {entry.entry_id} of shares changes cash by {entry.amount}: expected 0."
        )
    book.put(_trade(book.position(symbol), entry.quantity, price), cash=Decimal(0))
    book.cash_in += entry.quantity * price


def _post_succession(book: Running, entry: CashEntry) -> None:
    """Move shares on at their cost; cash gives back cost, and what exceeds the cost is a gain."""
    before, share = book.position(_symbol(entry)), entry.cost_share or Decimal(0)
    quantity = before.quantity + entry.quantity
    is_part = bool(entry.quantity and quantity)
    if not before.quantity or is_part or not 0 <= share <= 1 or entry.new_symbol == before.symbol:
        raise TradingError(
            f"Succession {entry.entry_id} changes {before.quantity} {before.symbol} by "
            f"{entry.quantity}: expected all or none, and a part of the cost for another symbol."
        )
    new = entry.new_quantity or Decimal(0)
    left = cost_after_lieu(before.cost, entry.amount) if quantity or new else Decimal(0)
    moved = left if new else Decimal(0)
    if quantity:
        moved = _share(moved, share, Decimal(1))
    gain = entry.amount - (before.cost - left)
    after = replace(before, quantity=quantity, cost=left - moved, realized=before.realized + gain)
    book.put(after, cash=entry.amount)
    if new and entry.new_symbol:
        book.put(_join(book.position(entry.new_symbol), new, moved), cash=Decimal(0))


def _join(position: Position, quantity: Decimal, cost: Decimal) -> Position:
    """Add shares that bear their own cost; where one side owes what the other holds, both close."""
    held, had, gain = position.quantity, position.cost, Decimal(0)
    if held * quantity < 0:
        if abs(quantity) > abs(held):
            held, had, quantity, cost = quantity, cost, held, had
        left = had - _share(had, -quantity, held) if held + quantity else Decimal(0)
        gain, cost, had = left - had - cost, Decimal(0), left
    return replace(
        position, quantity=held + quantity, cost=had + cost, realized=position.realized + gain
    )


def cost_after_lieu(cost: Decimal, amount: Decimal) -> Decimal:
    """Return what open shares cost once `amount` of it was paid back; it never changes sign."""
    left = cost - amount
    return left if left * cost > 0 else Decimal(0)


_POST_CASH: Final[Mapping[EntryKind, Callable[[Running, CashEntry], None]]] = {
    EntryKind.DEPOSIT: _post_transfer,
    EntryKind.WITHDRAWAL: _post_transfer,
    EntryKind.DIVIDEND: _post_dividend,
    EntryKind.SPLIT: _post_split,
    EntryKind.FEE: _post_fee,
    EntryKind.BORROW: _post_fee,
    EntryKind.INTEREST: _post_fee,
    EntryKind.TRADE: _post_trade,
    EntryKind.TRANSFER: _post_shares,
    EntryKind.SUCCESSION: _post_succession,
}


def _symbol(entry: CashEntry) -> str:
    if entry.symbol is None:
        raise TradingError(f"{entry.kind.capitalize()} {entry.entry_id} names no symbol.")
    return entry.symbol


def _price(entry: CashEntry) -> Decimal:
    if entry.price is None or not entry.price > 0 or not entry.quantity:
        raise TradingError(
            f"{entry.kind.capitalize()} {entry.entry_id} is of {entry.quantity} shares at "
            f"{entry.price}: expected shares, and a price above 0."
        )
    return entry.price
