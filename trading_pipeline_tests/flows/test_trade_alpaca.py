"""A day's trade at Alpaca: both legs in turn, baskets through a failing wire, one order each."""

import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import OrderState, Side
from trading_pipeline.core.market.calendar import next_session, session_open
from trading_pipeline.flows.books import books_of
from trading_pipeline.flows.send import PATIENCE
from trading_pipeline.flows.trade import Traded, trade
from trading_pipeline.flows.trade_updates import look
from trading_pipeline_tests.alpaca_twin import AlpacaTwin, Fault
from trading_pipeline_tests.alpaca_twin.brokers import broker_of
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    STRATEGY,
    filled,
    make_decision,
    make_entry,
    make_fill,
    make_mandate,
    make_order,
    targets_of,
)
from trading_pipeline_tests.flows.one_day import states

OPEN_AT = session_open(next_session(SESSION))


@pytest.fixture
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with 100,000 dollars; one database will do."""
    path = tmp_path / "ledger.db"
    shutil.copyfile(request.getfixturevalue("_sqlite_ledger"), path)
    opened = Ledger(f"sqlite:///{path}")
    opened.append_cash_entries([make_entry()])
    yield opened
    opened.close()


def run(ledger: Ledger, twin: AlpacaTwin, **weights: float) -> Traded:
    targets = targets_of(SESSION, **weights)
    marks = dict.fromkeys(weights, Decimal(100))
    return trade(ledger, broker_of(twin), targets, marks, mandate=make_mandate(), now=NOW)


def held_long(ledger: Ledger, twin: AlpacaTwin, shares: int) -> None:
    """AAPL on both books, as a session before left it."""
    before = make_order(session=SESSION.replace(day=1).replace(month=5), quantity=Decimal(shares))
    ledger.record_decision(make_decision(before.session), [before])
    fill = make_fill(before, shares, price=Decimal(100), commission=Decimal(0))
    ledger.append(at=NOW, orders=filled(before, fill), fills=[fill])
    twin.exchange.books.trade("AAPL", Decimal(shares), Decimal(100))


def test_the_second_leg_goes_when_the_first_has_filled(ledger: Ledger, alpaca: AlpacaTwin) -> None:
    held_long(ledger, alpaca, 50)
    first = run(ledger, alpaca, AAPL=-0.03)
    assert states(first) == [OrderState.ACCEPTED, OrderState.PLANNED]
    assert states(run(ledger, alpaca, AAPL=-0.03)) == [OrderState.ACCEPTED, OrderState.PLANNED]
    alpaca.exchange.move_to(OPEN_AT)
    look(ledger, broker_of(alpaca), now=OPEN_AT)
    assert states(run(ledger, alpaca, AAPL=-0.03)) == [OrderState.FILLED, OrderState.ACCEPTED]
    look(ledger, broker_of(alpaca), now=OPEN_AT)
    assert alpaca.exchange.books.quantity("AAPL") == -30
    assert [order["side"] for order in alpaca.exchange.orders.values()] == ["sell", "sell"]


def test_the_second_leg_is_given_up_when_the_first_comes_to_nothing(
    ledger: Ledger, alpaca: AlpacaTwin
) -> None:
    held_long(ledger, alpaca, 50)
    first = run(ledger, alpaca, AAPL=-0.03)
    alpaca.exchange.end(first.orders[0].client_order_id, "canceled")
    look(ledger, broker_of(alpaca), now=OPEN_AT)
    second = run(ledger, alpaca, AAPL=-0.03).orders[1]
    assert second.state is OrderState.CANCELED
    assert "without doing so" in str(second.reason)
    assert len(alpaca.booked()) == 1


def test_sells_reach_alpaca_before_buys(ledger: Ledger, alpaca: AlpacaTwin) -> None:
    run(ledger, alpaca, AAPL=0.1, IBM=-0.1, MSFT=0.1)
    sides = [order["side"] for order in alpaca.exchange.orders.values()]
    assert sides == [Side.SELL, Side.BUY, Side.BUY]


def test_a_broker_that_is_gone_leaves_the_rest_planned(ledger: Ledger, alpaca: AlpacaTwin) -> None:
    symbols = [f"S{number}" for number in range(PATIENCE + 2)]
    for symbol in symbols:
        alpaca.exchange.offer(symbol)
    alpaca.faults.add(*[Fault(503)] * 100, *[Fault(503, where="GET /v2/orders")] * 200)
    weights = dict.fromkeys(symbols, 0.05)
    found = states(run(ledger, alpaca, **weights))
    assert found == [OrderState.UNKNOWN] * PATIENCE + [OrderState.PLANNED] * 2
    alpaca.faults.clear()
    assert states(run(ledger, alpaca, **weights)) == [OrderState.ACCEPTED] * len(symbols)
    assert len(alpaca.booked()) == len(symbols)


def test_an_account_that_may_not_trade_sends_nothing(ledger: Ledger, alpaca: AlpacaTwin) -> None:
    alpaca.exchange.flags |= {"trading_blocked": True}
    (order,) = run(ledger, alpaca, AAPL=0.1).orders
    assert (order.state, order.code) == (OrderState.BLOCKED, "trading_state")
    assert "trading_blocked" in str(order.reason)
    assert alpaca.booked() == []


def test_an_account_that_may_not_sell_short_buys_only(ledger: Ledger, alpaca: AlpacaTwin) -> None:
    alpaca.exchange.flags |= {"shorting_enabled": False}
    short, long = run(ledger, alpaca, AAPL=0.1, IBM=-0.1).orders
    assert (short.code, long.state) == ("shortable", OrderState.ACCEPTED)


# Several strategies in one account


def beside(ledger: Ledger, twin: AlpacaTwin, **weights: float) -> Traded:
    """What `momentum` trades in an account that it shares."""
    targets = targets_of(SESSION, **weights).with_columns(strategy=pl.lit("momentum"))
    mandate = make_mandate(strategy="momentum", shares_account=True)
    marks = dict.fromkeys(weights, Decimal(100))
    return trade(ledger, broker_of(twin), targets, marks, mandate=mandate, now=NOW)


def test_the_accounts_position_decides_the_legs_of_a_sale(
    ledger: Ledger, alpaca: AlpacaTwin
) -> None:
    held_long(ledger, alpaca, 10)  # by the other strategy
    first = beside(ledger, alpaca, AAPL=-0.03)
    assert [order.quantity for order in first.orders] == [10, 20]
    assert states(first) == [OrderState.ACCEPTED, OrderState.PLANNED]
    alpaca.exchange.move_to(OPEN_AT)
    look(ledger, broker_of(alpaca), now=OPEN_AT)
    assert states(beside(ledger, alpaca, AAPL=-0.03)) == [OrderState.FILLED, OrderState.ACCEPTED]
    assert alpaca.exchange.books.quantity("AAPL") == -20
    look(ledger, broker_of(alpaca), now=OPEN_AT)
    parts = books_of(ledger).parts
    assert (parts["momentum"].quantity("AAPL"), parts[STRATEGY].quantity("AAPL")) == (-30, 10)


def test_an_order_waits_while_the_other_sides_is_out(ledger: Ledger, alpaca: AlpacaTwin) -> None:
    held_long(ledger, alpaca, 50)
    run(ledger, alpaca, AAPL=0)  # sells all of its own
    assert states(beside(ledger, alpaca, AAPL=0.02)) == [OrderState.PLANNED]
    alpaca.exchange.move_to(OPEN_AT)
    look(ledger, broker_of(alpaca), now=OPEN_AT)
    assert states(beside(ledger, alpaca, AAPL=0.02)) == [OrderState.ACCEPTED]
    assert alpaca.exchange.books.quantity("AAPL") == 20
