"""The gate against the brute-force oracle, and what no basket may bring about."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.execution.order import Order, OrderState, move
from trading_pipeline.core.risk.checks import CHECKS
from trading_pipeline.core.risk.gate import gate
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline_tests.core.risk.oracle import after, case, expected, subsets
from trading_pipeline_tests.core.risk.portfolios import book_of

CASES = 5_000
ELSEWHERE = {"buying_power", "fractionable"}
"""Checks that the cases do not reach; they have tests of their own."""


def test_the_gate_agrees_with_the_oracle_on_random_books_and_baskets() -> None:
    random, seen = Random(20_130_301), set[str | None]()
    for number in range(CASES):
        basket, now = case(random)
        judged = gate(basket, now)
        codes = [order.code for order in judged]
        assert codes == expected(basket, now), f"case {number}: {basket} {now}"
        seen.update(codes)
        for asked, answer in zip(basket, judged, strict=True):
            assert replace(answer, state=asked.state, code=None, reason=None) == asked
            assert (answer.state is OrderState.PLANNED) == (answer.code is None)
            assert bool(answer.reason) == bool(answer.code)

    assert seen == {None} | {check.__name__ for check in CHECKS} - ELSEWHERE


@given(st.integers(0, 10**9))
def test_reducing_never_raises_any_position_whichever_orders_fill(seed: int) -> None:
    basket, now = case(Random(seed))
    went = gate(basket, replace(now, state=TradingState.REDUCING))
    passed = [order for order in went if order.state is OrderState.PLANNED]
    held = {p.symbol: int(p.quantity) for p in now.book.positions.values()}
    for filled in subsets(now.open_orders):
        without = after(held, filled)
        for more in subsets(passed):
            with_them = after(without, more)
            assert all(abs(with_them[s]) <= abs(q) for s, q in without.items())


@given(st.integers(0, 10**9))
def test_what_went_through_goes_through_again_by_itself(seed: int) -> None:
    basket, now = case(Random(seed))
    passed = [order for order in gate(basket, now) if order.state is OrderState.PLANNED]
    assert gate(passed, now) == passed


@given(st.integers(0, 10**9))
def test_halted_lets_nothing_leave(seed: int) -> None:
    basket, now = case(Random(seed))
    judged = gate(basket, replace(now, state=TradingState.HALTED))
    assert {order.code for order in judged} <= {"trading_state", "breaker"}


@given(st.integers(0, 10**9))
def test_no_sequence_of_orders_fills_and_cancels_in_reducing_raises_gross(seed: int) -> None:
    """Basket after basket, each order filled now, filled later, in part, or never."""
    random = Random(seed)
    _, first = case(random)
    now = replace(first, state=TradingState.REDUCING, open_orders=(), marks=MARKS, assets=None)
    held = {p.symbol: p.quantity for p in now.book.positions.values()}
    gross, waiting = value_of(held), list[Order]()
    for _ in range(8):
        basket, _ = case(random)
        view = replace(now, book=book_of(0, **held), open_orders=tuple(waiting))
        went = [one for one in gate(basket, view) if one.state is OrderState.PLANNED]
        waiting += [move(one, OrderState.SUBMITTING) for one in went]
        still = list[Order]()
        for one in waiting:
            filled = random.choice([Decimal(0), one.quantity, one.quantity // 2])
            held[one.symbol] = held.get(one.symbol, Decimal(0)) + filled * one.side.sign
            rest = replace(one, quantity=one.quantity - filled)
            if rest.quantity and random.random() < 0.7:  # else canceled
                still.append(rest)
        waiting = still
        assert value_of(held) <= gross
        gross = value_of(held)


MARKS = {"AAPL": Decimal(100), "IBM": Decimal(60), "MSFT": Decimal(35)}


def value_of(held: Mapping[str, Decimal]) -> Decimal:
    return sum((abs(q) * MARKS[s] for s, q in held.items()), Decimal(0))
