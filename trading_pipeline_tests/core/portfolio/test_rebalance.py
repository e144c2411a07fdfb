"""From target weights to planned orders."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_pipeline.core.accounting.book import Book, Position, expect, post
from trading_pipeline.core.execution.order import Fill, Order, Side
from trading_pipeline.core.portfolio.rebalance import (
    Plan,
    SizingRules,
    Skip,
    SkipReason,
    plan,
    withhold,
)
from trading_pipeline.errors import MissingDataError, SchemaError

SESSION = date(2013, 1, 2)
NAME = "alpha_baseline"
RULES = SizingRules()
WIDE = SizingRules(max_position_size=Decimal(10**9))


def targets(**of: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": list(of),
            "session": [SESSION] * len(of),
            "strategy": [NAME] * len(of),
            "target_weight": list(of.values()),
        },
        schema_overrides={"target_weight": pl.Float64},
    )


def holding(**shares: str | int) -> Book:
    positions = {
        symbol: Position(symbol=symbol, quantity=Decimal(held)) for symbol, held in shares.items()
    }
    return Book(positions=positions)


def prices(**of: str) -> dict[str, Decimal]:
    return {symbol: Decimal(price) for symbol, price in of.items()}


def planned(
    wanted: pl.DataFrame,
    book: Book,
    marks: Mapping[str, Decimal],
    rules: SizingRules = RULES,
) -> Plan:
    return plan(wanted, book, marks, session=SESSION, strategy=NAME, rules=rules)


def trades(orders: list[Order]) -> list[tuple[str, str, int]]:
    return [(str(order.side), order.symbol, int(order.quantity)) for order in orders]


def test_a_cap_of_twenty_thousand_dollars_at_150_is_133_shares() -> None:
    orders = planned(targets(AAPL=1.0), Book(), prices(AAPL="150")).orders
    assert trades(orders) == [("buy", "AAPL", 133)]
    assert orders[0].reference_price == 150
    assert (orders[0].session, orders[0].strategy, orders[0].sequence) == (SESSION, NAME, 1)


def test_orders_are_the_difference_to_what_is_held_never_the_whole_target() -> None:
    marks = prices(AAPL="100", IBM="100")
    orders = planned(targets(AAPL=0.1, IBM=-0.1), holding(AAPL=60, IBM=-130), marks).orders
    assert trades(orders) == [("buy", "IBM", 30), ("buy", "AAPL", 40)]


def test_a_position_that_leaves_the_target_list_is_closed() -> None:
    marks = prices(AAPL="100", IBM="100", FB="20")
    orders = planned(targets(AAPL=0.1), holding(IBM=7, FB=-9, AAPL=100), marks).orders
    assert trades(orders) == [("sell", "IBM", 7), ("buy", "FB", 9)]


def test_a_position_whose_weight_became_zero_is_closed() -> None:
    result = planned(targets(AAPL=0.0), holding(AAPL=5), prices(AAPL="100"))
    assert trades(result.orders) == [("sell", "AAPL", 5)]
    assert result.skips == []


@pytest.mark.parametrize(
    ("held", "weight", "expected"),
    [
        (30, -0.05, [("sell", "AAPL", 30), ("sell", "AAPL", 50)]),
        (-30, 0.05, [("buy", "AAPL", 30), ("buy", "AAPL", 50)]),
    ],
)
def test_crossing_zero_is_two_orders_the_first_closes_the_second_opens(
    held: int, weight: float, expected: list[tuple[str, str, int]]
) -> None:
    orders = planned(targets(AAPL=weight), holding(AAPL=held), prices(AAPL="100")).orders
    assert trades(orders) == expected
    assert orders[0].client_order_id != orders[1].client_order_id


def test_sells_go_first_and_on_each_side_what_shrinks_a_position() -> None:
    wanted = targets(A=-0.1, B=0.1, C=-0.1, D=0.1, E=0.0, F=0.0, G=0.1)
    book = holding(C=10, D=-10, E=5, F=-5)
    marks = prices(**dict.fromkeys("ABCDEFG", "100"))
    orders = planned(wanted, book, marks).orders
    assert trades(orders) == [
        ("sell", "C", 10),
        ("sell", "E", 5),
        ("sell", "A", 100),
        ("sell", "C", 100),
        ("buy", "D", 10),
        ("buy", "F", 5),
        ("buy", "B", 100),
        ("buy", "D", 100),
        ("buy", "G", 100),
    ]
    assert [order.sequence for order in orders] == list(range(1, 10))


def test_every_symbol_without_an_order_has_its_reason() -> None:
    wanted = targets(ZERO=0.0, DEAR=0.001, LOST=0.5, HELD=0.1, SAME=0.1, NONE=0.0)
    marks = prices(ZERO="1", DEAR="101", SAME="100", NONE="0")
    result = planned(wanted, holding(SAME=100, HELD=5, GONE=1), marks)
    assert result.orders == []
    assert result.skips == [
        Skip(symbol="DEAR", reason=SkipReason.LESS_THAN_ONE_SHARE),
        Skip(symbol="GONE", reason=SkipReason.PRICE_UNAVAILABLE),
        Skip(symbol="HELD", reason=SkipReason.PRICE_UNAVAILABLE),
        Skip(symbol="LOST", reason=SkipReason.PRICE_UNAVAILABLE),
        Skip(symbol="NONE", reason=SkipReason.ZERO_WEIGHT),
        Skip(symbol="SAME", reason=SkipReason.ON_TARGET),
        Skip(symbol="ZERO", reason=SkipReason.ZERO_WEIGHT),
    ]
    assert set(SkipReason) == {
        "zero_weight",
        "qty_less_than_one_share",
        "price_unavailable",
        "on_target",
        "suspended",
    }


def test_suspended_symbols_are_neither_bought_nor_sold() -> None:
    wanted = targets(A=0.1, B=0.1, C=-0.1, D=0.1)
    marks = prices(**dict.fromkeys("ABCDE", "100"))
    result = planned(wanted, holding(B=100, C=7, E=5), marks)
    held_back = withhold(result, {"A", "C", "E", "ELSE"})
    assert trades(held_back.orders) == [("buy", "D", 100)]
    assert [order.sequence for order in held_back.orders] == [1]
    assert {skip.symbol: skip.reason.value for skip in held_back.skips} == {
        "A": "suspended",
        "B": "on_target",
        "C": "suspended",
        "E": "suspended",
    }
    assert withhold(result, ()) == result


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity"])
def test_a_price_that_is_none_never_becomes_an_order(price: str) -> None:
    result = planned(targets(AAPL=0.5), Book(), prices(AAPL=price))
    assert result.orders == []
    assert result.skips == [Skip(symbol="AAPL", reason=SkipReason.PRICE_UNAVAILABLE)]


def test_a_target_below_one_share_closes_what_is_held() -> None:
    result = planned(targets(AAPL=0.001), holding(AAPL=3), prices(AAPL="101"))
    assert trades(result.orders) == [("sell", "AAPL", 3)]


def test_a_third_of_thirty_thousand_dollars_buys_a_hundred_shares_at_100() -> None:
    rules = SizingRules(capital=Decimal(30_000))
    assert trades(planned(targets(AAPL=1 / 3), Book(), prices(AAPL="100"), rules).orders) == [
        ("buy", "AAPL", 100)
    ]


def test_a_fraction_of_a_share_is_traded_only_when_its_position_closes() -> None:
    marks = prices(AAPL="100")
    part = planned(targets(AAPL=0.003), holding(AAPL="10.5"), marks).orders
    assert [order.quantity for order in part] == [7]
    gone = planned(targets(AAPL=0.0), holding(AAPL="10.5"), marks).orders
    assert [order.quantity for order in gone] == [Decimal("10.5")]


def test_an_empty_target_table_is_missing_data_and_closes_nothing() -> None:
    with pytest.raises(MissingDataError, match="no target weights of 2013-01-02"):
        planned(targets(), holding(AAPL=5), prices(AAPL="100"))


@pytest.mark.parametrize(
    "wrong",
    [
        targets(AAPL=0.5).with_columns(pl.lit(date(2013, 1, 3)).alias("session")),
        targets(AAPL=0.5).with_columns(pl.lit("other").alias("strategy")),
        pl.concat([targets(AAPL=0.5), targets(AAPL=0.4)]),
        targets(AAPL=None),
        targets(AAPL=float("nan")),
        targets(AAPL=float("inf")),
    ],
)
def test_targets_of_another_day_or_without_a_number_are_refused(wrong: pl.DataFrame) -> None:
    with pytest.raises(SchemaError, match="AAPL"):
        planned(wanted=wrong, book=Book(), marks=prices(AAPL="100"))


@pytest.mark.parametrize("field", ["capital", "max_position_size"])
@pytest.mark.parametrize("value", ["0", "-100", "NaN", "Infinity"])
def test_sizing_by_no_money_is_refused(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        SizingRules.model_validate({field: value})


def test_the_same_intent_has_the_same_id_at_another_price() -> None:
    one = planned(targets(AAPL=0.5), Book(), prices(AAPL="100")).orders[0]
    other = planned(targets(AAPL=0.5), Book(), prices(AAPL="90")).orders[0]
    assert one.client_order_id == other.client_order_id
    assert one.quantity != other.quantity


SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
weights = st.sampled_from([0.0, 0.5, -0.5, 1 / 3, -1 / 3, 1e-6]) | st.floats(-1, 1)
wants = st.dictionaries(st.sampled_from(SYMBOLS), weights, min_size=1)
holdings = st.dictionaries(st.sampled_from(SYMBOLS), st.integers(-900, 900))
quotes = st.fixed_dictionaries({s: st.decimals("0.01", "900", places=4) for s in SYMBOLS})
sizing = st.sampled_from([RULES, WIDE])


def filled(order: Order) -> Fill:
    return Fill(
        fill_id=order.client_order_id,
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        price=order.reference_price,
        commission=Decimal(0),
        session=SESSION,
        filled_at=datetime(2013, 1, 3, tzinfo=UTC),
    )


@given(wants, holdings, quotes, sizing)
def test_filling_the_plan_reaches_the_targets_within_a_share_and_leaves_nothing_to_do(
    wanted: dict[str, float],
    held: dict[str, int],
    marks: dict[str, Decimal],
    rules: SizingRules,
) -> None:
    book = holding(**held)
    result = planned(targets(**wanted), book, marks, rules)
    for order in result.orders:
        before = book.quantity(order.symbol)
        # an order opens or closes, it never does both
        assert before * order.side.sign >= 0 or order.quantity <= abs(before)
        assert order.quantity > 0
        assert expect(book, order, order.reference_price).positions == (
            post(book, filled(order)).positions
        )
        book = post(book, filled(order))
    for symbol in SYMBOLS:
        weight = Fraction(wanted.get(symbol, 0.0))
        worth = min(abs(weight) * Fraction(rules.capital), Fraction(rules.max_position_size))
        exact = worth / Fraction(marks[symbol])
        reached = Fraction(book.quantity(symbol)) * (1 if weight >= 0 else -1)
        # half a cent is the most that rounding the dollars adds
        assert reached - Fraction(1, 200) / Fraction(marks[symbol]) <= exact
        assert exact < reached + 1 + Fraction(1, 200) / Fraction(marks[symbol])
        if symbol not in wanted:
            assert book.quantity(symbol) == 0
    again = planned(targets(**wanted), book, marks, rules)
    assert again.orders == []


@given(wants, holdings, quotes, st.randoms(use_true_random=False))
def test_the_plan_is_the_same_however_rows_and_positions_come(
    wanted: dict[str, float],
    held: dict[str, int],
    marks: dict[str, Decimal],
    random: object,
) -> None:
    frame = targets(**wanted)
    shuffled = frame[random.sample(range(frame.height), frame.height)]
    backwards = holding(**dict(reversed(held.items())))
    one = planned(frame, holding(**held), marks)
    assert planned(shuffled, backwards, dict(reversed(marks.items()))) == one
    sides = [order.side for order in one.orders]
    assert sides == sorted(sides, key=lambda side: side is Side.BUY)
    assert len({order.client_order_id for order in one.orders}) == len(one.orders)
    named = {order.symbol for order in one.orders} | {skip.symbol for skip in one.skips}
    assert named == wanted.keys() | {symbol for symbol, shares in held.items() if shares}


def test_orders_open_at_the_broker_are_counted_through_the_expected_book() -> None:
    marks = prices(AAPL="100")
    open_order = planned(targets(AAPL=0.1), Book(), marks).orders[0]
    part = replace(open_order, filled_quantity=Decimal(40))
    book = expect(holding(AAPL=40), part, marks["AAPL"])
    assert planned(targets(AAPL=0.1), book, marks).orders == []


PARTS = SizingRules(fractional=True)


def parts_of(weights: dict[str, float], book: Book) -> list[tuple[str, Side, str]]:
    """Symbol, side and quantity of the plan at 70 dollars a share, in parts of a share."""
    marks = dict.fromkeys(["A", "B"], Decimal(70))
    made = plan(targets(**weights), book, marks, session=SESSION, strategy=NAME, rules=PARTS)
    return [(order.symbol, order.side, f"{order.quantity.normalize():f}") for order in made.orders]


def test_longs_are_bought_in_parts_of_a_share_and_shorts_stay_whole() -> None:
    assert parts_of({"A": 0.001, "B": -0.001}, Book()) == [
        ("B", Side.SELL, "1"),
        ("A", Side.BUY, "1.428571428"),
    ]


def test_a_change_of_less_than_a_dollar_is_no_order() -> None:
    assert parts_of({"A": 0.001}, holding(A="1.42")) == []
    assert parts_of({"A": 0.001}, holding(A="1.41")) == [("A", Side.BUY, "0.018571428")]


def test_the_last_part_of_a_share_is_sold_whatever_it_is_worth() -> None:
    assert parts_of({"A": 0.0}, holding(A="0.000000001")) == [("A", Side.SELL, "0.000000001")]
    assert parts_of({"A": -0.001}, holding(A="0.5")) == [
        ("A", Side.SELL, "0.5"),
        ("A", Side.SELL, "1"),
    ]
