"""Settlement: what the broker tells goes into the ledger, once, and the two books agree."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.book import Book, EntryKind, replay
from trading_pipeline.core.execution.account import Account, BrokerOrder
from trading_pipeline.core.execution.order import OrderState, Side, move
from trading_pipeline.core.market.calendar import next_session, session_close
from trading_pipeline.errors import IllegalTransitionError, TransientError
from trading_pipeline.flows.order_updates import catch_up, settle
from trading_pipeline_tests.factories import (
    bars_of,
)
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    FrameVendor,
    LossyBroker,
    accepted,
    make_decision,
    make_fill,
    make_order,
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


def test_the_opening_deposit_is_known_before_the_first_decision(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    settled = settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    assert settled.sessions == ()
    assert [entry.kind for entry in settled.entries] == [EntryKind.DEPOSIT]
    assert replay(Book(), ledger.entries(SESSION)).cash == 100_000


def test_a_session_brings_its_fills_and_order_states(sent: Ledger, broker: SimulatedBroker) -> None:
    settled = settle(sent, broker, VENDOR, through=NEXT, now=LATER)
    assert settled.sessions == (NEXT,)
    assert [order.state for order in settled.orders] == [OrderState.FILLED] * 2
    assert list(settled.orders) == sent.orders()
    assert [fill.price for fill in settled.fills] == [Decimal("100.0500"), Decimal("199.9000")]
    assert sent.last_settlement() == NEXT


def test_settling_again_changes_nothing(sent: Ledger, broker: SimulatedBroker) -> None:
    settle(sent, broker, VENDOR, through=THIRD, now=LATER)
    before = (sent.orders(), sent.entries(), broker.account())
    again = settle(sent, broker, VENDOR, through=THIRD, now=LATER)
    assert (again.sessions, again.fills, again.entries, again.orders) == ((), (), (), ())
    assert (sent.orders(), sent.entries(), broker.account()) == before


def test_a_session_that_has_not_closed_is_not_settled(
    sent: Ledger, broker: SimulatedBroker
) -> None:
    close = session_close(NEXT)
    early = settle(sent, broker, VENDOR, through=THIRD, now=close - timedelta(seconds=1))
    assert early.sessions == ()
    assert sent.orders()[0].state is OrderState.ACCEPTED
    assert settle(sent, broker, VENDOR, through=THIRD, now=close).sessions == (NEXT,)


@pytest.mark.parametrize("archive", [True, False])
def test_a_session_that_the_vendor_does_not_hold_is_not_settled(
    sent: Ledger, broker: SimulatedBroker, archive: bool
) -> None:
    bars = bars_of({"AAPL": [100.0, 101.0], "IBM": [200.0, None]}, first=SESSION)
    vendor = FrameVendor(bars, archive=archive)
    assert settle(sent, broker, vendor, through=date(2012, 6, 20), now=LATER).sessions == (NEXT,)
    states = {order.symbol: order.state for order in sent.orders()}
    assert states == {"AAPL": OrderState.FILLED, "IBM": OrderState.EXPIRED}


def test_a_vendor_without_a_single_bar_settles_nothing(
    sent: Ledger, broker: SimulatedBroker
) -> None:
    vendor = FrameVendor(bars_of({"MSFT": [1.0] * 5}, first=SESSION), archive=False)
    assert settle(sent, broker, vendor, through=THIRD, now=LATER).sessions == ()
    assert sent.orders()[0].state is OrderState.ACCEPTED


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf"), None])
def test_a_price_that_is_none_fills_nothing(
    sent: Ledger, broker: SimulatedBroker, price: float | None
) -> None:
    bars = bars_of({"AAPL": [100.0, 100.0], "IBM": [200.0, 200.0]}, first=SESSION)
    broken = bars.with_columns(
        open=pl.when(pl.col("symbol") == "AAPL").then(pl.lit(price)).otherwise("open")
    )
    settle(sent, broker, FrameVendor(broken), through=NEXT, now=LATER)
    assert [order.state for order in sent.orders()] == [OrderState.EXPIRED, OrderState.FILLED]


def test_an_order_whose_answer_was_lost_is_found_by_settling(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    ledger.record_decision(make_decision(), [BUY])
    lost = [move(BUY, OrderState.SUBMITTING)]
    lost.append(move(lost[0], OrderState.UNKNOWN))
    ledger.append(at=NOW, orders=lost)
    broker.submit(BUY)
    settled = settle(ledger, broker, VENDOR, through=NEXT, now=LATER)
    assert settled.orders[0].state is OrderState.FILLED
    assert settled.orders == tuple(ledger.orders())


@pytest.mark.parametrize("state", [OrderState.PLANNED, OrderState.SUBMITTING, OrderState.UNKNOWN])
def test_an_order_that_never_reached_the_broker_expires_with_its_session(
    ledger: Ledger, broker: SimulatedBroker, state: OrderState
) -> None:
    ledger.record_decision(make_decision(), [BUY])
    steps = [BUY]
    for to in (OrderState.SUBMITTING, OrderState.UNKNOWN):
        if steps[-1].state is not state:
            steps.append(move(steps[-1], to))
    ledger.append(at=NOW, orders=steps[1:])
    settle(ledger, broker, VENDOR, through=SESSION, now=LATER)
    assert ledger.orders()[0].state is state
    settle(ledger, broker, VENDOR, through=NEXT, now=LATER)
    (expired,) = ledger.orders()
    assert expired.state is OrderState.EXPIRED
    assert "2012-06-04" in str(expired.reason)


def test_a_broker_that_does_not_answer_leaves_the_ledger_as_it_was(
    sent: Ledger, broker: SimulatedBroker
) -> None:
    class Silent(LossyBroker):
        def find(self, client_order_id: str) -> BrokerOrder | None:
            raise TransientError("No answer.")

    with pytest.raises(TransientError):
        settle(sent, Silent(broker, []), VENDOR, through=NEXT, now=LATER)
    assert sent.entries() == []
    assert sent.last_settlement() is None
    assert settle(sent, broker, VENDOR, through=NEXT, now=LATER).sessions == (NEXT,)


class PiecemealBroker(LossyBroker):
    """Tells of the fills it is given, and of an account that agrees with them."""

    told: Mapping[str, list[Any]]
    held: Decimal
    state = OrderState.PARTIALLY_FILLED

    def find(self, client_order_id: str) -> BrokerOrder | None:
        found = super().find(client_order_id)
        return found and replace(found, state=self.state)

    def fills(self, client_order_ids: Any) -> list[Any]:
        return [fill for name in client_order_ids for fill in self.told.get(name, [])]

    def account(self) -> Account:
        fills = [fill for fills in self.told.values() for fill in fills]
        book = replay(Book(), [*self._broker.activities(), *fills])
        held = {symbol: p.quantity for symbol, p in book.positions.items() if p.quantity}
        return Account(cash=book.cash, positions=held)


def test_partial_fills_add_up_however_often_they_are_told(
    sent: Ledger, broker: SimulatedBroker
) -> None:
    first, second = make_fill(BUY, 4), make_fill(BUY, 6, number=2)
    piecemeal = PiecemealBroker(broker, [])
    seen = []
    for told in ([first], [first], [first, second], [first, second]):
        piecemeal.told = {BUY.client_order_id: told}
        piecemeal.state = OrderState.FILLED if len(told) == 2 else OrderState.PARTIALLY_FILLED
        settle(sent, piecemeal, VENDOR, through=SESSION, now=LATER)
        order = sent.orders()[0]
        seen.append((order.state, order.filled_quantity))
    assert seen == [
        (OrderState.PARTIALLY_FILLED, 4),
        (OrderState.PARTIALLY_FILLED, 4),
        (OrderState.FILLED, 10),
        (OrderState.FILLED, 10),
    ]
    assert replay(Book(), sent.entries()).quantity("AAPL") == 10


def test_an_order_canceled_after_a_part_keeps_the_part(
    sent: Ledger, broker: SimulatedBroker
) -> None:
    piecemeal = PiecemealBroker(broker, [])
    piecemeal.told = {BUY.client_order_id: [make_fill(BUY, 4)]}
    piecemeal.state = OrderState.CANCELED
    settle(sent, piecemeal, VENDOR, through=SESSION, now=LATER)
    order = sent.orders()[0]
    assert (order.state, order.filled_quantity) == (OrderState.CANCELED, 4)


@pytest.mark.parametrize("found", [OrderState.ACCEPTED, OrderState.FILLED, OrderState.EXPIRED])
def test_an_unknown_order_leaves_doubt_only_by_what_was_found(found: OrderState) -> None:
    unknown = move(move(BUY, OrderState.SUBMITTING), OrderState.UNKNOWN)
    answer = BrokerOrder(client_order_id=BUY.client_order_id, broker_order_id="b-1", state=found)
    steps = catch_up(unknown, answer, [make_fill(BUY)] if found is OrderState.FILLED else [])
    assert steps[0].state is OrderState.ACCEPTED
    assert steps[-1].state is found
    assert {step.broker_order_id for step in steps} == {"b-1"}


def test_a_refused_order_is_rejected_and_not_filled() -> None:
    answer = BrokerOrder(
        client_order_id=BUY.client_order_id,
        broker_order_id="b-1",
        state=OrderState.REJECTED,
        reason="Not shortable.",
    )
    (step,) = catch_up(move(BUY, OrderState.SUBMITTING), answer, [])
    assert (step.state, step.reason) == (OrderState.REJECTED, "Not shortable.")
    with pytest.raises(IllegalTransitionError):
        catch_up(step, replace(answer, state=OrderState.FILLED), [make_fill(BUY)])


def test_nothing_new_is_no_step() -> None:
    order = accepted(BUY)[-1]
    answer = BrokerOrder(
        client_order_id=BUY.client_order_id, broker_order_id="b", state=OrderState.ACCEPTED
    )
    assert catch_up(order, answer, []) == []
