"""Orders keep away from a split: what is sized in old shares does not fill in new ones."""

from datetime import timedelta

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.execution.order import OrderState, move
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.flows.order_updates import catch_up, settle
from trading_pipeline.flows.splits import clear_splits, splitting
from trading_pipeline_tests.factories import actions_of, bars_of, dividend, split
from trading_pipeline_tests.fakes import NOW, SESSION, FrameVendor, make_decision, make_order

NEXT = next_session(SESSION)
ACTIONS = actions_of(
    split("AAPL", NEXT, 0.1), dividend("IBM", NEXT, 1.0), split("MSFT", SESSION, 2.0)
)
VENDOR = FrameVendor(bars_of({"AAPL": [10.0] * 3, "IBM": [20.0] * 3}, first=SESSION), ACTIONS)
BUY = make_order("AAPL")
PLANNED = make_order("AAPL", sequence=2, client_order_id="planned")


def test_a_split_at_the_next_open_is_seen_and_no_other_action() -> None:
    assert splitting(VENDOR, ["AAPL", "IBM", "MSFT"], SESSION) == {"AAPL"}
    assert splitting(VENDOR, ["AAPL"], NEXT) == frozenset()
    assert splitting(VENDOR, [], SESSION) == frozenset()


def test_open_orders_of_a_symbol_that_splits_are_taken_back(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    other = make_order("IBM", sequence=3)
    ledger.record_decision(make_decision(), [BUY, PLANNED, other])
    for order in (BUY, other):
        sending = move(order, OrderState.SUBMITTING)
        ledger.append(at=NOW, orders=[sending, *catch_up(sending, broker.submit(order), ())])
    assert clear_splits(ledger, broker, VENDOR, session=SESSION, now=NOW) == {"AAPL"}
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW + timedelta(days=9))
    states = {(order.symbol, order.sequence): order.state for order in ledger.orders()}
    assert states == {
        ("AAPL", 1): OrderState.CANCELED,
        ("AAPL", 2): OrderState.CANCELED,
        ("IBM", 3): OrderState.ACCEPTED,
    }
