"""A second attempt has an id of its own, once the first has ended, and is sent once."""

from dataclasses import replace

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.execution.order import OrderState, Side, client_order_id, move, record
from trading_pipeline.core.execution.revision import revise
from trading_pipeline.errors import IllegalTransitionError, SettingsError, TradingError
from trading_pipeline.flows.order_updates import settle
from trading_pipeline.flows.resend import resend
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    STRATEGY,
    accepted,
    make_decision,
    make_fill,
    make_order,
)
from trading_pipeline_tests.flows.one_day import VENDOR, run, states

DATABASES = ["sqlite"]
"""The flow asks the ledger, whose own tests ask both databases."""


@pytest.fixture
def opened(ledger: Ledger, broker: SimulatedBroker) -> None:
    """The ledger with the account's opening deposit."""
    settle(ledger, broker, VENDOR, through=SESSION, now=NOW)


def refused(ledger: Ledger, broker: SimulatedBroker) -> str:
    """The id of the day's first order, which the broker has rejected after taking it."""
    first = run(ledger, broker).orders[0]
    ledger.append_event(move(first, OrderState.REJECTED, reason="Not today."), at=NOW)
    return first.client_order_id


@pytest.mark.usefixtures("opened")
def test_a_refused_order_is_sent_anew_under_another_id(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    name = refused(ledger, broker)
    again = resend(ledger, name, now=NOW)
    assert again.client_order_id != name
    assert again.state is OrderState.PLANNED
    assert states(run(ledger, broker))[-1] is OrderState.ACCEPTED
    assert broker.find(again.client_order_id) is not None
    assert states(run(ledger, broker)).count(OrderState.ACCEPTED) == 3


@pytest.mark.usefixtures("opened")
def test_it_is_planned_once(ledger: Ledger, broker: SimulatedBroker) -> None:
    again = resend(ledger, refused(ledger, broker), now=NOW)
    with pytest.raises(IllegalTransitionError, match="only what has ended"):
        resend(ledger, again.client_order_id, now=NOW)
    with pytest.raises(TradingError):
        ledger.append_revision(again, at=NOW)


@pytest.mark.usefixtures("opened")
def test_an_order_that_may_still_fill_is_not_revised(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    first = run(ledger, broker).orders[0]
    with pytest.raises(IllegalTransitionError):
        resend(ledger, first.client_order_id, now=NOW)


def test_an_id_that_is_not_in_the_ledger_is_named(ledger: Ledger) -> None:
    ledger.record_decision(make_decision(), [make_order()])
    with pytest.raises(SettingsError, match="tp-never"):
        resend(ledger, "tp-never", now=NOW)


def test_only_what_is_left_is_sent_anew() -> None:
    order = accepted(make_order())[-1]
    part = record(order, make_fill(order, 4))
    again = revise(move(part, OrderState.CANCELED), taken={order.client_order_id}, sequence=2)
    assert (again.quantity, again.filled_quantity, again.sequence) == (6, 0, 2)


@pytest.mark.parametrize("leg", [1, 2])
def test_the_revision_is_the_next_of_its_own_leg(leg: int) -> None:
    words = {"symbol": "AAPL", "side": Side.BUY, "leg": leg}
    names = [client_order_id(STRATEGY, SESSION, **words, revision=number) for number in range(4)]
    ended = replace(make_order(client_order_id=names[0]), state=OrderState.EXPIRED)
    assert revise(ended, taken=names[:1], sequence=9).client_order_id == names[1]
    assert revise(ended, taken=names[:3], sequence=9).client_order_id == names[3]
    second = replace(ended, client_order_id=names[1])
    assert revise(second, taken=names[:2], sequence=9).client_order_id == names[2]


def test_an_id_of_another_making_has_no_revision() -> None:
    stranger = replace(make_order(client_order_id="manual-1"), state=OrderState.EXPIRED)
    with pytest.raises(IllegalTransitionError, match="does not follow"):
        revise(stranger, taken={"manual-1"}, sequence=2)
