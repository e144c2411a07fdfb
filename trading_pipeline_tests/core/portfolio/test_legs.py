"""Legs by the account's position: what is traded stays the same, and no order crosses zero."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.execution.order import Order, Side, client_order_id
from trading_pipeline.core.portfolio.legs import by_account
from trading_pipeline.core.portfolio.rebalance import Plan
from trading_pipeline_tests.fakes import SESSION, STRATEGY, make_order

SYMBOLS = ("AAPL", "IBM", "MSFT")


def leg(symbol: str, shares: int, number: int = 1) -> Order:
    side = Side.BUY if shares > 0 else Side.SELL
    name = client_order_id(STRATEGY, SESSION, symbol=symbol, side=side, leg=number)
    made = make_order(symbol, side, quantity=Decimal(abs(shares)))
    return replace(made, client_order_id=name)


def signed(planned: Plan) -> list[tuple[str, int]]:
    return [(order.symbol, int(order.signed_quantity)) for order in planned.orders]


def account(**shares: int) -> dict[str, Decimal]:
    return {symbol: Decimal(held) for symbol, held in shares.items()}


def test_a_sale_of_more_than_the_account_holds_is_two_legs() -> None:
    made = by_account(Plan(orders=[leg("AAPL", -30)], skips=[]), account(AAPL=10))
    assert signed(made) == [("AAPL", -10), ("AAPL", -20)]
    assert [o.client_order_id for o in made.orders] == [
        leg("AAPL", -1, number).client_order_id for number in (1, 2)
    ]
    assert [order.sequence for order in made.orders] == [1, 2]


def test_a_crossing_of_its_own_is_one_order_where_the_account_does_not_cross() -> None:
    own = Plan(orders=[leg("AAPL", -30), leg("AAPL", -30, 2)], skips=[])
    assert signed(by_account(own, account(AAPL=100))) == [("AAPL", -60)]
    assert signed(by_account(own, account(AAPL=-5))) == [("AAPL", -60)]


def test_what_closes_goes_before_what_opens_and_sells_before_buys() -> None:
    own = Plan(orders=[leg("MSFT", -5), leg("IBM", -8), leg("AAPL", 7)], skips=[])
    made = by_account(own, account(IBM=3, AAPL=-2))
    assert signed(made) == [("IBM", -3), ("MSFT", -5), ("IBM", -5), ("AAPL", 2), ("AAPL", 5)]


shares = st.integers(-50, 50)


@given(st.dictionaries(st.sampled_from(SYMBOLS), shares.filter(bool)), st.tuples(*[shares] * 3))
def test_no_order_crosses_zero_and_the_sum_is_what_was_planned(
    wanted: dict[str, int], held: tuple[int, int, int]
) -> None:
    before = dict(zip(SYMBOLS, held, strict=True))
    made = by_account(
        Plan(orders=[leg(*wish) for wish in wanted.items()], skips=[]), account(**before)
    )
    at = dict(before)
    for symbol, traded in signed(made):
        assert at[symbol] * (at[symbol] + traded) >= 0
        at[symbol] += traded
    assert at == {symbol: before[symbol] + wanted.get(symbol, 0) for symbol in SYMBOLS}
    assert len({order.client_order_id for order in made.orders}) == len(made.orders)
