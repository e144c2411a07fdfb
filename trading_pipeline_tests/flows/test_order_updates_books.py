"""The broker's account and the ledger's book agree, through splits, dividends and many sessions."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.book import EntryKind
from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.execution.order import OrderState, Side, move
from trading_pipeline.core.market.calendar import next_session, session_close
from trading_pipeline.flows.mark import value
from trading_pipeline.flows.order_updates import catch_up, settle
from trading_pipeline.flows.ports import MarketData
from trading_pipeline.flows.trade import trade
from trading_pipeline_tests.factories import (
    actions_of,
    bars_of,
    dividend,
    random_bars,
    sessions_from,
    split,
)
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    FrameVendor,
    make_decision,
    make_mandate,
    make_order,
    targets_of,
)

DATABASES = ["sqlite"]
"""The flow asks the ledger, whose own tests ask both databases."""

NEXT = next_session(SESSION)
THIRD = next_session(NEXT)
LATER = NOW + timedelta(days=90)
VENDOR = FrameVendor(bars_of({"AAPL": [100.0] * 10, "IBM": [200.0] * 10}, first=SESSION))
BUY = make_order("AAPL")
SELL = make_order("IBM", Side.SELL, sequence=2)


@pytest.fixture
def sent(ledger: Ledger, broker: SimulatedBroker) -> Ledger:
    """A ledger whose two orders are at the broker."""
    ledger.record_decision(make_decision(), [BUY, SELL])
    for order in (BUY, SELL):
        broker.submit(order)
        sending = move(order, OrderState.SUBMITTING)
        found = broker.find(order.client_order_id)
        assert found is not None
        ledger.append(at=NOW, orders=[sending, *catch_up(sending, found, ())])
    return ledger


def test_an_action_on_a_closed_day_takes_effect_in_the_next_session(
    sent: Ledger, broker: SimulatedBroker
) -> None:
    settle(sent, broker, VENDOR, through=date(2012, 6, 8), now=LATER)
    actions = actions_of(
        split("AAPL", date(2012, 6, 9), 3.0),  # a Saturday
        split("AAPL", date(2012, 6, 11), 0.5),
        dividend("AAPL", date(2012, 6, 10), 0.25),
        dividend("AAPL", date(2012, 6, 11), 0.5),
        dividend("AAPL", date(2012, 6, 8), 9.0),  # settled before it was known
    )
    vendor = FrameVendor(bars_of({"AAPL": [100.0] * 8, "IBM": [200.0] * 8}, first=SESSION), actions)
    settled = settle(sent, broker, vendor, through=date(2012, 6, 11), now=LATER)
    assert [(e.kind, e.session, e.amount, e.quantity) for e in settled.entries] == [
        (EntryKind.DIVIDEND, date(2012, 6, 11), Decimal("7.50"), 0),
        (EntryKind.SPLIT, date(2012, 6, 11), 0, 5),
    ]


def test_a_ratio_that_means_a_third_is_a_third(ledger: Ledger, broker: SimulatedBroker) -> None:
    order = make_order(quantity=Decimal(300_000), reference_price=Decimal("0.1"))
    ledger.record_decision(make_decision(), [order])
    sending = move(order, OrderState.SUBMITTING)
    ledger.append(at=NOW, orders=[sending, *catch_up(sending, broker.submit(order), ())])
    vendor = FrameVendor(
        bars_of({"AAPL": [0.1] * 5}, first=SESSION), actions_of(split("AAPL", THIRD, 0.3333333))
    )
    settle(ledger, broker, vendor, through=THIRD, now=LATER)
    assert broker.account().positions == {"AAPL": 100_000}


def test_twenty_sessions_with_a_split_and_dividends_agree_to_the_cent(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    names = ["AAPL", "IBM", "MSFT", "GOOG"]
    sessions = sessions_from(SESSION, 22)
    bars = random_bars(names, sessions, seed=3, move=0.03)
    actions = actions_of(
        split("AAPL", sessions[6], 7.0),
        split("IBM", sessions[9], 0.15),
        dividend("IBM", sessions[9], 1.37),
        dividend("MSFT", sessions[4], 0.2301),
        dividend("GOOG", sessions[12], 2.65),
        dividend("AAPL", sessions[15], 0.0712),
    )
    vendor: MarketData = FrameVendor(bars, actions)
    closes = {(row[0], row[1]): row[2] for row in bars.select("session", "symbol", "close").rows()}
    draw = np.random.default_rng(5)
    for session in sessions[:20]:
        now = session_close(next_session(session)) + timedelta(hours=1)
        settle(ledger, broker, vendor, through=session, now=now)
        marks = {name: Decimal(repr(closes[session, name])) for name in names}
        long, other, short, last = draw.permutation(names)
        targets = targets_of(session, **{long: 0.5, other: 0.5, short: -0.5, last: -0.5})
        trade(ledger, broker, targets, marks, mandate=make_mandate(session), now=now)
        settled = settle(ledger, broker, vendor, through=next_session(session), now=now)
        assert settled.sessions == (next_session(session),)
        after = {name: Decimal(repr(closes[next_session(session), name])) for name in names}
        pnl = value(
            ledger,
            marks={name: Mark(price=price, source="close") for name, price in after.items()},
            session=next_session(session),
            now=now,
            run_id="run",
        )
        account = broker.account()
        assert account.cash == pnl.cash
        assert account.positions == {p.symbol: p.quantity for p in pnl.open_positions}
        worth = sum((q * after[s] for s, q in account.positions.items()), account.cash)
        assert worth == pnl.nav == pnl.cash_in + pnl.realized + pnl.unrealized - pnl.fees
    kinds = [getattr(entry, "kind", None) for entry in ledger.entries()]
    assert {EntryKind.SPLIT, EntryKind.DIVIDEND} <= set(kinds)
    assert len(ledger.snapshots(99)) == 20
    assert {order.state for order in ledger.orders()} == {OrderState.FILLED}
