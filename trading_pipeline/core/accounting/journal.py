"""Double entry: what each entry moves between the accounts of the book, in dollars.

Assets and expenses grow by debits (positive), capital and income by credits (negative), so that the
postings of an entry add up to 0, and so do all accounts at any time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final

from trading_pipeline.core.accounting.book import EXACT, Book, Position, Running
from trading_pipeline.core.accounting.entries import Entry, EntryKind, in_order
from trading_pipeline.core.execution.order import Fill
from trading_pipeline.errors import TradingError

CASH: Final = "assets:cash"
SHARES: Final = "assets:shares"
CAPITAL: Final = "capital"
GAINS: Final = "income:gains"
DIVIDENDS: Final = "income:dividends"
COMMISSIONS: Final = "expenses:commissions"

_EXPENSES: Final[Mapping[EntryKind, str]] = {
    EntryKind.BORROW: "expenses:borrow",
    EntryKind.INTEREST: "expenses:interest",
    EntryKind.TRADE: COMMISSIONS,
}
_OTHER: Final = "expenses:fees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The sums of all accounts, by name, and how many entries they come from."""

    accounts: Mapping[str, Decimal]
    entries: int

    @property
    def imbalance(self) -> Decimal:
        """What the accounts add up to: 0 when every dollar went from somewhere to somewhere."""
        with localcontext(EXACT):
            return sum(self.accounts.values(), Decimal(0))


def journal(opening: Book | None, entries: Iterable[Entry]) -> Journal:
    """Return the accounts of `opening`, by default empty, after all entries, each id once.

    The expenses of an opening that is not empty stand under `expenses:before`. Raises TradingError
    for an entry whose postings do not add up to 0.
    """
    start = opening or Book()
    running, accounts, count = Running(start), defaultdict[str, Decimal](Decimal), 0
    with localcontext(EXACT):
        for account, amount in _opening(start).items():
            accounts[account] += amount
        for entry in in_order(entries):
            for account, amount in _postings(running, entry).items():
                accounts[account] += amount
            count += 1
    kept = {name: amount for name, amount in sorted(accounts.items()) if amount}
    return Journal(accounts=kept, entries=count)


def postings(book: Book, entry: Entry) -> dict[str, Decimal]:
    """Return what `entry` moves when it is posted to `book`, by account; they add up to 0."""
    with localcontext(EXACT):
        return _postings(Running(book), entry)


def _opening(book: Book) -> dict[str, Decimal]:
    positions = book.positions.values()
    dividends = sum((p.dividends for p in positions), Decimal(0))
    realized = sum((p.realized for p in positions), Decimal(0))
    return {
        CASH: book.cash,
        SHARES: sum((p.cost for p in positions), Decimal(0)),
        CAPITAL: -book.cash_in,
        GAINS: dividends - realized,
        DIVIDENDS: -dividends,
        "expenses:before": book.fees,
    }


def _postings(running: Running, entry: Entry) -> dict[str, Decimal]:
    """Post the entry, and return what changed."""
    cash, put_in, fees = running.cash, running.cash_in, running.fees
    before = _sums(running, entry)
    running.post(entry)
    after = _sums(running, entry)
    paid = after.dividends - before.dividends
    moved = {
        CASH: running.cash - cash,
        SHARES: after.cost - before.cost,
        CAPITAL: put_in - running.cash_in,
        GAINS: paid - (after.realized - before.realized),
        DIVIDENDS: -paid,
        _expense(entry): running.fees - fees,
    }
    if imbalance := sum(moved.values(), Decimal(0)):
        raise TradingError(f"The postings of {entry} add up to {imbalance} dollars: expected 0.")
    return {account: amount for account, amount in moved.items() if amount}


def _sums(running: Running, entry: Entry) -> Position:
    """The sums over the one position an entry is about, or the two that a succession is about."""
    named = (entry.symbol, None if isinstance(entry, Fill) else entry.new_symbol)
    held = [running.position(symbol) for symbol in named if symbol]
    return Position(
        symbol="",
        cost=sum((p.cost for p in held), Decimal(0)),
        realized=sum((p.realized for p in held), Decimal(0)),
        dividends=sum((p.dividends for p in held), Decimal(0)),
    )


def _expense(entry: Entry) -> str:
    return COMMISSIONS if isinstance(entry, Fill) else _EXPENSES.get(entry.kind, _OTHER)
