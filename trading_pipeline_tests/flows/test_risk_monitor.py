"""The monitor: what trips it stops trading, is told once, and survives restarts."""

import logging
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_pipeline.adapters.ledger import Ledger, Run
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.pnl import Mark, Pnl
from trading_pipeline.core.execution.account import Account
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState, move
from trading_pipeline.core.risk.limits import BreakerRules, TradingState
from trading_pipeline.errors import ModelCorruptError, TransientError
from trading_pipeline.flows.halt import release, standing, stop
from trading_pipeline.flows.risk_monitor import Prices, Watched, alerts, told, watch
from trading_pipeline_tests.factories import sessions_from
from trading_pipeline_tests.fakes import NOW, SESSION, make_decision, make_entry, make_order

RULES = BreakerRules()
MINUTE = timedelta(minutes=1)
DAYS = sessions_from(SESSION, 9)


@pytest.fixture
def broker(tmp_path: Path) -> SimulatedBroker:
    return SimulatedBroker(tmp_path / "broker.db", CostModel(), Decimal(100_000))


def worth(ledger: Ledger, *navs: int) -> None:
    for session, nav in zip(DAYS, navs, strict=False):
        ledger.append_snapshot(snapshot(session, nav), run_id="r", at=NOW)


def snapshot(session: date, nav: int) -> Pnl:
    lost, zero = Decimal(nav - 100_000), Decimal(0)
    return Pnl(
        session=session,
        cash=Decimal(nav),
        cash_in=Decimal(100_000),
        nav=Decimal(nav),
        realized=lost,
        unrealized=zero,
        fees=zero,
        total=lost,
        gross=zero,
        net=zero,
    )


def look(ledger: Ledger, broker: Any, minute: int = 0, **more: Any) -> Watched:
    return watch(ledger, broker, rules=RULES, now=NOW + minute * MINUTE, **more)


def test_a_quiet_account_trips_nothing_and_writes_nothing(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    worth(ledger, 100_000, 95_100)
    found = look(ledger, broker)
    assert (found.trips, found.standing.state) == ((), TradingState.ACTIVE)
    assert ledger.runs(9) == []


def test_a_day_that_loses_too_much_stops_trading_once_and_recovers_by_the_stated_steps(
    ledger: Ledger, ledger_url: str, broker: SimulatedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    worth(ledger, 100_000, 94_900)
    ledger.record_decision(make_decision(), [make_order("IBM")])
    ledger.append_cash_entries(broker.activities())
    with caplog.at_level(logging.ERROR):
        first = look(ledger, broker)
        restarted = Ledger(ledger_url)
        second = look(restarted, broker, 1)
    assert [record.message for record in caplog.records] == ["breaker tripped"]
    assert [trip.code for trip in first.trips] == ["daily_loss"]
    assert [order.state for order in first.withdrawn.canceled] == [OrderState.CANCELED]
    assert second.trips == ()
    assert second.standing[:3] == (
        TradingState.REDUCING,
        f"The account lost 5.10% in {DAYS[1]}: the limit is 5.00%.",
        "breaker",
    )
    assert look(restarted, broker, 9_999).standing.state is TradingState.REDUCING
    release(ledger, who="ada", reason="Hedged.", now=NOW + 10_000 * MINUTE, rules=RULES)
    assert look(restarted, broker, 10_004).standing.state is TradingState.REDUCING
    assert look(restarted, broker, 10_005).standing.state is TradingState.ACTIVE
    worth(ledger, 100_000, 89_900)
    worse = look(restarted, broker, 10_006)
    assert [trip.code for trip in worse.trips] == ["daily_loss", "drawdown"]
    restarted.close()


def test_two_that_look_at_once_tell_one_trip_once(
    ledger: Ledger, ledger_url: str, broker: SimulatedBroker
) -> None:
    worth(ledger, 100_000, 94_900)
    others: list[Watched] = []

    class Interrupted(Ledger):
        """Another process looks as well, from beginning to end, when this one stops trading."""

        def append_halt(self, *words: Any, **more: Any) -> None:
            super().append_halt(*words, **more)
            if not others:
                others.append(look(ledger, broker))

    looking = Interrupted(ledger_url)
    ours = look(looking, broker)
    looking.close()
    assert [trip.code for trip in (*ours.trips, *others[0].trips)] == ["daily_loss"] * 2
    assert [alert.code for alert in alerts(ledger)] == ["daily_loss"]


def test_what_was_told_is_remembered_behind_any_number_of_other_runs(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    worth(ledger, 100_000, 94_900)
    look(ledger, broker)
    before = told(ledger)
    for _ in range(30):
        ledger.append_run(Run(run_id="r", phase="started", session=DAYS[1], at=NOW, detail={}))
    assert before
    assert told(ledger) == before
    assert len(alerts(ledger)) == 1


def test_a_halt_by_hand_is_never_weakened_and_does_not_hide_a_trip(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    worth(ledger, 100_000, 94_900)
    stop(ledger, TradingState.HALTED, who="ada", reason="Drill.", now=NOW)
    assert look(ledger, broker).trips == ()
    assert standing(ledger, now=NOW, rules=RULES).state is TradingState.HALTED
    release(ledger, who="ada", reason="Over.", now=NOW, rules=RULES)
    assert [trip.code for trip in look(ledger, broker, 9).trips] == ["daily_loss"]


def test_live_marks_count_before_the_snapshot_and_grow_stale(
    ledger: Ledger, broker: SimulatedBroker
) -> None:
    worth(ledger, 100_000)
    ledger.append_cash_entries([make_entry()])
    marks = {"AAPL": Mark(price=Decimal(1), source="quote")}
    live = Prices(marks=marks, session=NOW.date(), made_at=NOW)
    assert look(ledger, broker, 29, prices=live).trips == ()
    stale = look(ledger, broker, 30, prices=live)
    assert [trip.code for trip in stale.trips] == ["stale_data"]
    assert stale.vitals.values[-1].session == NOW.date()


class SickBroker:
    """A broker whose account is not reached `deaf` times, and then is another one."""

    def __init__(self, broker: SimulatedBroker, *, deaf: int = 0, cash: int = 0) -> None:
        self._broker, self._deaf, self._cash = broker, deaf, cash

    def account(self) -> Account:
        if self._deaf:
            self._deaf -= 1
            raise TransientError("No answer.")
        account = self._broker.account()
        return Account(cash=account.cash + self._cash, positions=account.positions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


@pytest.fixture
def begun(ledger: Ledger, broker: SimulatedBroker) -> Ledger:
    ledger.append_cash_entries(broker.activities())
    ledger.record_decision(make_decision(), [])
    return ledger


def test_a_broker_that_does_not_answer_trips_after_three_calls(
    begun: Ledger, broker: SimulatedBroker
) -> None:
    assert look(begun, SickBroker(broker, deaf=2)).trips == ()
    (trip,) = look(begun, SickBroker(broker, deaf=3)).trips
    assert (trip.code, trip.value) == ("broker_errors", 3)


def test_books_that_differ_halt(begun: Ledger, broker: SimulatedBroker) -> None:
    (trip,) = look(begun, SickBroker(broker, cash=5)).trips
    assert trip.sentence == (
        "Our book and the broker's differ: 100000 dollars of cash against 100005."
    )
    assert standing(begun, now=NOW, rules=RULES).state is TradingState.HALTED


def test_a_model_that_cannot_be_used_trips(begun: Ledger, broker: SimulatedBroker) -> None:
    def model() -> None:
        raise ModelCorruptError("The bytes are not those that were promoted.")

    (trip,) = look(begun, broker, model=model).trips
    assert trip.code == "model_failure"


def test_rejected_orders_trip_by_their_rate(ledger: Ledger, broker: SimulatedBroker) -> None:
    names = ["A", "B", "C", "D"]
    orders = [make_order(name, sequence=number) for number, name in enumerate(names)]
    ledger.append_cash_entries(broker.activities())
    ledger.record_decision(make_decision(), orders)
    for order, state in zip(orders, ["rejected", "rejected", "accepted", "accepted"], strict=True):
        sent = move(order, OrderState.SUBMITTING)
        ledger.append(at=NOW, orders=[sent, move(sent, OrderState(state), broker_order_id="b")])
    (trip,) = look(ledger, broker).trips
    assert (trip.code, trip.value) == ("reject_rate", Decimal("0.5"))
