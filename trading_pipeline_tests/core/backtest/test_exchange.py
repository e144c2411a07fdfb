"""A session happening to an account, against the simulated broker's own account."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.book import Book, post, replay
from trading_pipeline.core.backtest.costs import Frictions
from trading_pipeline.core.backtest.exchange import (
    Terms,
    corporate_actions,
    delist,
    execute,
)
from trading_pipeline.core.execution.account import MarketSession
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import Order, OrderState, Side, move
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline_tests.fakes import SESSION, make_order

NEXT = next_session(SESSION)
THEN = next_session(NEXT)
TERMS = Terms(costs=CostModel(), frictions=Frictions(), liquidity={})


def market(session=NEXT, **changes: object) -> MarketSession:
    prices = {"AAPL": Decimal("101.37"), "IBM": Decimal("55.55")}
    made = MarketSession(session=session, opens=prices, closes=prices, splits={}, dividends={})
    return replace(made, **changes)


def accepted(symbol: str = "AAPL", side: Side = Side.BUY, **changes: object) -> Order:
    order = make_order(symbol, side, **changes)
    return move(move(order, OrderState.SUBMITTING), OrderState.ACCEPTED)


money = st.decimals(1, 300, places=2)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.integers(1, 500),
    st.sampled_from(list(Side)),
    st.sampled_from([None, "2", "1.5", "0.1", "0.3333333333333333333333333333"]),
    st.decimals(0, 5, places=3),
    st.booleans(),
)
def test_it_equals_the_simulated_broker(
    tmp_path_factory: pytest.TempPathFactory,
    quantity: int,
    side: Side,
    ratio: str | None,
    dividend: Decimal,
    has_open: bool,
) -> None:
    broker = SimulatedBroker(account_file(tmp_path_factory), TERMS.costs, Decimal(100_000))
    order = make_order("AAPL", side, quantity=Decimal(quantity))
    other = make_order("IBM", Side.BUY, session=NEXT, quantity=Decimal(7))
    splits = {} if ratio is None else {"AAPL": Decimal(ratio)}
    opens = {"AAPL": Decimal("66.03")} if has_open else {}
    second = market(THEN, splits=splits, dividends={"AAPL": dividend}, opens=opens)
    broker.submit(order)
    broker.advance(market())
    broker.submit(other)
    broker.advance(second)

    deposit = broker.activities()[0]
    done, fills = execute([accepted("AAPL", side, quantity=Decimal(quantity))], market(), TERMS)
    book = replay(Book(), [deposit, *fills])
    entries = list(corporate_actions(book, second, market().closes))
    later, none = execute([accepted("IBM", session=NEXT, quantity=Decimal(7))], second, TERMS)
    assert none == []
    assert fills == broker.fills([order.client_order_id])
    assert [deposit, *entries] == broker.activities()
    theirs = [broker.find(each.client_order_id) for each in (order, other)]
    ours = [*done, *later]
    assert [each.state for each in ours] == [each.state for each in theirs if each]
    assert later[0].reason == (theirs[1] and theirs[1].reason)
    assert replay(book, entries).cash == broker.account().cash
    broker.close()


def account_file(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("account") / "account.db"


def test_a_partial_fill_leaves_the_rest_expired() -> None:
    terms = replace(TERMS, costs=CostModel(max_participation=Decimal("0.1")))
    session = market(volumes={"AAPL": Decimal(57)})
    (order,), (fill,) = execute([accepted(quantity=Decimal(10))], session, terms)
    assert (fill.quantity, order.filled_quantity, order.state) == (5, 5, OrderState.EXPIRED)
    assert "let 5 of 10 fill" in str(order.reason)


def test_no_volume_fills_nothing() -> None:
    terms = replace(TERMS, costs=CostModel(max_participation=Decimal("0.1")))
    (order,), fills = execute([accepted()], market(), terms)
    assert (order.state, fills) == (OrderState.EXPIRED, [])


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "3"), (Side.SELL, "0")])
def test_a_delisting_closes_longs_and_shorts(side: Side, price: str) -> None:
    order = accepted(side=side)
    _, fills = execute([order], market(), TERMS)
    book = replay(Book(), fills)
    closing = delist(book, "AAPL", Decimal(price), session=THEN, strategy="any")
    after = post(book, closing)
    assert after.quantity("AAPL") == 0
    assert after.fees == book.fees
    assert closing.price == max(Decimal(price), Decimal("0.0001"))
