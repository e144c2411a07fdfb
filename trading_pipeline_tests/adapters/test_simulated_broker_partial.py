"""The simulated broker where the market is small, and where shares are borrowed."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.book import EntryKind
from trading_pipeline.core.execution.account import BrokerOrder, MarketSession
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState, Side, TimeInForce
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline_tests.fakes import SESSION, make_order

NEXT = next_session(SESSION)
THEN = next_session(NEXT)
CASH = Decimal(100_000)
TENTH = CostModel(
    slippage_bps=Decimal(0),
    commission_per_share=Decimal("0.10"),
    max_participation=Decimal("0.1"),
)


def market(session: date, volume: int | None, price: str = "100", **more: object) -> MarketSession:
    prices = {"AAPL": Decimal(price)}
    volumes = {} if volume is None else {"AAPL": Decimal(volume)}
    made = MarketSession(
        session=session, opens=prices, closes=prices, splits={}, dividends={}, volumes=volumes
    )
    return replace(made, **more)


@pytest.fixture
def broker(tmp_path: Path) -> SimulatedBroker:
    return SimulatedBroker(tmp_path / "broker.db", TENTH, CASH)


def found(broker: SimulatedBroker, name: str) -> BrokerOrder:
    order = broker.find(name)
    assert order is not None
    return order


@pytest.mark.parametrize("kind", [TimeInForce.DAY, TimeInForce.OPG, TimeInForce.IOC])
def test_what_the_volume_leaves_of_a_days_order_expires(
    broker: SimulatedBroker, kind: TimeInForce
) -> None:
    order = make_order(time_in_force=kind)
    broker.submit(order)
    broker.advance(market(NEXT, 69))
    told = found(broker, order.client_order_id)
    assert (told.state, told.filled_quantity) == (OrderState.EXPIRED, 6)
    assert "let 6 of 10 fill" in str(told.reason)
    assert [fill.quantity for fill in broker.fills([order.client_order_id])] == [6]
    assert broker.account().positions == {"AAPL": 6}
    assert broker.open_orders() == []


@pytest.mark.parametrize("volume", [None, 9])
def test_an_order_that_no_volume_fills_expires_untouched(
    broker: SimulatedBroker, volume: int | None
) -> None:
    order = make_order()
    broker.submit(order)
    broker.advance(market(NEXT, volume))
    told = found(broker, order.client_order_id)
    assert (told.state, told.filled_quantity) == (OrderState.EXPIRED, 0)
    assert broker.account().cash == CASH


def test_a_good_till_canceled_order_fills_over_several_sessions(broker: SimulatedBroker) -> None:
    order = make_order(time_in_force=TimeInForce.GTC)
    broker.submit(order)
    broker.advance(market(NEXT, 40))
    assert found(broker, order.client_order_id).state is OrderState.PARTIALLY_FILLED
    assert [each.client_order_id for each in broker.open_orders()] == [order.client_order_id]
    broker.advance(market(THEN, 1_000, "110"))
    told = found(broker, order.client_order_id)
    assert (told.state, told.filled_quantity) == (OrderState.FILLED, 10)
    assert told.average_fill_price == 106
    first, second = broker.fills([order.client_order_id])
    assert (first.quantity, second.quantity) == (4, 6)
    assert first.fill_id != second.fill_id
    assert first.commission + second.commission == TENTH.commission(Decimal(10))
    assert broker.account().cash == CASH - 1_060 - 1


def test_what_a_good_till_canceled_order_has_not_filled_can_be_taken_back(
    broker: SimulatedBroker,
) -> None:
    order = make_order(time_in_force=TimeInForce.GTC)
    broker.submit(order)
    broker.advance(market(NEXT, 40))
    broker.cancel(order.client_order_id)
    broker.advance(market(THEN, 1_000))
    told = found(broker, order.client_order_id)
    assert (told.state, told.filled_quantity) == (OrderState.CANCELED, 4)
    assert broker.account().positions == {"AAPL": 4}


def test_an_order_that_waits_does_not_outlive_a_split(broker: SimulatedBroker) -> None:
    order = make_order(time_in_force=TimeInForce.GTC)
    broker.submit(order)
    broker.advance(market(NEXT, 40))
    broker.advance(market(THEN, 1_000, "50", splits={"AAPL": Decimal(2)}))
    told = found(broker, order.client_order_id)
    assert (told.state, told.filled_quantity) == (OrderState.CANCELED, 4)
    assert broker.account().positions == {"AAPL": 8}


def test_a_short_pays_for_its_borrow_by_calendar_days(tmp_path: Path) -> None:
    costs = TENTH.model_copy(update={"max_participation": None, "borrow_rate": Decimal("0.36")})
    broker = SimulatedBroker(tmp_path / "broker.db", costs, CASH)
    friday = date(2012, 6, 8)
    broker.submit(make_order(side=Side.SELL, session=date(2012, 6, 7), quantity=Decimal(100)))
    broker.submit(make_order("IBM", session=date(2012, 6, 7)))
    prices = {"AAPL": Decimal(100), "IBM": Decimal(50)}
    broker.advance(market(friday, None, opens=prices, closes=prices))
    before = broker.account().cash
    broker.advance(market(date(2012, 6, 11), None, "120"))  # a Monday
    (fee,) = [entry for entry in broker.activities() if entry.kind is EntryKind.BORROW]
    # 100 shares at Friday's 100 dollars, 36 % a year of 360 days, over three days
    assert (fee.symbol, fee.amount, fee.session) == ("AAPL", Decimal("-30.00"), date(2012, 6, 11))
    assert broker.account().cash == before - 30
    broker.advance(market(date(2012, 6, 11), None, "120"))
    assert broker.account().cash == before - 30
