"""Several strategies in one account: the account's book, and the part of it that is each one's.

A fill belongs to the strategy whose order it filled. What the account gets on a symbol that several
hold (dividends, splits, successions, borrow, fees) is divided by the shares they hold, signed. All
else, such as deposits and trades made past this system, is nobody's and goes to UNATTRIBUTED.

The parts add up to the account exactly in cash, shares and total P&L at the same marks. What is
realized and what is not may differ: where one strategy sells what another buys, the account nets.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Final

from trading_pipeline.core.accounting.book import COST_QUANTUM, EXACT, Book, Running
from trading_pipeline.core.accounting.entries import CashEntry, Entry, EntryKind, in_order
from trading_pipeline.core.execution.order import Fill

UNATTRIBUTED: Final = "account"
"""Whose part it is that is no strategy's."""

SHARE_QUANTUM: Final = Decimal("1e-9")
"""Parts of a split are rounded to this, in shares; the largest part takes the rest."""

_WHOLE: Final = frozenset({EntryKind.TRADE, EntryKind.TRANSFER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The account's book, and by strategy the part of it that is each one's."""

    total: Book = field(default_factory=Book)
    parts: Mapping[str, Book] = field(default_factory=dict[str, Book])

    @property
    def held(self) -> frozenset[str]:
        """Symbols that the account or any strategy holds or owes."""
        books = (self.total, *self.parts.values())
        return frozenset(p.symbol for b in books for p in b.positions.values() if p.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Netting:
    """A symbol that several strategies hold.

    `quantities` are signed shares by strategy, `quantity` what the account holds, and `netted` the
    shares that one holds and another owes, so that the account has neither.
    """

    symbol: str
    quantities: Mapping[str, Decimal]
    quantity: Decimal
    netted: Decimal


def replay_parts(opening: Books, entries: Iterable[Entry]) -> Books:
    """Return the books after all entries, each id once; `total` is what `book.replay` returns."""
    running = _RunningParts(opening)
    with localcontext(EXACT):
        for entry in in_order(entries):
            running.post(entry)
    return running.books()


def own_book(books: Books, strategy: str, *, shared: bool) -> Book:
    """Return what a strategy may call its own: the whole account, or in a `shared` one its part.

    Alone it answers for shares of an earlier strategy and of trades by hand, too.
    """
    return books.parts.get(strategy, Book()) if shared else books.total


def netting(books: Books) -> list[Netting]:
    """Return the symbols that more than one strategy holds or owes, sorted."""
    found: list[Netting] = []
    for symbol in sorted(books.held):
        shares = {name: book.quantity(symbol) for name, book in sorted(books.parts.items())}
        held = {name: quantity for name, quantity in shares.items() if quantity}
        if len(held) < 2:
            continue
        quantity = books.total.quantity(symbol)
        crossed = (sum(map(abs, held.values()), Decimal(0)) - abs(quantity)) / 2
        row = Netting(symbol=symbol, quantities=held, quantity=quantity, netted=crossed)
        found.append(row)
    return found


class _RunningParts:
    def __init__(self, opening: Books) -> None:
        self._total = Running(opening.total)
        self._parts = {name: Running(book) for name, book in opening.parts.items()}

    def post(self, entry: Entry) -> None:
        pieces = list(self._divided(entry))
        self._total.post(entry)
        for name, piece in pieces:
            if name not in self._parts:
                self._parts[name] = Running(Book())
            self._parts[name].post(piece)

    def books(self) -> Books:
        parts = {name: running.book() for name, running in self._parts.items()}
        return Books(total=self._total.book(), parts=parts)

    def _divided(self, entry: Entry) -> Iterator[tuple[str, Entry]]:
        if isinstance(entry, Fill):
            yield entry.strategy, entry
            return
        symbol = entry.symbol
        whole = self._total.position(symbol).quantity if symbol else Decimal(0)
        if symbol is None or entry.strategy or entry.kind in _WHOLE or not whole:
            yield entry.strategy or UNATTRIBUTED, entry
            return
        held = {name: part.position(symbol).quantity for name, part in self._parts.items()}
        yield from _pieces(entry, {name: each for name, each in held.items() if each}, whole)


def _pieces(
    entry: CashEntry, held: Mapping[str, Decimal], whole: Decimal
) -> Iterator[tuple[str, CashEntry]]:
    """Yield each holder's piece, the largest holder's last, which takes what rounding leaves."""
    amount, quantity, new = entry.amount, entry.quantity, entry.new_quantity
    *others, last = sorted(held, key=lambda name: (abs(held[name]), name))
    for name in others:
        share = held[name]
        cash = (entry.amount * share / whole).quantize(COST_QUANTUM, ROUND_DOWN)
        shares = (entry.quantity * share / whole).quantize(SHARE_QUANTUM, ROUND_DOWN)
        amount, quantity = amount - cash, quantity - shares
        its: Decimal | None = None
        if new is not None and entry.new_quantity is not None:
            its = (entry.new_quantity * share / whole).quantize(SHARE_QUANTUM, ROUND_DOWN)
            new -= its
        yield name, replace(entry, amount=cash, quantity=shares, new_quantity=its)
    yield last, replace(entry, amount=amount, quantity=quantity, new_quantity=new)
