"""Corporate actions at Alpaca that the books must follow: adopted, or held under their name."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.execution.breaks import BreakKind, Reconciliation
from trading_pipeline.core.market.action_kinds import SPIN_OFF
from trading_pipeline.core.market.calendar import next_session, session_close, session_open
from trading_pipeline.flows.adopt import adopt
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.order_updates import settle
from trading_pipeline.flows.reconcile import ASKED, Clue, clues_of, reconcile
from trading_pipeline.flows.trade import trade
from trading_pipeline_tests.alpaca_twin import AlpacaTwin
from trading_pipeline_tests.alpaca_twin.actions import spin_off, succeed
from trading_pipeline_tests.alpaca_twin.brokers import broker_of
from trading_pipeline_tests.factories import action, actions_of, bars_of
from trading_pipeline_tests.fakes import NOW, SESSION, FrameVendor, make_mandate, targets_of

NEXT = next_session(SESSION)
THIRD = next_session(NEXT)
LATER = session_close(THIRD) + timedelta(minutes=5)
CLOSES = {"AAPL": [100.0, 100.0, 75.0], "NEW": [50.0] * 3}
VENDOR = FrameVendor(
    bars_of(CLOSES, first=SESSION), actions_of(action("AAPL", THIRD, SPIN_OFF, new=("NEW", 0.5)))
)
CLUE: Clue = partial(clues_of, VENDOR, THIRD)


@pytest.fixture
def alpaca() -> Iterator[AlpacaTwin]:
    """A twin whose account was opened in SESSION, and whose clock stands after its close."""
    with AlpacaTwin(now=session_open(SESSION)) as twin:
        twin.exchange.now_fixed = NOW
        yield twin


@pytest.fixture
def ledger(request: pytest.FixtureRequest, tmp_path: Path, alpaca: AlpacaTwin) -> Iterator[Ledger]:
    """The books of an account that bought 100 shares of AAPL at 100 dollars."""
    path = tmp_path / "ledger.db"
    shutil.copyfile(request.getfixturevalue("_sqlite_ledger"), path)
    opened, broker = Ledger(f"sqlite:///{path}"), broker_of(alpaca)
    settle(opened, broker, VENDOR, through=SESSION, now=NOW)
    targets, marks = targets_of(SESSION, AAPL=0.1), {"AAPL": Decimal(100)}
    trade(opened, broker, targets, marks, mandate=make_mandate(SESSION), now=NOW)
    for session in (NEXT, THIRD):
        alpaca.exchange.move_to(session_open(session))
    yield opened
    opened.close()


def look(ledger: Ledger, twin: AlpacaTwin) -> Reconciliation:
    return reconcile(ledger, broker_of(twin), cause=ASKED, now=LATER, clue=CLUE)


def test_a_change_of_name_is_adopted(ledger: Ledger, alpaca: AlpacaTwin) -> None:
    succeed(alpaca.exchange, "NC", "AAPL", "NEW")
    found = look(ledger, alpaca)
    assert found.held == ()
    assert BreakKind.CORPORATE_ACTION in {each.kind for each in found.adopted}
    position = book_of(ledger).position("NEW")
    assert (position.quantity, position.cost) == (100, 10_000)


def test_a_spin_off_without_prices_is_held_by_name_until_it_is_adopted(
    ledger: Ledger, alpaca: AlpacaTwin
) -> None:
    spin_off(alpaca.exchange, "AAPL", "NEW", "0.5")
    (held,) = look(ledger, alpaca).held
    assert (held.kind, held.symbol, held.difference) == (BreakKind.CORPORATE_ACTION, "NEW", 50)
    assert "a share of AAPL brought 0.5 NEW" in held.explanation
    (entry,) = adopt(ledger, [held], session=THIRD, clue=CLUE, reason="spun off", now=LATER)
    assert entry.kind is EntryKind.SUCCESSION
    book = book_of(ledger)
    assert (book.position("AAPL").cost, book.position("NEW").cost) == (7_500, 2_500)
    assert look(ledger, alpaca).held == ()


def test_an_action_on_what_we_do_not_hold_is_held_and_never_booked(
    ledger: Ledger, alpaca: AlpacaTwin
) -> None:
    alpaca.exchange.books.trade("XYZ", Decimal(3), Decimal(0))  # of which nobody told
    succeed(alpaca.exchange, "MA", "XYZ", "IBM")
    held = {each.symbol: each.difference for each in look(ledger, alpaca).held}
    assert held == {"IBM": 3}
    assert EntryKind.SUCCESSION not in {
        entry.kind for entry in ledger.entries() if isinstance(entry, CashEntry)
    }
