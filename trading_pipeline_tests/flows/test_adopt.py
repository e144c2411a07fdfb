"""A person's word on a break: the books follow the broker, by an entry that says so."""

from dataclasses import replace
from decimal import Decimal

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.entries import EntryKind
from trading_pipeline.core.execution.account import Succession
from trading_pipeline.core.execution.breaks import Break, BreakKind, Resolution, Subject
from trading_pipeline.core.execution.reconcile import Clues
from trading_pipeline.core.market.calendar import previous_session
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.adopt import adopt
from trading_pipeline.flows.books import book_of
from trading_pipeline_tests.fakes import NOW, SESSION, make_entry

DATABASES = ["sqlite"]
"""The flow asks the ledger, whose own tests ask both databases."""


def broken(
    kind: BreakKind, mine: str, other: str, symbol: str | None = None, *, order: str | None = None
) -> Break:
    subject = Subject.POSITION if symbol else Subject.CASH
    return Break(
        subject=Subject.ORDER if order else subject,
        kind=kind,
        resolution=Resolution.HELD,
        symbol=symbol,
        reference=order,
        ours=Decimal(mine),
        theirs=Decimal(other),
        explanation="found.",
    )


SPLIT = broken(BreakKind.CORPORATE_ACTION, "10", "70", "AAPL")
MOVED = broken(BreakKind.UNKNOWN, "0", "3", "IBM")
FEE = broken(BreakKind.FEE, "100", "97")
CASH = broken(BreakKind.UNKNOWN, "100", "150")


CLUES = Clues(prices={"IBM": Decimal(200)})


def adopted(
    ledger: Ledger, *breaks: Break, reason: str = "by phone", clues: Clues = CLUES
) -> list[EntryKind]:
    words = {"session": SESSION, "reason": reason, "now": NOW}
    entries = adopt(ledger, breaks, clue=lambda _: clues, **words)
    return [entry.kind for entry in entries]


def test_each_break_becomes_the_entry_that_it_looks_like(ledger: Ledger) -> None:
    held = make_entry(
        "in", "0", kind=EntryKind.TRANSFER, symbol="AAPL", quantity=Decimal(10), price=Decimal(7)
    )
    ledger.append_cash_entries([replace(held, session=previous_session(SESSION))])
    assert adopted(ledger, SPLIT, MOVED, FEE) == [
        EntryKind.SPLIT,
        EntryKind.TRANSFER,
        EntryKind.FEE,
    ]
    book = book_of(ledger)
    assert (book.quantity("AAPL"), book.quantity("IBM"), book.cash) == (70, 3, -3)
    assert book.position("AAPL").cost == 70


def test_cash_of_which_nobody_knows_was_put_in(ledger: Ledger) -> None:
    assert adopted(ledger, CASH) == [EntryKind.DEPOSIT]
    assert book_of(ledger).cash_in == 50


@pytest.mark.parametrize(
    ("found", "reason", "match"),
    [
        (FEE, " ", "takes a reason"),
        (broken(BreakKind.EXTERNAL_ORDER, "0", "5", "IBM", order="x"), "why", "cancel it"),
        (broken(BreakKind.UNKNOWN, "0", "5", "MSFT"), "why", "no price"),
    ],
)
def test_what_cannot_be_booked_is_refused_and_nothing_is(
    ledger: Ledger, found: Break, reason: str, match: str
) -> None:
    with pytest.raises(SettingsError, match=match):
        adopted(ledger, found, reason=reason)
    assert ledger.entries() == []


def holding(ledger: Ledger) -> None:
    """Ten shares of AAPL that cost 70 dollars."""
    held = make_entry(
        "in", "0", kind=EntryKind.TRANSFER, symbol="AAPL", quantity=Decimal(10), price=Decimal(7)
    )
    ledger.append_cash_entries([replace(held, session=previous_session(SESSION))])


def succeeded(*, keeps: bool, new: str | None = "NEW") -> Clues:
    found = Succession(
        symbol="AAPL", keeps=keeps, new_symbol=new, new_shares=Decimal("0.5"), dollars=Decimal(0)
    )
    return Clues(prices={"AAPL": Decimal(30), "NEW": Decimal(20)}, successions=[found])


def test_a_spin_off_shares_the_cost_by_what_both_are_worth(ledger: Ledger) -> None:
    holding(ledger)
    came = broken(BreakKind.CORPORATE_ACTION, "0", "5", "NEW")
    assert adopted(ledger, came, clues=succeeded(keeps=True)) == [EntryKind.SUCCESSION]
    book = book_of(ledger)
    # half a share at 20 for each at 30: a quarter of the 40
    assert (book.position("NEW").quantity, book.position("NEW").cost) == (5, Decimal("17.5"))
    assert (book.position("AAPL").quantity, book.position("AAPL").cost) == (10, Decimal("52.5"))


def test_a_change_of_name_keeps_the_cost(ledger: Ledger) -> None:
    holding(ledger)
    went = broken(BreakKind.CORPORATE_ACTION, "10", "0", "AAPL")
    came = broken(BreakKind.CORPORATE_ACTION, "0", "5", "NEW")
    assert adopted(ledger, went, came, clues=succeeded(keeps=False)) == [EntryKind.SUCCESSION]
    book = book_of(ledger)
    assert (book.position("NEW").quantity, book.position("NEW").cost) == (5, 70)
    assert (book.quantity("AAPL"), book.position("AAPL").realized) == (0, 0)
