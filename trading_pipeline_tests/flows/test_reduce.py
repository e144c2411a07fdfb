"""Reductions go through the gate and the order path: decided once, sent once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState, Side
from trading_pipeline.core.market.calendar import next_session, session_close
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.flows.halt import stop
from trading_pipeline.flows.mark import value
from trading_pipeline.flows.order_updates import settle
from trading_pipeline.flows.reduce import Shrinking, cure, flatten, known_marks, session_for
from trading_pipeline.flows.risk_monitor import watch
from trading_pipeline.flows.trade import trade
from trading_pipeline_tests.factories import bars_of
from trading_pipeline_tests.fakes import NOW, SESSION, FrameVendor, make_mandate, targets_of

DATABASES = ["sqlite"]
"""The flow asks the ledger, whose own tests ask both databases."""

NEXT = next_session(SESSION)
THIRD = next_session(NEXT)
MARKS = {"AAPL": Decimal(100), "IBM": Decimal(200)}
VENDOR = FrameVendor(bars_of({"AAPL": [100.0] * 9, "IBM": [200.0] * 9}, first=SESSION))
LATER = session_close(NEXT) + timedelta(hours=1)
AFTER_THIRD = session_close(THIRD) + timedelta(hours=1)
MARK_OF_IBM = Mark(price=Decimal(200), source="close")
NARROW = RiskLimits(max_gross_exposure=Decimal("0.3"))


@pytest.fixture
def broker(tmp_path: Path) -> SimulatedBroker:
    return SimulatedBroker(tmp_path / "broker.db", CostModel(), Decimal(100_000))


@pytest.fixture
def invested(ledger: Ledger, broker: SimulatedBroker) -> Ledger:
    """A book of 200 AAPL long and 100 IBM short, 20 000 dollars each, valued."""
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    targets = targets_of(SESSION, AAPL=0.5, IBM=-0.5)
    trade(ledger, broker, targets, MARKS, mandate=make_mandate(), now=NOW)
    settle(ledger, broker, VENDOR, through=NEXT, now=LATER)
    marks = {symbol: Mark(price=price, source="close") for symbol, price in MARKS.items()}
    value(ledger, marks=marks, session=NEXT, now=LATER, run_id="run-1")
    return ledger


def shrinking(**changes: Any) -> Shrinking:
    usual: dict[str, Any] = {"session": NEXT, "run_id": "run-2", "limits": NARROW}
    return Shrinking(**usual | changes)


def settled_positions(ledger: Ledger, broker: SimulatedBroker) -> dict[str, Decimal]:
    settle(ledger, broker, VENDOR, through=THIRD, now=session_close(THIRD))
    return dict(broker.account().positions)


def test_a_breach_is_cured_by_orders_the_broker_fills(
    invested: Ledger, broker: SimulatedBroker
) -> None:
    done = cure(invested, broker, shrinking=shrinking(), now=LATER)
    assert [use.code for use in done.reduction.breaches] == ["gross_exposure"]
    assert [(o.symbol, o.side, o.state) for o in done.orders] == [
        ("AAPL", Side.SELL, OrderState.ACCEPTED)
    ]
    again = cure(invested, broker, shrinking=shrinking(), now=LATER)
    assert (again.reduction.breaches, again.orders) == ((), ())
    positions = settled_positions(invested, broker)
    assert positions["IBM"] == -100
    assert 20_000 + positions["AAPL"] * 100 <= Decimal("0.3") * 100_000
    assert cure(invested, broker, shrinking=shrinking(session=THIRD), now=LATER).orders == ()


def test_what_is_only_proposed_is_neither_written_nor_sent(
    invested: Ledger, broker: SimulatedBroker
) -> None:
    before = invested.orders()
    done = cure(invested, broker, shrinking=shrinking(act=False), now=LATER)
    assert [order.state for order in done.orders] == [OrderState.PLANNED]
    assert invested.orders() == before
    assert broker.find(done.orders[0].client_order_id) is None


def test_a_book_within_its_limits_needs_nothing(invested: Ledger, broker: SimulatedBroker) -> None:
    done = cure(invested, broker, shrinking=shrinking(limits=RiskLimits()), now=LATER)
    assert (done.reduction.breaches, done.orders) == ((), ())


def test_halted_blocks_a_reduction_too(invested: Ledger, broker: SimulatedBroker) -> None:
    stop(invested, TradingState.HALTED, who="ada", reason="Drill.", now=LATER)
    done = cure(invested, broker, shrinking=shrinking(), now=LATER)
    assert [(o.state, o.code) for o in done.orders] == [(OrderState.BLOCKED, "trading_state")]


def test_flatten_closes_everything_and_leaves_trading_reducing(
    invested: Ledger, broker: SimulatedBroker
) -> None:
    stop(invested, TradingState.HALTED, who="ada", reason="Drill.", now=LATER)
    more = trade(
        invested,
        broker,
        targets_of(NEXT, AAPL=0.9),
        MARKS,
        mandate=make_mandate(NEXT),
        now=LATER,
    )
    assert {order.state for order in more.orders} == {OrderState.BLOCKED}
    words = {"who": "ada", "reason": "Fire."}
    done = flatten(invested, broker, shrinking=shrinking(), now=LATER, **words)
    assert [(o.symbol, o.signed_quantity, o.state) for o in done.orders] == [
        ("AAPL", -200, OrderState.ACCEPTED),
        ("IBM", 100, OrderState.ACCEPTED),
    ]
    assert invested.trading_state()[:3] == (TradingState.REDUCING, "Flatten: Fire.", "ada")
    assert settled_positions(invested, broker) == {}


def test_flatten_twice_never_closes_more_than_is_held(
    invested: Ledger, broker: SimulatedBroker
) -> None:
    for _ in range(2):
        flatten(invested, broker, shrinking=shrinking(), who="ada", reason="Fire.", now=LATER)
    assert settled_positions(invested, broker) == {}


def test_the_prices_of_a_reduction_are_those_of_the_last_snapshot(invested: Ledger) -> None:
    assert known_marks(invested) == MARKS


def test_after_a_day_that_loses_too_much_only_reducing_orders_go(
    invested: Ledger, broker: SimulatedBroker
) -> None:
    fallen = {"AAPL": Mark(price=Decimal("74.5"), source="close"), "IBM": MARK_OF_IBM}
    settle(invested, broker, VENDOR, through=THIRD, now=AFTER_THIRD)
    pnl = value(invested, marks=fallen, session=THIRD, now=AFTER_THIRD, run_id="run-2")
    assert Decimal(94_800) < pnl.nav < Decimal(94_900)  # 5.1 % of 100 000 and the costs
    found = watch(invested, broker, rules=RiskLimits().breaker, now=AFTER_THIRD)
    assert [trip.code for trip in found.trips] == ["daily_loss"]
    prices = {symbol: mark.price for symbol, mark in fallen.items()}
    targets = targets_of(THIRD, AAPL=0.5, IBM=0.0)
    done = trade(invested, broker, targets, prices, mandate=make_mandate(THIRD), now=AFTER_THIRD)
    assert [(o.symbol, o.side, o.state, o.code) for o in done.orders] == [
        ("IBM", Side.BUY, OrderState.ACCEPTED, None),
        ("AAPL", Side.BUY, OrderState.BLOCKED, "breaker"),
    ]
    assert "The account lost 5.1" in str(done.orders[1].reason)


def test_a_reduction_decides_on_the_last_session_that_closed_or_was_settled(
    invested: Ledger,
) -> None:
    now = datetime(2012, 6, 8, 15, 0, tzinfo=UTC)
    assert str(session_for(invested, now=now, is_archive=False)) == "2012-06-07"
    assert session_for(invested, now=now, is_archive=True) == NEXT
