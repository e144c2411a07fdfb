"""Whatever happens to orders, and however it is told, the record keeps its promises."""

import shutil
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_pipeline.adapters.alpaca_broker import AlpacaBroker, update_of
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.execution.order import TERMINAL, Order, OrderState, Side, move
from trading_pipeline.flows.reconcile import ASKED, reconcile
from trading_pipeline.flows.send import resolve, send
from trading_pipeline.flows.trade_updates import book, look
from trading_pipeline_tests.alpaca_twin import AlpacaTwin, Fault
from trading_pipeline_tests.alpaca_twin.brokers import broker_of
from trading_pipeline_tests.alpaca_twin.checks import RefusedError
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    STRATEGY,
    make_decision,
    make_entry,
    make_mandate,
    make_order,
)
from trading_pipeline_tests.flows.updates import OPENED

SYMBOLS = ("AAPL", "IBM", "MSFT")
CENT = Decimal("0.01")

Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "submit",
                "lose",
                "fill",
                "fill",
                "cancel",
                "reject",
                "expire",
                "odd",
                "tell",
                "tell",
                "look",
                "resolve",
            ]
        ),
        st.integers(0, 50),
        st.integers(1, 9),
    ),
    max_size=40,
)


class World:
    """Three orders, the twin they go to, and the ledger that hears of them."""

    def __init__(self, ledger: Ledger, twin: AlpacaTwin) -> None:
        self.ledger, self.twin, self.exchange = ledger, twin, twin.exchange
        self.broker: AlpacaBroker = broker_of(twin)
        self.exchange.fills = "held"
        self.exchange.move_to(OPENED)
        sides = (Side.BUY, Side.SELL, Side.BUY)
        self.orders = [
            make_order(symbol, side, sequence=number, quantity=Decimal(10 * number))
            for number, (symbol, side) in enumerate(zip(SYMBOLS, sides, strict=True), start=1)
        ]
        cash = self.broker.activities()
        ledger.append_cash_entries(cash or [make_entry()])
        ledger.record_decision(make_decision(), self.orders)
        self.seen = self.states()

    def states(self) -> dict[str, Order]:
        return {order.client_order_id: order for order in self.ledger.orders()}

    def do(self, step: Step) -> None:
        what, which, size = step
        work: Callable[[str, int], None] = getattr(self, what)
        try:
            work(self.orders[which % 3].client_order_id, size if what == "fill" else which)
        except (KeyError, RefusedError):
            return  # there is no such order, or it is over

    def submit(self, name: str, _: int) -> None:
        order = self.states()[name]
        if order.state is OrderState.PLANNED:
            submitting = move(order, OrderState.SUBMITTING)
            self.ledger.append_event(submitting, at=NOW)
            send(self.ledger, self.broker, submitting, now=OPENED)

    def lose(self, name: str, which: int) -> None:
        self.twin.faults.add(Fault("drop", booked=bool(which % 2)))
        self.submit(name, which)
        self.twin.faults.clear()

    def fill(self, name: str, size: int) -> None:
        order = self.exchange.orders[name]
        left = Decimal(order["qty"]) - Decimal(order["filled_qty"])
        if left and order["status"] != "rejected":
            got = min(left, Decimal(size))
            self.exchange.fill(name, got, 100 + Decimal(size) / 7 // CENT * CENT)

    def cancel(self, name: str, _: int) -> None:
        self.exchange.cancel(self.exchange.orders[name]["id"])

    def reject(self, name: str, _: int) -> None:
        if self.exchange.orders[name]["status"] in {"new", "accepted", "partially_filled"}:
            self.exchange.end(name, "rejected")

    def expire(self, name: str, _: int) -> None:
        if self.exchange.orders[name]["status"] in {"new", "accepted", "partially_filled"}:
            self.exchange.end(name, "expired")

    def odd(self, name: str, _: int) -> None:
        if self.exchange.orders[name]["status"] in {"new", "accepted"}:
            self.exchange.end(name, "new")
            self.exchange.updates[-1]["order"]["status"] = "pondering"

    def tell(self, _: str, which: int) -> None:
        if self.exchange.updates:  # any of the past: early, late, again, or never
            update = self.exchange.updates[which % len(self.exchange.updates)]
            book(self.ledger, update_of(update), now=OPENED)

    def look(self, _: str, __: int) -> None:
        look(self.ledger, self.broker, now=OPENED)

    def resolve(self, _: str, __: int) -> None:
        rules = make_mandate().limits.breaker
        resolve(self.ledger, self.broker, (STRATEGY, SESSION), rules=rules, now=OPENED)

    def require_promises(self) -> None:
        """Filled shares never fall, what is over stays over but for late fills."""
        now = self.states()
        for name, before in self.seen.items():
            after = now[name]
            assert after.filled_quantity >= before.filled_quantity
            if before.state in TERMINAL and after.state is not before.state:
                assert after.state is OrderState.FILLED
                assert after.filled_quantity > before.filled_quantity
        self.seen = now

    def require_agreement(self) -> None:
        """After reconciliation the book is the account, to the cent."""
        self.resolve("", 0)
        look(self.ledger, self.broker, now=OPENED)
        reconcile(self.ledger, self.broker, cause=ASKED, now=OPENED)
        self.require_promises()
        account, held = self.broker.account(), replay(Book(), self.ledger.entries())
        assert abs(held.cash - account.cash) < CENT
        ours = {p.symbol: p.quantity for p in held.positions.values() if p.quantity}
        assert ours == account.positions
        assert len(self.exchange.orders) <= len(self.orders)


@pytest.fixture
def world_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Sequence[Step]], None]:
    """Runs steps in a world of their own."""
    template: Path = request.getfixturevalue("_sqlite_ledger")

    def run(steps: Sequence[Step]) -> None:
        for old in tmp_path.glob("ledger.db*"):
            old.unlink()
        path = tmp_path / "ledger.db"
        shutil.copyfile(template, path)
        ledger = Ledger(f"sqlite:///{path}")
        try:
            with AlpacaTwin(now=NOW) as twin:
                world = World(ledger, twin)
                for step in steps:
                    world.do(step)
                    world.require_promises()
                world.require_agreement()
        finally:
            ledger.close()

    return run


_QUIET: Any = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@settings(max_examples=12, **_QUIET)
@given(steps=STEPS)
def test_the_record_keeps_its_promises(
    world_of: Callable[[Sequence[Step]], None], steps: list[Step]
) -> None:
    world_of(steps)


@pytest.mark.soak
@settings(max_examples=400, **_QUIET)
@given(steps=STEPS)
def test_the_record_keeps_its_promises_in_many_worlds(
    world_of: Callable[[Sequence[Step]], None], steps: list[Step]
) -> None:
    world_of(steps)
