"""The risk gate: ordered checks, folded over the basket."""

from decimal import Decimal

import pytest

from trading_pipeline.core.execution.order import Order, OrderState, move
from trading_pipeline.core.risk.gate import gate, judge
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.errors import IllegalTransitionError
from trading_pipeline_tests.core.risk.portfolios import WIDE, at_broker, book_of, order, view


def codes(orders: list[Order]) -> list[str | None]:
    return [judged.code for judged in orders]


def test_an_order_within_all_limits_goes_through_untouched() -> None:
    wanted = [order("AAPL", 100)]
    assert gate(wanted, view(book_of(100_000), limits=RiskLimits())) == wanted


@pytest.mark.parametrize(
    ("limit", "shares", "code"),
    [
        ({"max_order_value": "9999.99"}, 100, "order_value"),
        ({"max_order_value": "10000"}, 100, None),
        ({"max_position_value": "14999.99"}, 100, "position_value"),
        ({"max_position_value": "15000"}, 100, None),
        ({"max_position_share": "0.1428"}, 100, "position_share"),
        ({"max_position_share": "0.1429"}, 100, None),
        ({"max_gross_exposure": "0.238"}, 100, "gross_exposure"),
        ({"max_gross_exposure": "0.2381"}, 100, None),
    ],
)
def test_each_limit_blocks_beyond_it_and_not_at_it(
    limit: dict[str, str], shares: int, code: str | None
) -> None:
    # NAV is 110 000 + 5 000 − 10 000 = 105 000; after the order AAPL is 15 000 and gross 25 000
    book = book_of(110_000, AAPL=50, IBM=-100)
    limits = WIDE.model_copy(update={name: Decimal(value) for name, value in limit.items()})
    judged = gate([order("AAPL", shares)], view(book, limits=limits))
    assert codes(judged) == [code]
    assert judged[0].state is (OrderState.BLOCKED if code else OrderState.PLANNED)


def test_a_block_says_which_check_and_the_numbers() -> None:
    limits = WIDE.model_copy(update={"max_position_value": Decimal(25_000)})
    blocked = gate([order("AAPL", 260)], view(book_of(100_000), limits=limits))[0]
    assert blocked.code == "position_value"
    assert blocked.reason == (
        "The AAPL position would be worth 26,000.00 dollars: the limit is 25,000.00."
    )


def test_of_two_orders_that_break_a_limit_together_the_second_is_blocked() -> None:
    limits = WIDE.model_copy(update={"max_gross_exposure": Decimal("1.0")})
    now = view(book_of(10_000), limits=limits)
    one, other = order("AAPL", 60), order("IBM", -60)
    assert codes(gate([one], now)) == codes(gate([other], now)) == [None]
    assert codes(gate([one, other], now)) == [None, "gross_exposure"]
    assert codes(gate([other, one], now)) == [None, "gross_exposure"]


def test_two_orders_of_one_symbol_count_together() -> None:
    limits = WIDE.model_copy(update={"max_position_value": Decimal(10_000)})
    judged = gate([order("AAPL", 60), order("AAPL", 60)], view(book_of(10_000), limits=limits))
    assert codes(judged) == [None, "position_value"]


def test_a_blocked_order_leaves_room_for_the_next() -> None:
    limits = WIDE.model_copy(update={"max_gross_exposure": Decimal("1.0")})
    basket = [order("AAPL", 120), order("IBM", 90)]
    assert codes(gate(basket, view(book_of(10_000), limits=limits))) == ["gross_exposure", None]


def test_a_sale_that_frees_room_lets_the_next_order_through() -> None:
    limits = WIDE.model_copy(update={"max_gross_exposure": Decimal("1.0")})
    now = view(book_of(0, AAPL=100), limits=limits)
    assert codes(gate([order("AAPL", -50), order("IBM", 50)], now)) == [None, None]
    assert codes(gate([order("IBM", 50), order("AAPL", -50)], now)) == ["gross_exposure", None]


def test_a_position_far_beyond_every_limit_can_still_be_closed() -> None:
    tight = RiskLimits(
        max_order_value=Decimal(1),
        max_position_value=Decimal(1),
        max_position_share=Decimal("0.01"),
        max_gross_exposure=Decimal("0.01"),
    )
    now = view(book_of(-900_000, AAPL=10_000), limits=tight)
    assert codes(gate([order("AAPL", -9_000), order("AAPL", -1_000)], now)) == [None, None]


def test_halted_stops_everything_reducing_orders_too() -> None:
    now = view(book_of(0, AAPL=100), state=TradingState.HALTED)
    judged = gate([order("AAPL", -50), order("IBM", 50)], now)
    assert codes(judged) == ["trading_state", "trading_state"]
    assert judged[0].reason == "Trading is halted: the operator said so."


def test_reducing_lets_only_reducing_orders_through() -> None:
    now = view(book_of(0, AAPL=100, IBM=-100), state=TradingState.REDUCING)
    basket = [order("AAPL", -100), order("IBM", 40), order("AAPL", 10), order("MSFT", 1)]
    assert codes(gate(basket, now)) == [None, None, "trading_state", "trading_state"]


def test_reducing_stops_an_order_that_closes_and_reopens() -> None:
    now = view(book_of(0, AAPL=100), state=TradingState.REDUCING)
    assert codes(gate([order("AAPL", -101)], now)) == ["trading_state"]
    assert codes(gate([order("AAPL", -100), order("AAPL", -1)], now)) == [None, "trading_state"]


def test_without_a_price_of_every_holding_nothing_may_grow_but_all_may_shrink() -> None:
    now = view(book_of(10_000, AAPL=10, IBM=10), marks={"IBM": "100", "MSFT": "100"})
    judged = gate([order("MSFT", 1), order("AAPL", -10), order("IBM", -5)], now)
    assert codes(judged) == ["known_prices", None, None]
    assert judged[0].reason == "There is no price of AAPL."


@pytest.mark.parametrize("price", ["0", "-5", "NaN"])
def test_a_price_that_is_none_counts_as_missing(price: str) -> None:
    now = view(book_of(10_000), marks={"AAPL": price})
    assert codes(gate([order("AAPL", 1)], now)) == ["known_prices"]


def test_the_price_an_order_claims_for_itself_is_not_believed() -> None:
    limits = WIDE.model_copy(update={"max_order_value": Decimal(1_000)})
    claims = order("AAPL", 100, reference_price="0.01")
    assert codes(gate([claims], view(book_of(100_000), limits=limits))) == ["order_value"]


def test_a_book_worth_nothing_may_not_open_positions() -> None:
    assert codes(gate([order("AAPL", 1)], view(book_of(0)))) == ["position_share"]


def test_only_planned_orders_are_judged() -> None:
    sent = move(order("AAPL", 1), OrderState.SUBMITTING)
    with pytest.raises(IllegalTransitionError, match="is submitting: expected planned"):
        gate([sent], view(book_of(100_000)))


def test_a_basket_of_nothing_is_nothing() -> None:
    assert gate([], view(book_of(0))) == []


def test_a_block_bears_code_limit_value_and_sentence() -> None:
    limits = WIDE.model_copy(update={"max_position_value": Decimal(25_000)})
    passed, blocked = judge(
        [order("AAPL", 100), order("IBM", 260)], view(book_of(100_000), limits=limits)
    )
    assert passed.block is None
    assert blocked.block is not None
    assert (blocked.block.code, blocked.order.code) == ("position_value", "position_value")
    assert (blocked.block.value, blocked.block.limit) == (26_000, 25_000)
    assert blocked.block.sentence == blocked.order.reason


def test_an_open_sale_frees_no_room_and_an_open_purchase_takes_it() -> None:
    limits = WIDE.model_copy(update={"max_gross_exposure": Decimal("1.0")})
    held = book_of(0, AAPL=100)
    selling = view(held, limits=limits, open_orders=[at_broker("AAPL", -50)])
    assert codes(gate([order("IBM", 50)], selling)) == ["gross_exposure"]
    buying = view(book_of(10_000), limits=limits, open_orders=[at_broker("AAPL", 60)])
    assert codes(gate([order("IBM", 60), order("IBM", 40)], buying)) == ["gross_exposure", None]


def test_a_sale_of_what_is_being_sold_already_does_not_reduce() -> None:
    now = view(
        book_of(0, AAPL=100),
        state=TradingState.REDUCING,
        open_orders=[at_broker("AAPL", -60)],
    )
    assert codes(gate([order("AAPL", -41), order("AAPL", -40)], now)) == ["trading_state", None]


def test_a_sale_of_what_is_only_being_bought_does_not_reduce() -> None:
    now = view(book_of(9_000), state=TradingState.REDUCING, open_orders=[at_broker("AAPL", 60)])
    assert codes(gate([order("AAPL", -60)], now)) == ["trading_state"]


def test_the_default_day_passes_all_default_limits() -> None:
    """Two long and two short at 20 000 dollars each on 100 000, then all of them turned around."""
    limits = RiskLimits()
    first = [order("AAPL", -200), order("IBM", -200), order("MSFT", 200), order("GOOG", 200)]
    prices = dict.fromkeys(("AAPL", "IBM", "MSFT", "GOOG"), "100")
    assert gate(first, view(book_of(100_000), limits=limits, marks=prices)) == first
    held = book_of(100_000, AAPL=-200, IBM=-200, MSFT=200, GOOG=200)
    turned = [
        order(symbol, shares, number=leg)
        for sign, symbols in ((-1, ("GOOG", "MSFT")), (1, ("AAPL", "IBM")))
        for leg in (1, 2)
        for symbol in symbols
        for shares in (sign * 200,)
    ]
    assert gate(turned, view(held, limits=limits, marks=prices)) == turned
