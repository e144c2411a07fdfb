"""Reductions cure what can be cured, with the fewest orders, and nothing but reducing ones."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import combinations
from random import Random
from typing import Any

import pytest

from trading_pipeline.core.risk.gate import gate
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.core.risk.reduction import close_all, reduce
from trading_pipeline.core.risk.usage import uses
from trading_pipeline.core.risk.view import RiskView
from trading_pipeline_tests.core.risk.portfolios import WIDE, at_broker, book_of, view
from trading_pipeline_tests.factories import FIRST

PRICES = {"A": "100", "B": "50", "C": "20", "D": "10", "E": "7"}


def account(cash: int, limits: dict[str, Any], held: dict[str, int], **more: Any) -> RiskView:
    wide = RiskLimits.model_validate(WIDE.model_dump() | limits)
    return view(book_of(cash, **held), limits=wide, marks=PRICES, **more)


def cure(now: RiskView) -> dict[str, Decimal]:
    found = reduce(now, strategy="reduce", session=FIRST)
    return {order.symbol: order.signed_quantity for order in found.orders}


@pytest.mark.parametrize(
    ("limits", "cut"),
    [
        # NAV 10 000: A +5 000, B +3 000, C −2 000, D −1 000
        ({"max_position_value": "4001"}, {"A": -10}),
        ({"max_position_quantity": "45"}, {"A": -5, "B": -15, "C": 55, "D": 55}),
        ({"max_position_share": "0.25"}, {"A": -25, "B": -10}),
        ({"max_gross_exposure": "1.0"}, {"A": -10}),
        ({"max_gross_exposure": "0.5"}, {"A": -50, "B": -20}),
        ({"max_long_exposure": "0.2"}, {"A": -50, "B": -20}),
        ({"max_short_exposure": "0.1"}, {"C": 100}),
        ({"max_short_exposure": "0.05"}, {"C": 100, "D": 50}),
        ({"max_net_exposure": "0.3"}, {"A": -20}),
        ({"max_sector_exposure": "0.4", "sectors": "B=x,C=x"}, {"A": -20, "B": -20}),
        ({"max_concentration": "0.3"}, {"A": -10}),
        ({"max_gross_exposure": "1.0", "max_position_value": "4500"}, {"A": -10}),
        ({"max_gross_exposure": "1.1"}, {}),
    ],
)
def test_a_breach_is_cured_by_the_least(limits: dict[str, Any], cut: dict[str, int]) -> None:
    now = account(5_000, limits, {"A": 50, "B": 60, "C": -100, "D": -100})
    assert cure(now) == cut


def test_borrowed_cash_is_paid_back_by_the_largest_longs() -> None:
    assert cure(account(-4_000, {"max_borrowing": "0.2"}, {"A": 80, "B": 50})) == {"A": -27}


def test_a_book_worth_nothing_is_closed() -> None:
    now = account(-9_000, {}, {"A": 50, "B": 60})
    assert cure(now) == {"A": -50, "B": -60}


def test_open_sales_count_as_sold_and_are_never_sold_twice() -> None:
    limits = {"max_gross_exposure": "0.5"}
    half = account(5_000, limits, {"A": 100}, open_orders=[at_broker("A", -25)])
    assert cure(half) == {}
    most = account(5_000, limits, {"A": 100}, open_orders=[at_broker("A", -20)])
    assert cure(most) == {"A": -5}


def test_everything_is_closed_at_once_and_only_once() -> None:
    now = account(0, {}, {"A": 50, "B": -60}, open_orders=[at_broker("A", -20), at_broker("C", 5)])
    orders = close_all(now, strategy="flatten", session=FIRST)
    assert [(o.symbol, o.signed_quantity, o.sequence) for o in orders] == [
        ("A", -30, 1),
        ("B", 60, 2),
    ]
    again = account(0, {}, {"A": 50}, open_orders=[at_broker("A", -50)])
    assert close_all(again, strategy="flatten", session=FIRST) == ()


def test_a_holding_without_a_mark_is_closed_at_its_average_cost() -> None:
    now = view(book_of(0, ZZZ=10), marks={})
    (order,) = close_all(now, strategy="flatten", session=FIRST)
    assert order.reference_price == 90


ONE_LIMIT = {
    "max_gross_exposure": ["0.3", "0.9"],
    "max_long_exposure": ["0.2", "0.5"],
    "max_short_exposure": ["0.1", "0.4"],
    "max_net_exposure": ["0.1", "0.4"],
    "max_concentration": ["0.05", "0.2"],
    "max_borrowing": ["0.1", "0.3"],
}


def test_no_smaller_set_cures_a_single_breach() -> None:
    random, cured = Random(11), 0
    for _ in range(1_500):
        name = random.choice(list(ONE_LIMIT))
        held = {s: random.randint(-120, 120) for s in PRICES}
        limits = {name: random.choice(ONE_LIMIT[name])}
        now = account(random.randint(-3_000, 9_000), limits, held)
        if now.nav <= 0:
            continue
        found = reduce(now, strategy="reduce", session=FIRST)
        if len(found.breaches) == 1 and found.breaches[0].code != "position_share":
            assert len(found.orders) == fewest(now, found.breaches[0].code, held)
            cured += 1
        assert found.remaining == ()
        halting = view(now.book, limits=now.limits, marks=PRICES, state=TradingState.REDUCING)
        assert gate(found.orders, halting) == list(found.orders)
    assert cured > 300


def fewest(now: RiskView, code: str, held: dict[str, int]) -> int:
    """How many positions must be closed, tried out from the smallest sets up."""
    for size in range(1, len(held) + 1):
        for closed in combinations(held, size):
            kept = {s: Decimal(q) for s, q in held.items() if q and s not in closed}
            cured = not any(use.code == code and use.is_breach for use in uses(now, kept))
            # where closing turns the net around, selling a part of it brings it to nothing
            turned = code == "net_exposure" and net_of(now, kept) * net_of(now, held) < 0
            if cured or turned:
                return size
    raise AssertionError(code)


def net_of(now: RiskView, held: Mapping[str, Decimal | int]) -> Decimal:
    return sum((quantity * now.marks[s] for s, quantity in held.items()), Decimal(0))


def test_several_breaches_at_once_are_all_cured() -> None:
    random = Random(13)
    names = [*ONE_LIMIT, "max_position_value", "max_position_share", "max_sector_exposure"]
    own = {
        "max_position_value": ["900"],
        "max_position_share": ["0.1"],
        "max_sector_exposure": ["0.2"],
    }
    for _ in range(120):
        held = {s: random.randint(-120, 120) for s in PRICES}
        limits = {n: random.choice({**ONE_LIMIT, **own}[n]) for n in random.sample(names, 3)}
        now = account(random.randint(-3_000, 9_000), limits | {"sectors": "A=x,B=x,C=y"}, held)
        if now.nav > 0:
            assert reduce(now, strategy="reduce", session=FIRST).remaining == ()
