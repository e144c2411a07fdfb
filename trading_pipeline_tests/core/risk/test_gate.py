"""The risk gate: ordered checks, folded over the basket."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.accounting.book import Book, Position
from trading_pipeline.core.execution.order import Order, OrderState, Side, move
from trading_pipeline.core.risk.gate import CHECKS, RiskView, gate
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.errors import IllegalTransitionError

WIDE = RiskLimits(
    max_order_value=Decimal(10**9),
    max_position_value=Decimal(10**9),
    max_position_share=Decimal(10),
    max_gross_exposure=Decimal(20),
)


def order(symbol: str, shares: int, *, reference_price: str = "100") -> Order:
    return Order(
        client_order_id=f"{symbol}{shares}",
        strategy="alpha_baseline",
        session=date(2013, 1, 2),
        sequence=1,
        symbol=symbol,
        side=Side.BUY if shares > 0 else Side.SELL,
        quantity=Decimal(abs(shares)),
        reference_price=Decimal(reference_price),
        target_weight=0.5,
    )


def book_of(cash: int, **shares: int) -> Book:
    positions = {
        symbol: Position(symbol=symbol, quantity=Decimal(held), cost=Decimal(held) * 90)
        for symbol, held in shares.items()
    }
    return Book(cash=Decimal(cash), positions=positions)


def view(
    book: Book,
    *,
    limits: RiskLimits = WIDE,
    state: TradingState = TradingState.ACTIVE,
    marks: Mapping[str, str] | None = None,
) -> RiskView:
    prices = marks if marks is not None else {"AAPL": "100", "IBM": "100", "MSFT": "100"}
    return RiskView(
        state=state,
        state_reason="the operator said so.",
        book=book,
        marks={symbol: Decimal(price) for symbol, price in prices.items()},
        limits=limits,
    )


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


symbols = st.sampled_from(["AAPL", "IBM", "MSFT"])
shares = st.integers(-40, 40).filter(bool)
baskets = st.lists(st.builds(order, symbols, shares), max_size=6)
books = st.builds(
    lambda cash, held: book_of(cash, **held),
    st.integers(-2_000, 9_000),
    st.dictionaries(symbols, st.integers(-40, 40)),
)
prices = st.fixed_dictionaries({s: st.integers(1, 200).map(str) for s in ("AAPL", "IBM", "MSFT")})
limits_ = st.builds(
    RiskLimits,
    max_order_value=st.integers(1, 5_000),
    max_position_value=st.integers(1, 5_000),
    max_position_share=st.sampled_from(["0.1", "0.3", "1", "10"]),
    max_gross_exposure=st.sampled_from(["0.3", "1", "2", "20"]),
)
views = st.builds(
    lambda book, limits, state, marks: view(book, limits=limits, state=state, marks=marks),
    books,
    limits_,
    st.sampled_from([*TradingState, TradingState.ACTIVE]),
    prices,
)


def may_go(held: Mapping[str, Fraction], trade: Order, now: RiskView) -> bool:
    """The rules once more, in fractions, on whole portfolios before and after the trade."""
    price = {symbol: Fraction(mark) for symbol, mark in now.marks.items()}
    before = Fraction(held.get(trade.symbol, 0))
    after = dict(held) | {trade.symbol: before + Fraction(trade.signed_quantity)}
    # only shrinks: same side or flat, and smaller
    shrinks = after[trade.symbol] * before >= 0 and abs(after[trade.symbol]) < abs(before)
    if now.state is TradingState.HALTED:
        return False
    if shrinks or now.state is TradingState.REDUCING:
        return shrinks
    nav = Fraction(now.book.cash) + sum(
        Fraction(p.quantity) * price[p.symbol] for p in now.book.positions.values()
    )
    value = abs(after[trade.symbol]) * price[trade.symbol]
    gross = sum(abs(quantity) * price[symbol] for symbol, quantity in after.items())
    return (
        abs(after[trade.symbol] - before) * price[trade.symbol] <= now.limits.max_order_value
        and value <= now.limits.max_position_value
        and value <= Fraction(now.limits.max_position_share) * nav
        and gross <= Fraction(now.limits.max_gross_exposure) * nav
    )


@settings(max_examples=400)
@given(baskets, views)
def test_an_order_goes_through_exactly_when_the_portfolio_after_it_is_allowed(
    basket: list[Order], now: RiskView
) -> None:
    judged = gate(basket, now)
    held = {p.symbol: Fraction(p.quantity) for p in now.book.positions.values()}
    for trade, after in zip(basket, judged, strict=True):
        allowed = may_go(held, trade, now)
        assert (after.state is OrderState.PLANNED) == allowed
        if allowed:
            assert after == trade
            held[trade.symbol] = held.get(trade.symbol, Fraction(0)) + Fraction(
                trade.signed_quantity
            )
        else:
            assert after.code in {check.__name__ for check in CHECKS}
            assert after.reason
            assert replace(after, state=trade.state, code=None, reason=None) == trade


@settings(max_examples=200)
@given(baskets, views)
def test_reducing_never_raises_gross_exposure_whichever_orders_fill(
    basket: list[Order], now: RiskView
) -> None:
    reducing = replace(now, state=TradingState.REDUCING)
    held = {p.symbol: p.quantity for p in now.book.positions.values()}
    for trade in gate(basket, reducing)[::-1]:
        if trade.state is OrderState.PLANNED:
            before = abs(held[trade.symbol])
            held[trade.symbol] += trade.signed_quantity
            assert abs(held[trade.symbol]) <= before


@settings(max_examples=100)
@given(baskets, views)
def test_what_went_through_goes_through_again_by_itself(basket: list[Order], now: RiskView) -> None:
    passed = [trade for trade in gate(basket, now) if trade.state is OrderState.PLANNED]
    assert gate(passed, now) == passed
