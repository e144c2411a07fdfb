"""The simulated broker: orders once, sessions once, and an account that survives a kill."""

import sqlite3
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from trading_pipeline.adapters.simulated_broker import SimulatedBroker, account_schema
from trading_pipeline.core.accounting.book import EntryKind
from trading_pipeline.core.execution.account import Account, MarketSession
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState, OrderType, Side, TimeInForce
from trading_pipeline.core.market.calendar import next_session, session_close, session_open
from trading_pipeline.errors import AdapterError, RejectedError, SettingsError
from trading_pipeline_tests.fakes import SESSION, make_order

NEXT = next_session(SESSION)
CASH = Decimal(100_000)
FREE = CostModel(
    slippage_bps=Decimal(0), commission_per_share=Decimal(0), minimum_commission=Decimal(0)
)


def market(session: date = NEXT, price: str | None = "100", **changes: object) -> MarketSession:
    prices = {} if price is None else {"AAPL": Decimal(price)}
    return replace(
        MarketSession(session=session, opens=prices, closes=prices, splits={}, dividends={}),
        **changes,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "account" / "simulated_broker.db"


@pytest.fixture
def broker(path: Path) -> SimulatedBroker:
    return SimulatedBroker(path, FREE, CASH)


def holding(broker: SimulatedBroker, shares: int) -> SimulatedBroker:
    """The broker with a position of AAPL bought or sold at 100 dollars."""
    side = Side.BUY if shares > 0 else Side.SELL
    broker.submit(make_order(side=side, quantity=Decimal(abs(shares))))
    broker.advance(market())
    return broker


def test_an_account_opens_with_a_deposit(broker: SimulatedBroker) -> None:
    assert broker.account() == Account(cash=CASH, positions={})
    (deposit,) = broker.activities()
    assert (deposit.kind, deposit.amount) == (EntryKind.DEPOSIT, CASH)
    assert deposit.session < SESSION


def test_looking_at_an_account_makes_no_file(broker: SimulatedBroker, path: Path) -> None:
    assert broker.find("x") is None
    assert broker.fills(["x"]) == []
    assert broker.activities()
    assert broker.account().cash == CASH
    assert not path.parent.exists()


def test_an_order_is_accepted_and_found_again(broker: SimulatedBroker) -> None:
    order = make_order()
    taken = broker.submit(order)
    assert taken.state is OrderState.ACCEPTED
    assert broker.find(order.client_order_id) == taken
    assert broker.account() == Account(cash=CASH, positions={})


def test_an_order_id_is_used_once(broker: SimulatedBroker) -> None:
    order = make_order()
    broker.submit(order)
    with pytest.raises(RejectedError, match=order.client_order_id):
        broker.submit(order)
    with pytest.raises(RejectedError):
        broker.submit(replace(order, symbol="IBM", quantity=Decimal(1)))
    broker.advance(market())
    with pytest.raises(RejectedError):
        broker.submit(order)
    assert broker.account().positions == {"AAPL": Decimal(10)}


def test_a_fill_costs_slippage_and_commission(path: Path) -> None:
    broker = SimulatedBroker(path, CostModel(), CASH)
    buy = make_order(quantity=Decimal(300))
    sell = make_order("IBM", Side.SELL, sequence=2)
    for order in (sell, buy):
        broker.submit(order)
    broker.advance(market(opens={"AAPL": Decimal("100.001"), "IBM": Decimal("200")}))
    sold, bought = broker.fills([buy.client_order_id, sell.client_order_id])
    assert (bought.price, bought.commission) == (Decimal("100.0510"), Decimal("1.50"))
    assert (sold.price, sold.commission) == (Decimal("199.9000"), Decimal("1.00"))
    assert bought.session == NEXT
    assert bought.filled_at == session_open(NEXT)
    paid = 300 * bought.price - 10 * sold.price + Decimal("2.50")
    assert broker.account() == Account(
        cash=CASH - paid, positions={"AAPL": Decimal(300), "IBM": Decimal(-10)}
    )
    found = broker.find(buy.client_order_id)
    assert found is not None
    assert (found.state, found.filled_quantity, found.average_fill_price) == (
        OrderState.FILLED,
        Decimal(300),
        bought.price,
    )


def test_an_order_waits_for_the_session_after_its_own(broker: SimulatedBroker) -> None:
    order = make_order()
    broker.submit(order)
    broker.advance(market(SESSION))
    found = broker.find(order.client_order_id)
    assert found is not None
    assert found.state is OrderState.ACCEPTED
    broker.advance(market(NEXT))
    assert broker.account().positions == {"AAPL": Decimal(10)}


@pytest.mark.parametrize(
    "days", [[market(price=None)], [market(next_session(NEXT))]], ids=["no price", "left out"]
)
def test_an_order_that_finds_no_opening_price_expires(
    broker: SimulatedBroker, days: list[MarketSession]
) -> None:
    order = make_order()
    broker.submit(order)
    for day in [*days, market(date(2012, 6, 20))]:
        broker.advance(day)
    found = broker.find(order.client_order_id)
    assert found is not None
    assert (found.state, found.filled_quantity) == (OrderState.EXPIRED, 0)
    assert "no opening price in 2012-06-04" in str(found.reason)
    assert broker.account() == Account(cash=CASH, positions={})


def test_an_order_whose_open_has_passed_is_refused(broker: SimulatedBroker) -> None:
    broker.advance(market(NEXT))
    late = broker.submit(make_order())
    assert late.state is OrderState.REJECTED
    assert "has passed" in str(late.reason)
    assert broker.find(late.client_order_id) == late
    broker.advance(market(next_session(NEXT)))
    assert broker.account().positions == {}


def test_a_session_happens_once(broker: SimulatedBroker) -> None:
    holding(broker, 10)
    ex_dividend = market(next_session(NEXT), dividends={"AAPL": Decimal("0.53")})
    broker.advance(ex_dividend)
    account, told = broker.account(), broker.activities()
    for again in (ex_dividend, market(NEXT), market(SESSION, dividends={"AAPL": Decimal(9)})):
        broker.advance(again)
    assert (broker.account(), broker.activities()) == (account, told)


@pytest.mark.parametrize(("shares", "paid"), [(33, "17.49"), (-33, "-17.49")])
def test_a_dividend_is_paid_to_longs_and_by_shorts(
    broker: SimulatedBroker, shares: int, paid: str
) -> None:
    holding(broker, shares)
    cash = broker.account().cash
    broker.advance(
        market(next_session(NEXT), dividends={"AAPL": Decimal("0.53"), "IBM": Decimal(1)})
    )
    dividend = broker.activities()[-1]
    assert (dividend.kind, dividend.amount, dividend.symbol) == (
        EntryKind.DIVIDEND,
        Decimal(paid),
        "AAPL",
    )
    assert broker.account().cash == cash + Decimal(paid)
    assert len(broker.activities()) == 2


def test_a_buyer_on_the_ex_date_gets_no_dividend(broker: SimulatedBroker) -> None:
    broker.submit(make_order())
    broker.advance(market(dividends={"AAPL": Decimal(1)}, splits={"AAPL": Decimal(2)}))
    assert len(broker.activities()) == 1
    assert broker.account().positions == {"AAPL": Decimal(10)}


@pytest.mark.parametrize(
    ("shares", "ratio", "after", "lieu"),
    [
        (10, "4", 40, "0"),
        (-10, "4", -40, "0"),
        (15, "0.1", 1, "500.00"),  # half a new share at the open of 1000
        (-15, "0.1", -1, "-500.00"),
        (9, "0.1", 0, "900.00"),
        (3, "0.3333333333333333333333333333", 1, "0"),
        (10, "1.05", 10, "500.00"),
    ],
)
def test_a_split_leaves_whole_shares_and_pays_the_fraction(
    broker: SimulatedBroker, *, shares: int, ratio: str, after: int, lieu: str
) -> None:
    holding(broker, shares)
    cash = broker.account().cash
    broker.advance(market(next_session(NEXT), "1000", splits={"AAPL": Decimal(ratio)}))
    assert broker.account() == Account(
        cash=cash + Decimal(lieu), positions={"AAPL": Decimal(after)} if after else {}
    )
    split = broker.activities()[-1]
    assert (split.kind, split.amount, split.quantity) == (
        EntryKind.SPLIT,
        Decimal(lieu),
        after - shares,
    )


def test_a_fraction_without_an_opening_price_is_worth_the_last_close(
    broker: SimulatedBroker,
) -> None:
    holding(broker, 15)
    day = market(next_session(NEXT), None, splits={"AAPL": Decimal("0.1")})
    broker.advance(day)
    assert broker.activities()[-1].amount == Decimal("500.00")  # half of 100 / 0.1


def test_a_dividend_with_a_split_is_paid_on_the_old_shares(broker: SimulatedBroker) -> None:
    holding(broker, 10)
    both = {"dividends": {"AAPL": Decimal(1)}, "splits": {"AAPL": Decimal(2)}}
    broker.advance(market(next_session(NEXT), "50", **both))
    assert [entry.amount for entry in broker.activities()[1:]] == [10, 0]


def test_an_order_of_no_shares_is_refused(broker: SimulatedBroker) -> None:
    refused = broker.submit(make_order(quantity=Decimal(0)))
    assert refused.state is OrderState.REJECTED


def test_an_account_cannot_open_empty(path: Path) -> None:
    with pytest.raises(SettingsError):
        SimulatedBroker(path, FREE, Decimal(0))


def test_an_account_keeps_the_cash_it_opened_with(broker: SimulatedBroker, path: Path) -> None:
    holding(broker, 1)
    assert SimulatedBroker(path, FREE, Decimal(5)).account() == broker.account()


def test_a_file_that_is_no_account_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("symbol,close\n" * 500)
    with pytest.raises(SettingsError, match="cannot be used"):
        SimulatedBroker(path, FREE, CASH).account()


def test_a_folder_that_cannot_be_made_is_refused(path: Path) -> None:
    path.parent.write_text("a file")
    with pytest.raises(SettingsError, match="cannot be written"):
        SimulatedBroker(path, FREE, CASH).submit(make_order())


def test_an_operation_that_fails_changes_nothing(broker: SimulatedBroker) -> None:
    holding(broker, 10)
    broker.submit(make_order(session=NEXT))
    before = broker.account()
    broken = market(next_session(NEXT), opens={"AAPL": None}, dividends={"AAPL": Decimal(1)})
    with pytest.raises((TypeError, AdapterError)):
        broker.advance(replace(broken, opens={"AAPL": "not a price"}))
    assert (broker.account(), len(broker.activities())) == (before, 1)


def test_an_order_good_till_canceled_waits_for_its_price(broker: SimulatedBroker) -> None:
    order = make_order(
        order_type=OrderType.LIMIT, limit_price=Decimal(95), time_in_force=TimeInForce.GTC
    )
    broker.submit(order)
    day = NEXT
    for price in (None, "100", "94"):
        assert broker.account().positions == {}
        broker.advance(market(day, price))
        day = next_session(day)
    (fill,) = broker.fills([order.client_order_id])
    assert (fill.price, fill.session) == (Decimal("94.0000"), SESSION.replace(month=6, day=6))


def test_a_limit_that_the_open_does_not_reach_expires_and_says_so(broker: SimulatedBroker) -> None:
    order = make_order(order_type=OrderType.LIMIT, limit_price=Decimal(95))
    broker.submit(order)
    broker.advance(market(NEXT, "100"))
    found = broker.find(order.client_order_id)
    assert found is not None
    assert found.state is OrderState.EXPIRED
    assert "no opening price that its terms allow" in str(found.reason)


def test_slippage_never_takes_a_limit_past_its_price(path: Path) -> None:
    broker = SimulatedBroker(path, CostModel(slippage_bps=Decimal(100)), CASH)
    order = make_order(order_type=OrderType.LIMIT, limit_price=Decimal("100.50"))
    broker.submit(order)
    broker.advance(market(NEXT, "100"))
    assert [fill.price for fill in broker.fills([order.client_order_id])] == [Decimal("100.50")]


def test_an_order_for_the_closing_auction_trades_at_the_close(broker: SimulatedBroker) -> None:
    order = make_order(time_in_force=TimeInForce.CLS)
    broker.submit(order)
    broker.advance(market(NEXT, "100", closes={"AAPL": Decimal(103)}))
    (fill,) = broker.fills([order.client_order_id])
    assert (fill.price, fill.filled_at) == (Decimal("103.0000"), session_close(NEXT))


def test_an_account_of_an_earlier_version_is_brought_up_to_date(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as old:
        for statement in account_schema._SCHEMA.split(";"):
            old.execute(statement)
        old.execute("INSERT INTO account (cash) VALUES ('5')")
        old.execute(
            "INSERT INTO orders VALUES (1, 'tp-1', 'sim-tp-1', 'any', '2012-05-31', 'IBM', 'buy', "
            "'7', 'filled', '7', '3', NULL)"
        )
        old.execute(
            "INSERT INTO fills VALUES (1, 'tp-1', '3', '0', '2012-06-01', '2012-06-01T13:30+00:00')"
        )
        old.execute("PRAGMA user_version = 1")
    old.close()
    broker = SimulatedBroker(path, FREE, CASH)
    assert broker.account().cash == 5
    assert [(f.fill_id, f.quantity) for f in broker.fills(["tp-1"])] == [("sim-tp-1", 7)]
    assert broker.submit(make_order()).state is OrderState.ACCEPTED
