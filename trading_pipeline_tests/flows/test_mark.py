"""Valuing the book: exact, kept once, and never from later facts."""

from decimal import Decimal

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import EntryKind
from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.flows.mark import value
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
BUY = make_order("AAPL")
MARKS = {"AAPL": Mark(price=Decimal("105.5"), source="close")}


def with_a_fill(ledger: Ledger) -> Ledger:
    ledger.record_decision(make_decision(), [BUY])
    ledger.append(at=NOW, entries=[make_entry()], fills=[make_fill(BUY)])
    return ledger


def test_the_value_is_cash_and_holdings_at_the_marks(ledger: Ledger) -> None:
    pnl = value(with_a_fill(ledger), marks=MARKS, session=NEXT, now=NOW, run_id="run-1")
    assert pnl.cash == Decimal("98986.6550")
    assert pnl.nav == pnl.cash + Decimal("1055.0")
    assert pnl.unrealized == Decimal("42.6550")
    assert pnl.nav == pnl.cash_in + pnl.realized + pnl.unrealized - pnl.fees
    assert ledger.snapshots(5) == [pnl]


def test_valuing_again_adds_no_snapshot(ledger: Ledger) -> None:
    with_a_fill(ledger)
    first = value(ledger, marks=MARKS, session=NEXT, now=NOW, run_id="run-1")
    assert value(ledger, marks=MARKS, session=NEXT, now=NOW, run_id="run-2") == first
    assert not ledger.append_snapshot(first, run_id="run-3", at=NOW)


def test_a_better_mark_makes_a_new_revision(ledger: Ledger) -> None:
    with_a_fill(ledger)
    value(ledger, marks=MARKS, session=NEXT, now=NOW, run_id="run-1")
    better = {"AAPL": Mark(price=Decimal("106"), source="close")}
    pnl = value(ledger, marks=better, session=NEXT, now=NOW, run_id="run-2")
    assert ledger.snapshots(5) == [pnl]


def test_facts_of_later_sessions_do_not_count(ledger: Ledger) -> None:
    with_a_fill(ledger)
    late = make_entry("late", "5", session=NEXT, kind=EntryKind.DEPOSIT)
    ledger.append_cash_entries([late])
    pnl = value(ledger, marks=MARKS, session=SESSION, now=NOW, run_id="run-1")
    assert (pnl.nav, pnl.positions) == (Decimal(100_000), ())


def test_a_holding_without_a_mark_is_named(ledger: Ledger) -> None:
    pnl = value(with_a_fill(ledger), marks={}, session=NEXT, now=NOW, run_id="run-1")
    assert pnl.unpriced == ("AAPL",)
    assert pnl.unrealized == 0
    assert ledger.snapshots(1)[0].unpriced == ("AAPL",)


def test_a_book_without_entries_is_worth_nothing(ledger: Ledger) -> None:
    assert value(ledger, marks={}, session=NEXT, now=NOW, run_id="run-1").nav == 0
