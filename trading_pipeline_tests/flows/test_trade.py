"""The write-ahead path: decided once, sent exactly once, whatever the wire does."""

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.book import EntryKind
from trading_pipeline.core.execution.order import OrderState, Side
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.errors import DataError, SettingsError
from trading_pipeline.flows.order_updates import settle
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    STRATEGY,
    LossyBroker,
    make_entry,
    targets_of,
)
from trading_pipeline_tests.flows.one_day import (
    LATER,
    NEXT,
    VENDOR,
    run,
    settle_at_broker_only,
    states,
)


@pytest.fixture
def opened(ledger: Ledger, broker: SimulatedBroker) -> Ledger:
    """The ledger with the account's opening deposit."""
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)
    return ledger


def test_a_day_decides_and_sends_sells_first(opened: Ledger, broker: SimulatedBroker) -> None:
    traded = run(opened, broker)
    assert traded.new
    assert [(o.symbol, o.side, o.quantity, o.state) for o in traded.orders] == [
        ("IBM", Side.SELL, 100, OrderState.ACCEPTED),
        ("AAPL", Side.BUY, 200, OrderState.ACCEPTED),
        ("MSFT", Side.BUY, 655, OrderState.ACCEPTED),
    ]
    assert traded.skips == {"GOOG": "zero_weight"}
    assert (traded.decision.nav, traded.decision.capital) == (100_000, 100_000)
    assert traded.decision == opened.decision(STRATEGY, SESSION)
    for order in traded.orders:
        found = broker.find(order.client_order_id)
        assert found is not None
        assert found.broker_order_id == order.broker_order_id


def test_a_day_run_again_sends_nothing(opened: Ledger, broker: SimulatedBroker) -> None:
    first = run(opened, broker)
    lossy = LossyBroker(broker, [])
    again = run(opened, lossy, targets_of(SESSION, AAPL=1.0), run_id="run-2")
    assert (again.new, again.orders, again.skips) == (False, first.orders, first.skips)
    assert again.decision == first.decision
    assert lossy.submitted == []


def test_a_dry_run_shows_the_orders_and_writes_nothing(
    opened: Ledger, broker: SimulatedBroker, tmp_path: Path
) -> None:
    planned = run(opened, broker, dry_run=True)
    assert planned.new
    assert states(planned) == [OrderState.PLANNED] * 3
    assert opened.decision(STRATEGY, SESSION) is None
    assert opened.orders() == []
    assert not (tmp_path / "broker.db").exists()
    real = run(opened, broker)
    assert [o.client_order_id for o in real.orders] == [o.client_order_id for o in planned.orders]
    assert run(opened, broker, dry_run=True).orders == real.orders


def test_a_dry_run_knows_the_account_before_anything_was_settled(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    assert states(run(ledger, broker, dry_run=True)) == [OrderState.PLANNED] * 3
    assert ledger.entries() == []


def test_a_dry_run_counts_fills_it_only_hears_of(opened: Ledger, broker: SimulatedBroker) -> None:
    run(opened, broker)
    other_ledger_view = opened.entries()
    settle_at_broker_only(broker)
    planned = run(opened, broker, targets_of(NEXT, AAPL=0.5), session=NEXT, dry_run=True)
    assert opened.entries() == other_ledger_view
    assert [(o.symbol, o.side, o.quantity) for o in planned.orders] == [
        ("MSFT", Side.SELL, 655),
        ("IBM", Side.BUY, 100),
    ]
    assert planned.skips == {"AAPL": "on_target"}


def test_a_blocked_order_is_recorded_and_never_sent(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    lossy = LossyBroker(broker, [])
    small = RiskLimits(max_order_value=Decimal(19_990))
    traded = run(opened, lossy, limits=small)
    assert states(traded) == [OrderState.BLOCKED, OrderState.BLOCKED, OrderState.ACCEPTED]
    assert traded.orders[0].code == "order_value"
    assert len(lossy.submitted) == 1


def test_halted_trading_sends_nothing(opened: Ledger, broker: SimulatedBroker) -> None:
    opened.append_halt(TradingState.HALTED, who="ops", reason="Drill.", at=NOW)
    traded = run(opened, broker)
    assert states(traded) == [OrderState.BLOCKED] * 3
    assert {order.code for order in traded.orders} == {"trading_state"}
    assert broker.find(traded.orders[0].client_order_id) is None


def test_orders_are_the_difference_to_what_is_held_and_what_leaves_is_closed(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    run(opened, broker)
    settle(opened, broker, VENDOR, through=NEXT, now=LATER)
    targets = targets_of(NEXT, AAPL=0.5, IBM=0.5)
    traded = run(opened, broker, targets, session=NEXT)
    assert [(o.symbol, o.side, o.quantity) for o in traded.orders] == [
        ("MSFT", Side.SELL, 655),  # it left the targets
        ("IBM", Side.BUY, 100),  # crossing zero: first closed
        ("IBM", Side.BUY, 100),  # then opened
    ]
    assert traded.skips == {"AAPL": "on_target"}


def test_orders_still_open_count_as_held(opened: Ledger, broker: SimulatedBroker) -> None:
    run(opened, broker)
    again = run(opened, broker, targets_of(NEXT, AAPL=0.5, MSFT=0.5, IBM=-0.5), session=NEXT)
    assert again.orders == ()
    assert set(again.skips.values()) == {"on_target"}


def test_strategies_that_share_an_account_leave_each_other_s_positions_alone(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    run(opened, broker, shares_account=True)
    settle(opened, broker, VENDOR, through=NEXT, now=LATER)
    beside = {"session": NEXT, "shares_account": True}
    theirs = targets_of(NEXT, AAPL=0.5, MSFT=0.0).with_columns(strategy=pl.lit("other"))
    other = run(opened, broker, theirs, strategy="other", **beside)
    assert [(o.symbol, o.side, o.quantity) for o in other.orders] == [("AAPL", Side.BUY, 200)]
    own = run(opened, broker, targets_of(NEXT, AAPL=0.5, IBM=-0.5), **beside)
    assert [(o.symbol, o.side, o.quantity) for o in own.orders] == [("MSFT", Side.SELL, 655)]


def test_a_strategy_that_is_alone_takes_over_the_account_and_trades_by_hand(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    run(opened, broker)
    settle(opened, broker, VENDOR, through=NEXT, now=LATER)
    sold = {"symbol": "MSFT", "quantity": Decimal(-655), "price": Decimal("30.5")}
    by_hand = make_entry("by-hand", "19977", kind=EntryKind.TRADE, session=NEXT, **sold)
    opened.append(at=LATER, entries=[by_hand])
    targets = targets_of(NEXT, AAPL=0.5).with_columns(strategy=pl.lit("new"))
    traded = run(opened, broker, targets, session=NEXT, strategy="new")
    assert [(o.symbol, o.side, o.quantity) for o in traded.orders] == [("IBM", Side.BUY, 100)]


def test_a_session_before_the_last_decision_is_refused(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    run(opened, broker, targets_of(NEXT, AAPL=0.5), session=NEXT)
    with pytest.raises(SettingsError, match="2012-06-04 already"):
        run(opened, broker)
    assert opened.decision(STRATEGY, SESSION) is None


def test_a_session_whose_open_was_settled_is_refused(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    run(opened, broker)
    third = next_session(NEXT)
    settle(opened, broker, VENDOR, through=third, now=LATER)
    with pytest.raises(SettingsError, match="settled already"):
        run(opened, broker, targets_of(NEXT, AAPL=0.5), session=NEXT)
    assert run(opened, broker, targets_of(third, AAPL=0.5), session=third).new


def test_targets_of_another_session_decide_nothing(opened: Ledger, broker: SimulatedBroker) -> None:
    for targets in (targets_of(NEXT, AAPL=0.5), targets_of(SESSION)):
        with pytest.raises(DataError):
            run(opened, broker, targets)
    assert opened.decision(STRATEGY, SESSION) is None


def test_no_decision_reads_a_row_later_than_its_session(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    late = make_entry("late", amount="900000", session=NEXT, kind=EntryKind.DEPOSIT)
    opened.append_cash_entries([late])
    assert run(opened, broker).decision.nav == 100_000
