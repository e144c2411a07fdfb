"""Ledger entries in few words and at random, for the tests of the book and of P&L."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, NamedTuple

from hypothesis import strategies as st

from trading_pipeline.core.accounting.book import Book, CashEntry, Entry, EntryKind, post
from trading_pipeline.core.execution.order import Fill, Side

FIRST = date(2013, 1, 2)
_numbers = count()


def at(day: int) -> datetime:
    """Half past two UTC of day `day`."""
    return datetime(2013, 1, 2, 14, 30, tzinfo=UTC) + timedelta(days=day)


def fill(
    symbol: str,
    shares: str,
    price: str,
    *,
    fee: str = "0",
    day: int = 0,
    name: str | None = None,
    strategy: str = "alpha_baseline",
) -> Fill:
    """Signed shares traded at a price."""
    number = f"f{next(_numbers):05}"
    return Fill(
        fill_id=name or number,
        client_order_id=f"o-{number}",
        strategy=strategy,
        symbol=symbol,
        side=Side.BUY if Decimal(shares) > 0 else Side.SELL,
        quantity=abs(Decimal(shares)),
        price=Decimal(price),
        commission=Decimal(fee),
        session=FIRST + timedelta(days=day),
        filled_at=at(day),
    )


def cash(
    kind: EntryKind,
    dollars: str,
    symbol: str | None = None,
    shares: str = "0",
    *,
    day: int = 0,
    name: str | None = None,
    **more: Any,
) -> CashEntry:
    """Dollars, and for a split shares, that came without an order."""
    return CashEntry(
        entry_id=name or f"c{next(_numbers):05}",
        kind=kind,
        session=FIRST + timedelta(days=day),
        amount=Decimal(dollars),
        symbol=symbol,
        quantity=Decimal(shares),
        at=at(day),
        **more,
    )


def shares_of(
    kind: EntryKind, symbol: str, shares: str, price: str, *, fee: str = "0", day: int = 0
) -> CashEntry:
    """A trade past this system, or shares that came in kind."""
    paid = -Decimal(shares) * Decimal(price) - Decimal(fee)
    amount = paid if kind is EntryKind.TRADE else Decimal(0)
    return cash(kind, str(amount), symbol, shares, day=day, price=Decimal(price))


class Split(NamedTuple):
    """A split by `ratio` new shares an old one; fractions are paid out at `price`."""

    symbol: str
    ratio: str
    price: str


Happening = Entry | Split


def apply(book: Book, what: Happening) -> Book:
    """Post an entry, or a split as the account sees it: whole shares, cash for the fraction."""
    if not isinstance(what, Split):
        return post(book, what)
    held = book.quantity(what.symbol)
    exact = held * Decimal(what.ratio)
    whole = exact.quantize(Decimal(1), "ROUND_DOWN")
    lieu = (exact - whole) * Decimal(what.price)
    if not held:
        return book
    return post(book, cash(EntryKind.SPLIT, str(lieu), what.symbol, str(whole - held)))


symbols = st.sampled_from(["AAPL", "IBM"])
prices = st.decimals("0.0001", "900", places=4).map(str)
dollars = st.decimals("0.01", "5000", places=2)
days = st.integers(0, 9)
shares = st.integers(-300, 300).filter(bool).map(str)
odd_shares = st.decimals("-50", "50", places=3).filter(bool).map(str)
fees = st.decimals("0", "9", places=2).map(str)

strategies = st.sampled_from(["alpha", "beta"])

fills = st.builds(
    lambda symbol, quantity, price, fee, day, strategy: fill(
        symbol, quantity, price, fee=fee, day=day, strategy=strategy
    ),
    symbols,
    shares | odd_shares,
    prices,
    fees,
    days,
    strategies,
)
without_orders = st.builds(
    lambda kind, symbol, quantity, price, day: shares_of(kind, symbol, quantity, price, day=day),
    st.sampled_from([EntryKind.TRADE, EntryKind.TRANSFER]),
    symbols,
    shares,
    prices,
    days,
)
transfers = st.builds(
    lambda kind, amount, day: cash(
        kind, str(amount if kind is EntryKind.DEPOSIT else -amount), day=day
    ),
    st.sampled_from([EntryKind.DEPOSIT, EntryKind.WITHDRAWAL]),
    dollars,
    days,
)
fees_and_dividends = st.builds(
    lambda kind, amount, sign, symbol, day: cash(kind, str(amount * sign), symbol, day=day),
    st.sampled_from([EntryKind.FEE, EntryKind.DIVIDEND, EntryKind.BORROW, EntryKind.INTEREST]),
    dollars,
    st.sampled_from([-1, 1]),
    symbols,
    days,
)
entries = fills | transfers | fees_and_dividends | without_orders
splits = st.builds(Split, symbols, st.sampled_from(["4", "1.5", "0.25", "0.1"]), prices)
happenings = st.one_of(fills, fills, entries, splits)
