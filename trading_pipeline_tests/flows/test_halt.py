"""Stopping, releasing, and taking orders back."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.execution.account import BrokerOrder
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState, Side
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.errors import TransientError
from trading_pipeline.flows.halt import release, standing, stop, withdraw
from trading_pipeline_tests.fakes import (
    NOW,
    filled,
    make_decision,
    make_entry,
    make_fill,
    make_order,
)

RULES = BreakerRules()
MINUTES = timedelta(minutes=1)


class CancelingBroker:
    """A broker that takes back every order it has, and may not answer the first `deaf` times."""

    def __init__(self, broker: SimulatedBroker, *, deaf: int = 0) -> None:
        self._broker, self._deaf, self._canceled = broker, deaf, set[str]()

    def cancel(self, client_order_id: str) -> None:
        if self._deaf:
            self._deaf -= 1
            raise TransientError("The broker does not answer.")
        self._canceled.add(client_order_id)

    def find(self, client_order_id: str) -> BrokerOrder | None:
        found = self._broker.find(client_order_id)
        if found and client_order_id in self._canceled:
            return replace(found, state=OrderState.CANCELED, reason="taken back")
        return found

    def find_all(self, client_order_ids: Sequence[str]) -> dict[str, BrokerOrder]:
        found = {name: self.find(name) for name in client_order_ids}
        return {name: order for name, order in found.items() if order is not None}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


@pytest.fixture
def broker(tmp_path: Path) -> SimulatedBroker:
    return SimulatedBroker(tmp_path / "broker.db", CostModel(), Decimal(100_000))


def hold_ten_apples(ledger: Ledger) -> None:
    """A filled purchase, and two more orders: a sale at the broker and a purchase not sent."""
    bought = make_order("AAPL", sequence=1)
    sale = make_order("AAPL", Side.SELL, sequence=2, quantity=Decimal(4))
    more = make_order("IBM", sequence=3)
    ledger.append_cash_entries([make_entry()])
    ledger.record_decision(make_decision(), [bought, sale, more])
    fill = make_fill(bought)
    ledger.append(at=NOW, orders=filled(bought, fill), fills=[fill])


def test_a_stop_counts_at_once_and_a_release_after_the_quiet_period(ledger: Ledger) -> None:
    assert standing(ledger, now=NOW, rules=RULES).state is TradingState.ACTIVE
    stop(ledger, TradingState.HALTED, who="ada", reason="odd fills.", now=NOW)
    assert standing(ledger, now=NOW + 999 * MINUTES, rules=RULES)[:3] == (
        TradingState.HALTED,
        "odd fills.",
        "ada",
    )
    released = release(ledger, who="bob", reason="all well.", now=NOW + 10 * MINUTES, rules=RULES)
    assert released.state is TradingState.REDUCING
    assert "Released by bob, quiet until 2012-06-04 12:15:00 UTC" in released.reason
    again = release(ledger, who="bob", reason="now!", now=NOW + 14 * MINUTES, rules=RULES)
    assert again == released
    assert standing(ledger, now=NOW + 15 * MINUTES, rules=RULES).state is TradingState.ACTIVE


def test_a_ledger_that_cannot_be_read_is_halted(tmp_path: Path) -> None:
    gone = Ledger(f"sqlite:///{tmp_path / 'none.db'}")
    assert standing(gone, now=NOW, rules=RULES).state is TradingState.HALTED


def test_orders_not_sent_are_taken_back_unless_they_only_reduce(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    hold_ten_apples(ledger)
    done = withdraw(ledger, broker, now=NOW, reason="Drill.")
    assert [(o.symbol, o.state, o.code) for o in done.canceled] == [
        ("IBM", OrderState.CANCELED, "withdrawn")
    ]
    assert done.standing == ()
    assert withdraw(ledger, broker, now=NOW, reason="Drill.").canceled == ()
    everything = withdraw(ledger, broker, now=NOW, reason="Drill.", everything=True)
    assert [(o.symbol, o.side) for o in everything.canceled] == [("AAPL", Side.SELL)]


def send(ledger: Ledger, broker: SimulatedBroker) -> None:
    order = make_order("IBM")
    ledger.record_decision(make_decision(), [order])
    sent = replace(order, state=OrderState.SUBMITTING)
    found = broker.submit(sent)
    at = {"broker_order_id": found.broker_order_id}
    ledger.append(at=NOW, orders=[sent, replace(sent, state=OrderState.ACCEPTED, **at)])


def test_an_order_at_the_broker_is_asked_back(ledger: Ledger, broker: SimulatedBroker) -> None:
    send(ledger, broker)
    done = withdraw(ledger, CancelingBroker(broker), now=NOW, reason="Drill.")
    assert (len(done.canceled), done.standing) == (1, ())
    assert [order.state for order in ledger.orders()] == [OrderState.CANCELED]


def test_an_order_the_broker_does_not_answer_about_stands_and_is_asked_back_again(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    send(ledger, broker)
    deaf = CancelingBroker(broker, deaf=1)
    first = withdraw(ledger, deaf, now=NOW, reason="Drill.")
    assert (first.canceled, len(first.standing)) == ((), 1)
    assert len(withdraw(ledger, deaf, now=NOW, reason="Drill.").canceled) == 1
