"""Books kept between sessions, valued now, and through a restart of the database."""

from datetime import timedelta
from decimal import Decimal

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.attribution import Books, replay_parts
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.entries import EntryKind
from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.flows import books
from trading_pipeline.flows.books import book_of, books_of, keep
from trading_pipeline.flows.mark import Quote, accounts_of, value, value_now
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    make_decision,
    make_entry,
    make_fill,
    make_order,
)

DATABASES = ["sqlite"]
"""The flow asks the ledger, whose own tests ask both databases."""

NEXT = next_session(SESSION)
THIRD = next_session(NEXT)
BUY = make_order("AAPL")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "KEEP_EVERY", 2)


@pytest.fixture
def traded(ledger: Ledger) -> Ledger:
    """A deposit, a purchase, and a fee the session after."""
    ledger.record_decision(make_decision(), [BUY])
    fee = make_entry("fee", "-3", kind=EntryKind.FEE, session=THIRD)
    ledger.append(at=NOW, entries=[make_entry(), fee], fills=[make_fill(BUY)])
    return ledger


def whole(ledger: Ledger) -> Books:
    return replay_parts(Books(), ledger.entries())


def test_kept_books_and_what_came_since_are_the_fold_from_zero(traded: Ledger) -> None:
    assert keep(traded, NEXT, now=NOW)
    found = traded.history()
    assert (found.after, len(found.entries)) == (NEXT, 1)
    assert found.books == replay_parts(Books(), traded.entries(NEXT))
    assert books_of(traded) == whole(traded)
    assert book_of(traded, SESSION) == replay(Book(), traded.entries(SESSION))
    assert not keep(traded, NEXT, now=NOW)


def test_kept_books_that_lack_a_late_entry_are_not_used(traded: Ledger) -> None:
    keep(traded, NEXT, now=NOW)
    late = [make_entry(f"late-{n}", "-1", kind=EntryKind.FEE, session=SESSION) for n in range(2)]
    traded.append(at=NOW, entries=late)
    assert traded.history().after is None
    assert book_of(traded).fees == Decimal(6)
    assert keep(traded, NEXT, now=NOW)
    assert traded.history().after == NEXT
    assert books_of(traded) == whole(traded)


def test_what_stands_behind_a_session_adds_up(traded: Ledger) -> None:
    marks = {"AAPL": Mark(price=Decimal(110), source="close")}
    first = value(traded, marks=marks, session=NEXT, now=NOW, run_id="r")
    pnl = value(traded, marks=marks, session=THIRD, now=NOW, run_id="r")
    found = accounts_of(traded, pnl, marks)
    assert found.change.nav == pnl.nav - first.nav == -3
    assert (found.change.fees, found.change.unexplained) == (3, 0)
    assert found.journal.imbalance == 0
    assert found.parts["alpha_baseline"].unrealized == pnl.unrealized
    before = accounts_of(traded, first, marks)
    assert (before.change.flows, before.change.unexplained) == (100_000, 0)


def test_marks_fall_back_from_quotes_to_closes_to_cost_and_say_so(ledger: Ledger) -> None:
    names = ("AAPL", "IBM", "MSFT")
    orders = [make_order(name, sequence=n) for n, name in enumerate(names, 1)]
    ledger.record_decision(make_decision(), orders)
    ledger.append_fills([make_fill(order) for order in orders])
    old, patience = NOW - timedelta(minutes=6), timedelta(minutes=5)
    quotes = {
        "AAPL": Quote(price=Decimal(111), source="quote", at=NOW),
        "IBM": Quote(price=Decimal(222), source="quote", at=old),
    }
    closes = {name: Mark(price=Decimal(105), source="close") for name in names[:2]}
    pnl = value_now(ledger, quotes=quotes, closes=closes, now=NOW, patience=patience)
    assert [(each.symbol, each.source) for each in pnl.positions] == [
        ("AAPL", "quote"),
        ("IBM", "close"),
        ("MSFT", "cost"),
    ]
    assert pnl.unpriced == ("MSFT",)
