"""What every broker keeps to: the simulated one, and Alpaca's through the real client."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.book import Book, EntryKind, replay
from trading_pipeline.core.execution.account import MarketSession
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState, OrderType, Side, TimeInForce
from trading_pipeline.core.execution.reports import unbooked
from trading_pipeline.core.market.calendar import next_session, session_open
from trading_pipeline.errors import RejectedError
from trading_pipeline.flows.ports import Broker
from trading_pipeline_tests.alpaca_twin import AlpacaTwin
from trading_pipeline_tests.alpaca_twin.actions import charge_borrow
from trading_pipeline_tests.alpaca_twin.brokers import broker_of
from trading_pipeline_tests.fakes import SESSION, make_order

NEXT = next_session(SESSION)
CASH = Decimal(100_000)


@dataclass
class Place:
    """A broker, and how its next session is made to happen."""

    broker: Broker
    trade_session: Callable[[date], None]
    part: Callable[[int], None]
    borrow: Callable[[Decimal], None]


@pytest.fixture(params=["simulated", "alpaca"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each broker, with 100,000 dollars and symbols at 100 dollars, before the open of NEXT."""
    if request.param == "simulated":
        market = SmallMarket(tmp_path / "broker.db")
        yield Place(market.broker, market.happen, market.let_fill, market.lend_at)
        market.broker.close()
        return
    twin: AlpacaTwin = request.getfixturevalue("alpaca")
    exchange = twin.exchange
    yield Place(
        broker_of(twin),
        lambda session: exchange.move_to(session_open(session)),
        lambda shares: setattr(exchange, "depth", Decimal(shares)),
        lambda dollars: charge_borrow(exchange, "AAPL", dollars),
    )


class SmallMarket:
    """The simulated broker with every price at 100 dollars."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._costs = CostModel()
        self._volumes: dict[str, Decimal] = {}
        self.broker = SimulatedBroker(path, self._costs, CASH)

    def happen(self, session: date) -> None:
        prices = dict.fromkeys(("AAPL", "IBM"), Decimal(100))
        market = MarketSession(
            session=session,
            opens=prices,
            closes=prices,
            splits={},
            dividends={},
            volumes=self._volumes,
        )
        self.broker.advance(market)

    def let_fill(self, shares: int) -> None:
        self._set("max_participation", Decimal(1))
        self._volumes = {"AAPL": Decimal(shares)}

    def lend_at(self, dollars: Decimal) -> None:
        """Charge so much from NEXT to the session after, for 10 shares at 100 dollars."""
        days = (next_session(NEXT) - NEXT).days
        self._set("borrow_rate", dollars / 1_000 * 360 / days)
        self.happen(next_session(NEXT))

    def _set(self, name: str, value: Decimal) -> None:
        self._costs = self._costs.model_copy(update={name: value})
        self.broker._costs = self._costs


def test_an_order_is_accepted_and_found_again(place: Place) -> None:
    order = make_order()
    taken = place.broker.submit(order)
    assert taken.state is OrderState.ACCEPTED
    assert taken.broker_order_id
    assert place.broker.find(order.client_order_id) == taken
    assert place.broker.find_all([order.client_order_id, "other"]) == {order.client_order_id: taken}


def test_an_order_nobody_sent_is_not_found(place: Place) -> None:
    assert place.broker.find("tp-never") is None
    assert place.broker.find_all(["tp-never"]) == {}
    assert place.broker.fills(["tp-never"]) == []


@pytest.mark.parametrize("after", ["acceptance", "cancellation", "a fill"])
def test_an_order_id_is_used_once_for_ever(place: Place, after: str) -> None:
    order = make_order()
    place.broker.submit(order)
    if after == "cancellation":
        place.broker.cancel(order.client_order_id)
    if after == "a fill":
        place.trade_session(NEXT)
    with pytest.raises(RejectedError, match=r"(?i)unique|used before"):
        place.broker.submit(order)
    with pytest.raises(RejectedError):
        place.broker.submit(replace(order, symbol="IBM", quantity=Decimal(1)))


def test_an_order_fills_in_the_session_it_was_for(place: Place) -> None:
    buy, sell = make_order(), make_order("IBM", Side.SELL, sequence=2)
    for order in (buy, sell):
        place.broker.submit(order)
    assert place.broker.account().positions == {}
    place.trade_session(NEXT)
    assert place.broker.account().positions == {"AAPL": Decimal(10), "IBM": Decimal(-10)}
    for order in (buy, sell):
        found = place.broker.find(order.client_order_id)
        assert found is not None
        assert (found.state, found.filled_quantity) == (OrderState.FILLED, order.quantity)


def test_fills_are_told_again_and_again_the_same(place: Place) -> None:
    order = make_order()
    place.broker.submit(order)
    place.trade_session(NEXT)
    told = place.broker.fills([order.client_order_id])
    assert told == place.broker.fills([order.client_order_id])
    (fill,) = told
    assert (fill.symbol, fill.side, fill.quantity) == ("AAPL", Side.BUY, 10)
    assert (fill.session, fill.filled_at) == (NEXT, session_open(NEXT))


def test_the_account_is_the_fold_of_what_is_told(place: Place) -> None:
    orders = [make_order(), make_order("IBM", Side.SELL, sequence=2)]
    for order in orders:
        place.broker.submit(order)
    place.trade_session(NEXT)
    ids = [order.client_order_id for order in orders]
    told = place.broker.fills(ids)
    fills = [
        fill
        for order in orders
        for fill in unbooked(order, [f for f in told if f.client_order_id == order.client_order_id])
    ]
    entries = place.broker.activities()
    assert [entry.kind for entry in entries] == [EntryKind.DEPOSIT]
    book, account = replay(Book(), [*entries, *fills]), place.broker.account()
    assert book.cash == account.cash
    assert {p.symbol: p.quantity for p in book.positions.values()} == account.positions


def test_what_rests_and_what_traded_is_told_whoever_sent_it(place: Place) -> None:
    order = make_order()
    place.broker.submit(order)
    (resting,) = place.broker.open_orders()
    assert resting.client_order_id == order.client_order_id
    assert resting.body == ("AAPL", Side.BUY, Decimal(10))
    place.trade_session(NEXT)
    assert place.broker.open_orders() == []
    (trade,) = place.broker.trades()
    (fill,) = place.broker.fills([order.client_order_id])
    assert (trade.trade_id, trade.client_order_id) == (fill.fill_id, order.client_order_id)
    assert (trade.side, trade.quantity, trade.price) == (fill.side, fill.quantity, fill.price)
    assert place.broker.trades(NEXT) == [trade]
    assert place.broker.trades(next_session(NEXT)) == []


def test_trades_of_several_orders_bear_their_ids(place: Place) -> None:
    orders = [make_order(client_order_id=f"tp-{number}") for number in range(3)]
    for order in orders:
        place.broker.submit(order)
    place.trade_session(NEXT)
    told = {trade.client_order_id for trade in place.broker.trades()}
    assert told == {order.client_order_id for order in orders}


def test_activities_are_told_from_a_date_on(place: Place) -> None:
    everything = place.broker.activities()
    assert place.broker.activities(everything[0].session) == everything
    assert place.broker.activities(next_session(NEXT)) == []


def test_a_canceled_order_does_not_fill(place: Place) -> None:
    order = make_order()
    place.broker.submit(order)
    for _ in range(2):
        place.broker.cancel(order.client_order_id)
    place.trade_session(NEXT)
    found = place.broker.find(order.client_order_id)
    assert found is not None
    assert (found.state, found.filled_quantity) == (OrderState.CANCELED, 0)
    assert place.broker.account().positions == {}


def test_a_filled_order_cannot_be_canceled(place: Place) -> None:
    order = make_order()
    place.broker.submit(order)
    place.trade_session(NEXT)
    place.broker.cancel(order.client_order_id)
    found = place.broker.find(order.client_order_id)
    assert found is not None
    assert found.state is OrderState.FILLED


TERMS = [
    ({"order_type": OrderType.LIMIT, "limit_price": Decimal(101)}, Side.BUY, True),
    ({"order_type": OrderType.LIMIT, "limit_price": Decimal(99)}, Side.BUY, False),
    ({"order_type": OrderType.LIMIT, "limit_price": Decimal(99)}, Side.SELL, True),
    ({"order_type": OrderType.LIMIT, "limit_price": Decimal(101)}, Side.SELL, False),
    ({"order_type": OrderType.STOP, "stop_price": Decimal(99)}, Side.BUY, True),
    ({"order_type": OrderType.STOP, "stop_price": Decimal(101)}, Side.BUY, False),
    ({"order_type": OrderType.STOP, "stop_price": Decimal(99)}, Side.SELL, False),
    (
        {
            "order_type": OrderType.STOP_LIMIT,
            "stop_price": Decimal(99),
            "limit_price": Decimal(101),
        },
        Side.BUY,
        True,
    ),
    ({"order_type": OrderType.LIMIT, "limit_price": Decimal(100)}, Side.BUY, True),
    ({"time_in_force": TimeInForce.OPG}, Side.BUY, True),
    ({"time_in_force": TimeInForce.IOC}, Side.SELL, True),
    ({"time_in_force": TimeInForce.GTC}, Side.BUY, True),
]


@pytest.mark.parametrize(("terms", "side", "trades"), TERMS)
def test_a_limit_or_a_stop_trades_when_the_price_lets_it(
    place: Place, terms: dict[str, Any], side: Side, trades: bool
) -> None:
    order = make_order(side=side, **terms)
    assert place.broker.submit(order).state is OrderState.ACCEPTED
    place.trade_session(NEXT)
    positions = place.broker.account().positions
    assert positions == ({"AAPL": 10 * side.sign} if trades else {})
    limit = order.limit_price
    for fill in place.broker.fills([order.client_order_id]):
        assert limit is None or side.sign * (limit - fill.price) >= 0


def test_parts_of_a_share_trade_in_day_orders_only(place: Place) -> None:
    part = Decimal("0.123456789")
    gtc = make_order("IBM", quantity=part, time_in_force=TimeInForce.GTC)
    assert place.broker.submit(gtc).state is OrderState.REJECTED
    place.broker.submit(make_order(quantity=part))
    place.trade_session(NEXT)
    assert place.broker.account().positions == {"AAPL": part}


def test_canceling_what_is_not_there_does_nothing(place: Place) -> None:
    place.broker.cancel("tp-never")


def test_an_order_whose_open_has_passed_never_trades(place: Place) -> None:
    place.trade_session(NEXT)
    place.trade_session(next_session(NEXT))
    late = make_order()
    try:
        assert place.broker.submit(late).state is OrderState.REJECTED
    except RejectedError:
        assert place.broker.find(late.client_order_id) is None
    place.trade_session(next_session(next_session(NEXT)))
    assert place.broker.account().positions == {}


def test_an_order_of_no_shares_is_refused(place: Place) -> None:
    refused = place.broker.submit(make_order(quantity=Decimal(0)))
    assert refused.state is OrderState.REJECTED
    assert refused.reason


def test_looking_changes_nothing(place: Place) -> None:
    place.broker.submit(make_order())
    before = place.broker.account()
    place.broker.activities()
    place.broker.fills([make_order().client_order_id])
    assert place.broker.account() == before
    assert place.broker.name


def test_an_order_may_fill_in_part_and_its_rest_be_taken_back(place: Place) -> None:
    order = make_order(time_in_force=TimeInForce.GTC)
    place.broker.submit(order)
    place.part(4)
    place.trade_session(NEXT)
    (resting,) = place.broker.open_orders()
    assert (resting.state, resting.filled_quantity) == (OrderState.PARTIALLY_FILLED, 4)
    place.broker.cancel(order.client_order_id)
    found = place.broker.find(order.client_order_id)
    assert found is not None
    assert (found.state, found.filled_quantity) == (OrderState.CANCELED, 4)
    assert [fill.quantity for fill in place.broker.fills([order.client_order_id])] == [4]
    assert place.broker.account().positions == {"AAPL": Decimal(4)}


def test_an_order_may_fill_in_several_parts(place: Place) -> None:
    order = make_order(time_in_force=TimeInForce.GTC)
    place.broker.submit(order)
    for shares, session in ((4, NEXT), (6, next_session(NEXT))):
        place.part(shares)
        place.trade_session(session)
    fills = place.broker.fills([order.client_order_id])
    assert [fill.quantity for fill in fills] == [4, 6]
    assert len({fill.fill_id for fill in fills}) == 2
    found = place.broker.find(order.client_order_id)
    assert found is not None
    assert (found.state, found.filled_quantity) == (OrderState.FILLED, 10)


def test_what_a_short_costs_is_an_entry_of_its_own_kind(place: Place) -> None:
    order = make_order(side=Side.SELL)
    place.broker.submit(order)
    place.trade_session(NEXT)
    before = place.broker.account().cash
    place.borrow(Decimal("1.25"))
    (entry,) = [each for each in place.broker.activities() if each.kind is EntryKind.BORROW]
    assert (entry.symbol, entry.amount) == ("AAPL", Decimal("-1.25"))
    assert place.broker.account().cash == before - Decimal("1.25")
