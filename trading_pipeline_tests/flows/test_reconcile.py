"""Reconciliation against a broker's account: what is adopted, what is held, what that stops."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.attribution import UNATTRIBUTED
from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.execution.account import Account, MarketSession
from trading_pipeline.core.execution.breaks import BreakKind, Reconciliation, Subject
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState, Side, move
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.errors import ReconciliationError, SettingsError, TransientError
from trading_pipeline.flows.books import book_of, books_of
from trading_pipeline.flows.bootstrap import bootstrap
from trading_pipeline.flows.order_updates import catch_up, settle
from trading_pipeline.flows.reconcile import (
    SCHEDULED,
    before_orders,
    block_planned,
    last_reconciliation,
    reconcile,
    require_books,
)
from trading_pipeline_tests.factories import actions_of, bars_of, split
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    FrameVendor,
    LossyBroker,
    make_decision,
    make_entry,
    make_order,
    make_reconciliation,
)

DATABASES = ["sqlite"]
"""The flow asks the ledger, whose own tests ask both databases."""

NEXT = next_session(SESSION)
LATER = NOW + timedelta(days=30)
PRICES = {"AAPL": Decimal(100), "IBM": Decimal(200)}
VENDOR = FrameVendor(bars_of({"AAPL": [100.0] * 10, "IBM": [200.0] * 10}, first=SESSION))
MARKET = MarketSession(session=NEXT, opens=PRICES, closes=PRICES, splits={}, dividends={})
BUY = make_order("AAPL")
MINE = make_order("IBM", client_order_id="by-hand", strategy="hand", quantity=Decimal(5))


@pytest.fixture
def opened(ledger: Ledger, broker: SimulatedBroker) -> Ledger:
    """A ledger that knows of the deposit and has one order at the broker."""
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    ledger.record_decision(make_decision(), [BUY])
    sending = move(BUY, OrderState.SUBMITTING)
    ledger.append(at=NOW, orders=[sending, *catch_up(sending, broker.submit(BUY), ())])
    return ledger


def look(ledger: Ledger, broker: Any, **changes: Any) -> Reconciliation:
    return reconcile(ledger, broker, cause=SCHEDULED, now=LATER, **changes)


class Other(LossyBroker):
    """A broker whose account, or what it tells of it, was changed by somebody."""

    def __init__(self, broker: SimulatedBroker, **changes: Any) -> None:
        super().__init__(broker, [])
        self.changes = changes

    def account(self) -> Account:
        held = self._broker.account()
        shares = {**held.positions, **self.changes.get("shares", {})}
        positions = {symbol: Decimal(quantity) for symbol, quantity in shares.items() if quantity}
        cash = held.cash + self.changes.get("cash", 0)
        return Account(cash=cash, positions=positions, average_prices=self.changes.get("costs", {}))

    def activities(self, since: Any = None) -> list[CashEntry]:
        more = [e for e in self.changes.get("told", []) if since is None or e.session >= since]
        return [*self._broker.activities(since), *more]


def test_books_that_tie_out_are_recorded_once(opened: Ledger, broker: SimulatedBroker) -> None:
    found = look(opened, broker)
    assert (found.breaks, found.orders, found.cash) == ((), 1, 100_000)
    assert look(opened, broker) == found
    assert opened.reconciliations(9) == [found]


def test_a_fill_that_nobody_told_is_adopted(opened: Ledger, broker: SimulatedBroker) -> None:
    broker.advance(MARKET)
    found = look(opened, broker)
    assert [(each.kind, each.symbol, each.theirs) for each in found.adopted] == [
        (BreakKind.MISSED_FILL, "AAPL", 10)
    ]
    assert found.held == ()
    assert opened.orders()[0].state is OrderState.FILLED
    assert look(opened, broker).breaks == ()


def test_a_fill_of_an_order_that_we_hold_as_canceled_is_adopted(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    opened.append_event(move(opened.orders()[0], OrderState.CANCELED), at=NOW)
    broker.advance(MARKET)
    found = look(opened, broker)
    assert [each.kind for each in found.breaks] == [BreakKind.MISSED_FILL]
    assert opened.orders()[0].state is OrderState.FILLED


def test_a_strangers_order_is_held_and_its_trade_is_adopted_to_nobodys_account(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    broker.submit(MINE)
    waiting = look(opened, broker)
    assert [each.kind for each in waiting.held] == [BreakKind.EXTERNAL_ORDER]
    assert require_books(waiting) == {"IBM"}
    broker.advance(MARKET)
    found = look(opened, broker)
    assert {each.kind for each in found.adopted} == {BreakKind.MISSED_FILL, BreakKind.MANUAL_TRADE}
    assert found.held == ()
    assert books_of(opened).parts[UNATTRIBUTED].quantity("IBM") == 5
    assert book_of(opened).cash == broker.account().cash


@pytest.mark.parametrize(
    ("kind", "amount", "name"),
    [
        (EntryKind.FEE, "-1.5", BreakKind.FEE),
        (EntryKind.BORROW, "-0.5", BreakKind.FEE),
        (EntryKind.INTEREST, "2", BreakKind.FEE),
        (EntryKind.WITHDRAWAL, "-50", BreakKind.TRANSFER),
    ],
)
def test_what_the_broker_charges_and_pays_is_adopted(
    opened: Ledger, broker: SimulatedBroker, kind: EntryKind, amount: str, name: BreakKind
) -> None:
    told = make_entry("fact", amount, kind=kind, session=NEXT)
    found = look(opened, Other(broker, cash=Decimal(amount), told=[told]))
    assert [(each.kind, each.is_held) for each in found.breaks] == [(name, False)]
    assert book_of(opened).cash == 100_000 + Decimal(amount)


def test_a_fact_that_is_told_long_after_its_date_is_found_when_cash_does_not_tie(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    settle(opened, broker, VENDOR, through=next_session(NEXT), now=LATER)
    late = make_entry("late", "-3", kind=EntryKind.FEE, session=SESSION - timedelta(days=200))
    found = look(opened, Other(broker, cash=Decimal(-3), told=[late]))
    assert [(each.kind, each.is_held) for each in found.breaks] == [(BreakKind.FEE, False)]


def test_cash_that_nothing_explains_stops_everything_and_shares_their_symbol(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    cash = look(opened, Other(broker, cash=7))
    with pytest.raises(ReconciliationError, match="100000 dollars of cash against 100007"):
        require_books(cash)
    shares = look(opened, Other(broker, shares={"IBM": 7}))
    assert require_books(shares) == {"IBM"}
    assert last_reconciliation(opened) == shares
    assert look(opened, broker).breaks == ()


def test_less_than_a_cent_is_booked_as_rounding_and_never_adds_up(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    found = look(opened, Other(broker, cash=Decimal("0.004")))
    assert [(each.kind, each.is_held) for each in found.breaks] == [(BreakKind.FEE, False)]
    assert book_of(opened).cash == Decimal("100000.004")


def test_a_difference_between_two_looks_is_none(opened: Ledger, broker: SimulatedBroker) -> None:
    class Passing(Other):
        def account(self) -> Account:
            found = super().account()
            self.changes = {}
            return found

    assert look(opened, Passing(broker, cash=7)).breaks == ()


def test_a_look_without_writing_writes_nothing(opened: Ledger, broker: SimulatedBroker) -> None:
    broker.advance(MARKET)
    found = look(opened, broker, write=False)
    assert len(found.adopted) == 1
    assert opened.reconciliations(1) == []
    assert opened.orders()[0].state is OrderState.ACCEPTED


def test_a_broker_that_does_not_answer_leaves_the_ledger_as_it_was(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    class Silent(Other):
        def account(self) -> Account:
            raise TransientError("No answer.")

    with pytest.raises(TransientError):
        look(opened, Silent(broker))
    assert opened.reconciliations(1) == []


def test_ahead_of_orders_known_splits_explain_and_planned_orders_are_blocked(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    held = make_entry(
        "shares", "0", kind=EntryKind.TRANSFER, symbol="AAPL", quantity=Decimal(10),
        price=Decimal(100), session=SESSION - timedelta(days=3),
    )  # fmt: skip
    ledger.append_cash_entries([held, *broker.activities()])
    ledger.record_decision(make_decision(), [BUY, make_order("IBM", sequence=2)])
    bars = bars_of({"AAPL": [100.0] * 3}, first=SESSION)
    vendor = FrameVendor(bars, actions_of(split("AAPL", SESSION, 7.0)))
    other = Other(broker, shares={"AAPL": 70})
    words = {"session": SESSION, "now": NOW}
    assert before_orders(ledger, other, vendor, **words, write=False) == {"AAPL"}
    assert before_orders(ledger, other, vendor, **words) == {"AAPL"}
    (found,) = ledger.reconciliations(1)
    assert found.held[0].kind is BreakKind.CORPORATE_ACTION
    states = {order.symbol: (order.state, order.code) for order in ledger.orders()}
    assert states == {
        "AAPL": (OrderState.BLOCKED, "break"),
        "IBM": (OrderState.PLANNED, None),
    }
    assert block_planned(ledger, found, now=NOW) == []


def test_reconciliations_are_read_back_as_they_were(ledger: Ledger) -> None:
    first, second = make_reconciliation(), make_reconciliation(cash=Decimal(6), cause="schedule")
    assert [ledger.append_reconciliation(each) for each in (first, second)] == [True, True]
    assert not ledger.append_reconciliation(make_reconciliation(cash=Decimal(6), at=LATER))
    assert ledger.reconciliations(9) == [first, second]


# Opening the books on an account that has a past


@pytest.fixture
def old(tmp_path: Path) -> SimulatedBroker:
    """An account that holds 10 AAPL, bought by somebody else."""
    broker = SimulatedBroker(tmp_path / "old.db", CostModel(), Decimal(100_000))
    broker.submit(BUY)
    broker.advance(MARKET)
    return broker


def test_new_books_open_on_what_the_account_holds(ledger: Ledger, old: SimulatedBroker) -> None:
    settle(ledger, old, VENDOR, through=NEXT, now=LATER)
    book = book_of(ledger)
    assert (book.cash, book.quantity("AAPL")) == (old.account().cash, 10)
    assert book.position("AAPL").average_cost == 100
    assert book.cash_in == book.cash + 1000
    assert look(ledger, old).breaks == ()


def test_the_brokers_average_price_goes_before_the_market(
    ledger: Ledger, old: SimulatedBroker
) -> None:
    broker = Other(old, costs={"AAPL": Decimal("42.5")})
    bootstrap(ledger, broker, session=NEXT, prices=lambda _: {}, now=LATER)
    assert book_of(ledger).position("AAPL").average_cost == Decimal("42.5")


def test_books_do_not_open_at_a_guess_nor_twice(ledger: Ledger, old: SimulatedBroker) -> None:
    with pytest.raises(ReconciliationError, match="AAPL"):
        bootstrap(ledger, old, session=NEXT, prices=lambda _: {}, now=LATER)
    assert ledger.is_new()
    bootstrap(ledger, old, session=NEXT, prices=lambda _: PRICES, now=LATER)
    with pytest.raises(SettingsError, match="open already"):
        bootstrap(ledger, old, session=NEXT, prices=lambda _: PRICES, now=LATER)


def test_what_happens_after_the_opening_is_booked(ledger: Ledger, old: SimulatedBroker) -> None:
    settle(ledger, old, VENDOR, through=NEXT, now=LATER)
    old.submit(make_order("IBM", Side.SELL, session=NEXT, client_order_id="by-hand"))
    day = MarketSession(
        session=next_session(NEXT), opens=PRICES, closes=PRICES, splits={}, dividends={}
    )
    old.advance(day)
    found = look(ledger, old)
    assert [(each.kind, each.subject) for each in found.breaks] == [
        (BreakKind.MANUAL_TRADE, Subject.POSITION)
    ]
    assert look(ledger, old).breaks == ()
