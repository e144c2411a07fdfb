"""Several strategies in one account: parts that add up, and what is netted."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.accounting.attribution import (
    UNATTRIBUTED,
    Books,
    netting,
    replay_parts,
)
from trading_pipeline.core.accounting.book import Book, EntryKind, replay
from trading_pipeline.core.accounting.entries import Entry
from trading_pipeline.core.accounting.pnl import Mark, mark
from trading_pipeline_tests.core.accounting.entries import (
    FIRST,
    Happening,
    Split,
    apply,
    cash,
    fill,
    happenings,
    shares_of,
)

MARKS = {s: Mark(price=Decimal(p), source="close") for s, p in {"AAPL": "50", "IBM": "7"}.items()}


def test_a_fill_belongs_to_the_strategy_of_its_order_and_a_deposit_to_nobody() -> None:
    books = replay_parts(
        Books(),
        [
            cash(EntryKind.DEPOSIT, "1000"),
            fill("AAPL", "10", "40", fee="1", strategy="alpha"),
            shares_of(EntryKind.TRADE, "AAPL", "2", "45", day=1),
        ],
    )
    assert {name: book.quantity("AAPL") for name, book in books.parts.items()} == {
        UNATTRIBUTED: 2,
        "alpha": 10,
    }
    assert books.parts["alpha"].cash == -401
    assert books.parts[UNATTRIBUTED].cash_in == 1000


def test_what_one_sells_and_another_buys_is_netted_and_each_keeps_its_own_gain() -> None:
    books = replay_parts(
        Books(),
        [
            fill("AAPL", "10", "40", strategy="alpha"),
            fill("AAPL", "-6", "50", strategy="beta", day=1),
        ],
    )
    (row,) = netting(books)
    assert (row.quantities, row.quantity, row.netted) == ({"alpha": 10, "beta": -6}, 4, 6)
    alpha, beta = (mark(books.parts[name], MARKS, FIRST) for name in ("alpha", "beta"))
    assert (alpha.realized, alpha.unrealized) == (0, 100)
    assert (beta.realized, beta.unrealized) == (0, 0)
    account = mark(books.total, MARKS, FIRST)
    assert (account.realized, account.unrealized) == (60, 40)


def test_a_dividend_is_divided_by_signed_shares_to_the_last_digit() -> None:
    books = replay_parts(
        Books(),
        [
            fill("AAPL", "10", "40", strategy="alpha"),
            fill("AAPL", "-3", "40", strategy="beta"),
            cash(EntryKind.DIVIDEND, "1.00", "AAPL", day=1),
        ],
    )
    paid = {name: book.position("AAPL").dividends for name, book in books.parts.items()}
    assert paid == {"beta": Decimal("-0.4285"), "alpha": Decimal("1.4285")}


def test_an_entry_that_names_its_strategy_is_that_strategys_alone() -> None:
    books = replay_parts(
        Books(),
        [
            fill("AAPL", "10", "40", strategy="alpha"),
            cash(EntryKind.FEE, "-1", "AAPL", day=1, strategy="beta"),
        ],
    )
    assert (books.parts["beta"].fees, books.parts["alpha"].fees) == (1, 0)


def happened(told: list[Happening]) -> list[Entry]:
    """The entries of random events, splits sized by what the account holds by then."""
    book, entries = Book(), list[Entry]()
    for what in sorted(told, key=lambda each: getattr(each, "session", FIRST)):
        if isinstance(what, Split):
            continue
        entries.append(what)
        book = apply(book, what)
    for number, what in enumerate(each for each in told if isinstance(each, Split)):
        held = book.quantity(what.symbol)
        whole = (held * Decimal(what.ratio)).quantize(Decimal(1), "ROUND_DOWN")
        if held:
            shares = str(whole - held)
            split = cash(EntryKind.SPLIT, "0.07", what.symbol, shares, day=20 + number)
            entries.append(split)
            book = apply(book, split)
    return entries


@given(st.lists(happenings, max_size=25))
def test_parts_add_up_to_the_account_in_cash_shares_and_total_gain(told: list[Happening]) -> None:
    entries = happened(told)
    books = replay_parts(Books(), entries)
    assert books.total == replay(Book(), entries)
    parts = books.parts.values()
    for name in ("cash", "cash_in", "fees"):
        assert sum(getattr(part, name) for part in parts) == getattr(books.total, name)
    for symbol in MARKS:
        assert sum(part.quantity(symbol) for part in parts) == books.total.quantity(symbol)
    account = mark(books.total, MARKS, FIRST)
    assert sum(mark(part, MARKS, FIRST).total for part in parts) == account.total


@given(st.lists(happenings, max_size=20), st.integers(0, 25))
def test_parts_can_be_resumed_at_any_session(told: list[Happening], day: int) -> None:
    entries = happened(told)
    limit = fill("X", "1", "1", day=day).session
    early = [entry for entry in entries if entry.session <= limit]
    late = [entry for entry in entries if entry.session > limit]
    whole = replay_parts(Books(), entries)
    assert replay_parts(replay_parts(Books(), early), late) == whole
