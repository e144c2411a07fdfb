"""What a report adds to an order: the part of its cumulative fills that is not booked yet."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.execution.account import BrokerOrder, Execution
from trading_pipeline.core.execution.order import Order, OrderState, record
from trading_pipeline.core.execution.reports import Update, gained, is_gap, unbooked
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline_tests.fakes import NOW, SESSION, accepted, make_fill, make_order

D = Decimal
NEXT = next_session(SESSION)
ORDER = accepted(make_order(quantity=D(100)))[-1]


def update(filled: int, average: str, execution: tuple[int, str] | None = None) -> Update:
    told = BrokerOrder(
        client_order_id=ORDER.client_order_id,
        broker_order_id="b-1",
        state=OrderState.PARTIALLY_FILLED,
        filled_quantity=D(filled),
        average_fill_price=D(average),
    )
    quantity, price = execution or (0, "1")
    done = Execution(execution_id="e", quantity=D(quantity), price=D(price), at=NOW)
    return Update(order=told, at=NOW, session=NEXT, execution=done if execution else None)


def test_the_price_of_what_is_new_makes_the_averages_agree() -> None:
    first = gained(ORDER, update(40, "10.00"))
    assert first is not None
    then = record(ORDER, first)
    second = gained(then, update(100, "10.30"))
    assert second is not None
    assert (second.quantity, second.price) == (60, D("10.500000"))
    assert record(then, second).average_fill_price == D("10.300000")


def test_an_execution_that_accounts_for_all_of_it_is_booked_as_it_is() -> None:
    fill = gained(ORDER, update(40, "10.0049", (40, "10.005")))
    assert fill is not None
    assert (fill.price, fill.filled_at) == (D("10.005"), NOW)
    assert not is_gap(ORDER, update(40, "10.0049", (40, "10.005")))


def test_an_execution_that_accounts_for_a_part_of_it_is_a_gap() -> None:
    later = update(40, "10", (10, "11"))
    assert is_gap(ORDER, later)
    fill = gained(ORDER, later)
    assert fill is not None
    assert (fill.quantity, fill.price) == (40, 10)


@pytest.mark.parametrize("filled", [0, 39, 40])
def test_what_is_booked_already_adds_nothing(filled: int) -> None:
    first = gained(ORDER, update(40, "10"))
    assert first is not None
    assert gained(record(ORDER, first), update(filled, "9", (filled or 1, "9"))) is None
    assert not is_gap(record(ORDER, first), update(filled, "9", (filled or 1, "9")))


@given(
    parts=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    booked=st.integers(0, 5),
)
def test_all_fills_told_again_leave_what_was_not_booked(parts: list[int], booked: int) -> None:
    fills = [make_fill(ORDER, part, number=number) for number, part in enumerate(parts)]
    order = ORDER
    for fill in fills[:booked]:
        order = record(order, fill)
    assert unbooked(order, fills) == fills[booked:]


def test_a_fill_booked_in_part_is_told_of_with_its_rest() -> None:
    order: Order = record(ORDER, make_fill(ORDER, 15, number=0))
    fills = [make_fill(ORDER, 10, number=1), make_fill(ORDER, 10, number=2)]
    (rest,) = unbooked(order, fills)
    assert (rest.quantity, rest.fill_id) == (5, f"{fills[1].fill_id}/rest")


def test_fills_bear_the_strategy_of_the_order() -> None:
    nobodys = replace(make_fill(ORDER), strategy="")
    assert unbooked(ORDER, [nobodys])[0].strategy == ORDER.strategy
