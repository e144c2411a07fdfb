"""Each order reaches the broker exactly once, whatever the wire, halts and other processes do."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.market.calendar import session_close
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import AdapterError
from trading_pipeline.flows.order_updates import settle
from trading_pipeline.flows.send import ROUNDS
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    LossyBroker,
    on_sqlite,
    run_at_once,
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


def test_a_halt_between_deciding_and_sending_counts(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    plan_only(opened, broker)
    opened.append_halt(TradingState.HALTED, who="ops", reason="Drill.", at=NOW)
    traded = run(opened, broker)
    assert states(traded) == [OrderState.BLOCKED] * 3
    assert broker.find(traded.orders[0].client_order_id) is None
    opened.append_halt(TradingState.ACTIVE, who="ops", reason="Over.", at=NOW)
    assert states(run(opened, broker)) == [OrderState.BLOCKED] * 3


def plan_only(ledger: Ledger, broker: SimulatedBroker) -> None:
    """Leave the ledger as a process that died right after deciding does."""
    planned = run(ledger, broker, dry_run=True)
    assert ledger.record_decision(planned.decision, planned.orders, planned.skips)


class Bystander(LossyBroker):
    """A broker at whose first order somebody else changes what trading may do."""

    def __init__(self, broker: SimulatedBroker, url: str, state: TradingState) -> None:
        super().__init__(broker, [])
        self._url, self._state = url, state

    def submit(self, order: Any) -> Any:
        if not self.submitted:
            other = Ledger(self._url)
            other.append_halt(self._state, who="ops", reason="Stop.", at=NOW)
            other.close()
        return super().submit(order)


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_a_stop_while_a_basket_is_sent_counts_for_the_next_order(
    opened: Ledger, ledger_url: str, broker: SimulatedBroker, state: TradingState
) -> None:
    traded = run(opened, Bystander(broker, ledger_url, state))
    assert states(traded) == [OrderState.ACCEPTED, OrderState.BLOCKED, OrderState.BLOCKED]
    assert {order.code for order in traded.orders[1:]} == {"trading_state"}


def test_a_lost_order_is_not_sent_again_while_trading_is_halted(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    lossy = LossyBroker(broker, ["ok", "request", "ok", *["request"] * ROUNDS])
    assert states(run(opened, lossy))[1] is OrderState.UNKNOWN
    opened.append_halt(TradingState.HALTED, who="ops", reason="Drill.", at=NOW)
    traded = run(opened, broker)
    assert states(traded)[1] is OrderState.UNKNOWN
    assert broker.find(traded.orders[1].client_order_id) is None


@on_sqlite
@pytest.mark.parametrize(
    "faults",
    [
        ["request"],
        ["answer"],
        ["ok", "answer", "request"],
        ["request", "request", "request", "answer"],
        ["answer", "answer", "answer"],
        ["look-up", "look-up"],
        ["request", "ok", "look-up"],
    ],
)
def test_a_lost_answer_ends_in_exactly_one_order(
    opened: Ledger, broker: SimulatedBroker, faults: list[str]
) -> None:
    lossy = LossyBroker(broker, faults)
    for _ in range(3):
        traded = run(opened, lossy)
    assert states(traded) == [OrderState.ACCEPTED] * 3
    assert sorted(lossy.submitted) == sorted(order.client_order_id for order in traded.orders)
    settle(opened, broker, VENDOR, through=NEXT, now=LATER)
    assert broker.account().positions == {"AAPL": 200, "IBM": -100, "MSFT": 655}


def test_a_wire_that_is_down_leaves_orders_unknown(opened: Ledger, broker: SimulatedBroker) -> None:
    traded = run(opened, LossyBroker(broker, ["request"] * 99))
    assert states(traded) == [OrderState.UNKNOWN] * 3
    assert states(run(opened, broker)) == [OrderState.ACCEPTED] * 3


def test_an_order_the_broker_refuses_is_rejected_with_its_reason(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    settle_at_broker_only(broker)  # its clock is ahead: the open has passed
    traded = run(opened, broker)
    assert states(traded) == [OrderState.REJECTED] * 3
    assert "has passed" in str(traded.orders[0].reason)
    assert states(run(opened, broker)) == [OrderState.REJECTED] * 3


class BrokenBroker(LossyBroker):
    """Fails in a way that no retry mends, at its second order."""

    def submit(self, order: Any) -> Any:
        if self.submitted:
            raise AdapterError("The broker speaks another version.")
        return super().submit(order)


def test_a_failure_of_the_broker_is_raised_and_made_good_later(
    opened: Ledger, broker: SimulatedBroker
) -> None:
    with pytest.raises(AdapterError):
        run(opened, BrokenBroker(broker, []))
    assert [order.state for order in opened.orders()] == [
        OrderState.ACCEPTED,
        OrderState.SUBMITTING,
        OrderState.PLANNED,
    ]
    assert states(run(opened, broker)) == [OrderState.ACCEPTED] * 3


def trade_in_process(places: str, number: int) -> str:
    url, path = places.split(" ")
    broker = SimulatedBroker(Path(path), CostModel(), Decimal(100_000))
    return str(run(Ledger(url), broker, run_id=str(number)).orders != ())


def test_two_processes_trading_at_once_send_each_order_once(
    opened: Ledger, ledger_url: str, broker: SimulatedBroker, tmp_path: Path
) -> None:
    answers = run_at_once(trade_in_process, f"{ledger_url} {tmp_path / 'broker.db'}")
    assert set(answers) <= {"True", "IllegalTransitionError"}
    assert "True" in answers
    assert states(run(opened, broker)) == [OrderState.ACCEPTED] * 3
    settle(opened, broker, VENDOR, through=NEXT, now=session_close(NEXT))
    assert broker.account().positions == {"AAPL": 200, "IBM": -100, "MSFT": 655}
