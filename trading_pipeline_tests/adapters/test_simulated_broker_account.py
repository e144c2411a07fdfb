"""The simulated account under any market, killed at any moment, and shared by processes."""

import os
import signal
import time
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.execution.account import Account, MarketSession
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import Order, Side
from trading_pipeline.core.market.calendar import next_session, sessions_between
from trading_pipeline_tests.fakes import SESSION, make_order, run_at_once
from trading_pipeline_tests.forks import FORKS

NEXT = next_session(SESSION)
CASH = Decimal(100_000)
FREE = CostModel(
    slippage_bps=Decimal(0), commission_per_share=Decimal(0), minimum_commission=Decimal(0)
)


def market(session: date = NEXT, price: str | None = "100", **changes: object) -> MarketSession:
    prices = {} if price is None else {"AAPL": Decimal(price)}
    return replace(
        MarketSession(session=session, opens=prices, closes=prices, splits={}, dividends={}),
        **changes,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "account" / "simulated_broker.db"


# Whatever the orders and the market, the account is the fold of what the broker tells.

shares = st.integers(1, 2_000).map(Decimal)
prices = st.integers(1, 50_000_000).map(lambda ticks: Decimal(ticks) / 10_000)
splits = st.sampled_from(["2", "4", "0.5", "0.1", "1.5", "0.05"]).map(Decimal)
days = st.lists(
    st.fixed_dictionaries(
        {
            "orders": st.lists(
                st.tuples(st.sampled_from(["AAPL", "IBM"]), st.sampled_from(Side), shares),
                max_size=3,
            ),
            "opens": st.dictionaries(st.sampled_from(["AAPL", "IBM"]), prices),
            "splits": st.dictionaries(st.sampled_from(["AAPL", "IBM"]), splits, max_size=1),
            "dividends": st.dictionaries(st.sampled_from(["AAPL", "IBM"]), prices, max_size=1),
        }
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days)
def test_the_account_is_the_fold_of_its_fills_and_activities(
    tmp_path: Path, days: list[dict[str, object]]
) -> None:
    broker = SimulatedBroker(tmp_path / f"{time.monotonic_ns()}.db", CostModel(), CASH)
    sent: list[Order] = []
    session = SESSION
    for day in days:
        for sequence, (symbol, side, quantity) in enumerate(day["orders"]):
            name = f"{session}-{sequence}"
            order = make_order(
                symbol, side, session=session, quantity=quantity, client_order_id=name
            )
            broker.submit(order)
            sent.append(order)
        session = next_session(session)
        facts = {name: value for name, value in day.items() if name != "orders"}
        broker.advance(MarketSession(session=session, closes=day["opens"], **facts))
        told = [*broker.activities(), *broker.fills([order.client_order_id for order in sent])]
        book = replay(Book(), told)
        held = {symbol: p.quantity for symbol, p in book.positions.items() if p.quantity}
        assert broker.account() == Account(cash=book.cash, positions=held)
    broker.close()


def live(path: Path) -> None:
    """Trade until killed: the shares bought each day are sold the next."""
    broker = SimulatedBroker(path, CostModel(), CASH)
    for day, session in enumerate(sessions_between(SESSION, date(2020, 1, 1))):
        side = Side.SELL if day % 2 else Side.BUY
        order = make_order(side=side, session=session)
        if not broker.find(order.client_order_id):
            broker.submit(order)
        broker.advance(market(next_session(session), dividends={"AAPL": Decimal("0.1")}))


def test_an_account_survives_a_kill_at_any_moment(path: Path) -> None:
    sessions = sessions_between(SESSION, date(2020, 1, 1))
    names = [
        make_order(side=side, session=day).client_order_id for day in sessions for side in Side
    ]
    for moment in range(5):
        process = FORKS.Process(target=live, args=(path,), daemon=True)
        seen = len(SimulatedBroker(path, CostModel(), CASH).activities())
        process.start()
        while len(SimulatedBroker(path, CostModel(), CASH).activities()) < seen + 3:
            time.sleep(0.001 * moment)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        broker = SimulatedBroker(path, CostModel(), CASH)
        book = replay(Book(), [*broker.activities(), *broker.fills(names)])
        held = {symbol: p.quantity for symbol, p in book.positions.items() if p.quantity}
        assert broker.account() == Account(cash=book.cash, positions=held)
        broker.close()


def submit(path: str, number: int) -> str:
    return SimulatedBroker(Path(path), FREE, CASH).submit(make_order()).state


def test_of_two_processes_one_gets_its_order_in(path: Path) -> None:
    assert run_at_once(submit, str(path), 3) == ["RejectedError", "RejectedError", "accepted"]
    assert len(SimulatedBroker(path, FREE, CASH).activities()) == 1
