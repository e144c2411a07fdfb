"""How a day ended, from its orders and checks."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.execution.order import Decision, OrderState
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.flows import outcome
from trading_pipeline_tests.days import TRADE_SESSION, order

FILLED = order("AAPL", state=OrderState.FILLED, fill_price="101")
WAITING = order("AAPL", state=OrderState.ACCEPTED)
REJECTED = order("IBM", state=OrderState.REJECTED)
BLOCKED = order("IBM", state=OrderState.BLOCKED)


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([], "success"),
        ([FILLED], "success"),
        ([FILLED, WAITING], "success"),
        ([FILLED, REJECTED], "partial"),
        ([FILLED, BLOCKED], "partial"),
        ([FILLED, order("IBM", state=OrderState.EXPIRED)], "partial"),
        ([FILLED, order("IBM", state=OrderState.UNKNOWN)], "partial"),
        ([REJECTED], "failed"),
        ([REJECTED, BLOCKED], "failed"),
        ([order("IBM")], "failed"),
    ],
)
def test_the_status_says_how_much_of_the_plan_stands(orders, expected) -> None:
    assert outcome.status(orders, [], dry_run=False) == expected


def test_a_day_that_sends_nothing_is_a_dry_run_whatever_is_blocked() -> None:
    assert outcome.status([order("AAPL"), BLOCKED], [], dry_run=True) == "dry_run"


@pytest.mark.parametrize(("blocking", "expected"), [(True, "failed"), (False, "success")])
def test_only_a_failed_blocking_check_fails_the_day(blocking, expected) -> None:
    check = CheckOutcome(name="coverage", passed=False, sentence="Too few.", blocking=blocking)

    assert outcome.status([], [check], dry_run=False) == expected


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([], "0"),
        ([FILLED], "1010"),
        ([WAITING], "1000"),
        ([order("A", state=OrderState.PARTIALLY_FILLED, fill_price="101", filled=4)], "1004"),
        ([order("A", state=OrderState.CANCELED, fill_price="101", filled=4)], "404"),
        ([order("A", state=OrderState.EXPIRED)], "0"),
        ([REJECTED, BLOCKED, order("A"), order("A", state=OrderState.UNKNOWN)], "0"),
        ([FILLED, WAITING, REJECTED], "2010"),
    ],
)
def test_notional_counts_what_was_traded_and_what_still_may_be(orders, expected) -> None:
    assert outcome.notional(orders) == Decimal(expected)


def test_three_orders_of_133_shares_at_150_are_worth_59850() -> None:
    orders = [order(name, quantity=133, price="150", state=OrderState.ACCEPTED) for name in "ABC"]

    assert outcome.notional(orders) == Decimal(59_850)


@given(st.lists(st.sampled_from(OrderState), max_size=8))
def test_every_order_is_in_one_place_of_the_count(states: list[OrderState]) -> None:
    orders = [order("AAPL", state=state) for state in states]
    submitted = sum(outcome.is_submitted(found) for found in orders)
    accepted = sum(outcome.is_accepted(found) for found in orders)
    unsent = sum(state in outcome.NOT_SENT for state in states)

    assert accepted <= submitted
    assert submitted + unsent == len(orders)
    words = outcome.summary(orders, [], TRADE_SESSION)
    counted = sum(int(part.split()[0]) for part in words.rpartition(": ")[2].split(", ") if states)
    assert counted == len(orders)


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([], "No order for {}: the book already stands at its targets."),
        ([FILLED], "1 order for {}: 1 filled."),
        ([FILLED, REJECTED], "2 orders for {}: 1 filled, 1 rejected."),
        ([BLOCKED, FILLED], "2 orders for {}: 1 filled, 1 blocked by a risk check."),
    ],
)
def test_the_summary_says_what_became_of_the_orders(orders, expected) -> None:
    said = outcome.summary(orders, [], TRADE_SESSION)

    assert said == expected.format("the open of Friday, March 1, 2013")


def test_the_summary_of_a_stopped_day_is_what_the_check_found() -> None:
    check = CheckOutcome(name="coverage", passed=False, sentence="2 of 5 symbols have a clean bar.")

    said = outcome.summary([], [check], TRADE_SESSION)

    assert said == "The day stopped before any order: 2 of 5 symbols have a clean bar."


def test_a_run_that_did_not_decide_says_who_did_and_with_what() -> None:
    decision = Decision(
        strategy="alpha_baseline",
        session=TRADE_SESSION,
        run_id="first",
        model_version="1",
        capital=Decimal(100_000),
        nav=Decimal(100_000),
        decided_at=datetime(2013, 3, 1, 3, 4, 5, tzinfo=UTC),
    )

    assert outcome.decided_before(decision, "first") == outcome.decided_before(None, "x") == ""
    assert outcome.decided_before(decision, "second") == (
        " Decided at 2013-03-01 03:04 UTC by an earlier run, with $100,000.00: that stands."
    )
