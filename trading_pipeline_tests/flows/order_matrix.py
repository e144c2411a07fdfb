"""One order through a failing wire by a process that is killed: every fault at every point.

A case runs a day's trade in a process that may be killed, then again with other targets, as a run
of the next hour would have them. Whatever happened, there must be one order, and one row that
acknowledges it.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trading_pipeline.adapters.alpaca_broker import AlpacaBroker
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.ledger.engine import LedgerEngine
from trading_pipeline.core.execution.account import BrokerOrder
from trading_pipeline.core.execution.order import Order, OrderState
from trading_pipeline.errors import RejectedError, TradingPipelineError
from trading_pipeline.flows.trade import trade
from trading_pipeline_tests.alpaca_twin import AlpacaTwin, Fault
from trading_pipeline_tests.alpaca_twin.brokers import ANSWER_SECONDS, HASTY_SECONDS, access_of
from trading_pipeline_tests.alpaca_twin.limits import RateLimit
from trading_pipeline_tests.fakes import (
    NOW,
    SESSION,
    make_entry,
    make_mandate,
    run_and_wait,
    targets_of,
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of the order's request, and for how many look-ups a booked order stays hidden.

    `patience` is that with the order's own answer; an answer that is given up on too early costs
    no more than a look-up.
    """

    fault: Fault | None
    hidden: int = 0
    deaf: int = 0
    patience: float = ANSWER_SECONDS


FAULTS: Mapping[str, Trouble] = {
    "none": Trouble(None),
    "dropped before": Trouble(Fault("drop")),
    "dropped after": Trouble(Fault("drop", booked=True)),
    "hangs before": Trouble(Fault("hang"), patience=HASTY_SECONDS),
    "hangs after": Trouble(Fault("hang", booked=True), patience=HASTY_SECONDS),
    "truncated": Trouble(Fault("truncate", booked=True)),
    "not JSON": Trouble(Fault("garbage", booked=True)),
    "500 before": Trouble(Fault(500)),
    "500 after": Trouble(Fault(500, booked=True)),
    "502 of a gateway after": Trouble(Fault(502, booked=True, html=True)),
    "503 before": Trouble(Fault(503, html=True)),
    "504 before": Trouble(Fault(504)),
    "504 after": Trouble(Fault(504, booked=True)),
    "408 after": Trouble(Fault(408, booked=True)),
    "429": Trouble(Fault(429)),
    "dropped after, seen late": Trouble(Fault("drop", booked=True), hidden=2),
    "504 after, seen late": Trouble(Fault(504, booked=True), hidden=2),
    "dropped after, look-up fails": Trouble(Fault("drop", booked=True), deaf=2),
}

CRASHES: Mapping[str, int | None] = {
    "no crash": None,
    "inside the decision": 0,
    "after the decision": 1,
    "before the wire": 3,
    "after the wire": 4,
    "inside the answer": 5,
    "after the answer": 6,
}
"""The step at which the process is killed by signal 9."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the days of a case have in common."""

    ledger: Path
    url: str
    variant: str
    patience: float


class Steps:
    """Counts what may not be lost, and kills the process at one of them."""

    def __init__(self, fatal: int | None) -> None:
        self._fatal, self._count = fatal, 0

    def __call__(self) -> None:
        if self._count == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1


class SteppingEngine(LedgerEngine):
    """A step inside each writing transaction and one after it."""

    step: Steps

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with super().writing() as connection:
            yield connection
            self.step()
        self.step()


class SteppingBroker(AlpacaBroker):
    """A step between the wire and the record of its answer, for which `sender` waits."""

    step: Steps
    sender: AlpacaBroker

    def submit(self, order: Order) -> BrokerOrder:
        try:
            return self.sender.submit(order)
        finally:
            self.step()


class RejectsDuplicates(SteppingBroker):
    """The mistake of taking "client_order_id must be unique" for a refusal."""

    def submit(self, order: Order) -> BrokerOrder:
        try:
            return super().submit(order)
        except RejectedError as error:
            return BrokerOrder(
                client_order_id=order.client_order_id,
                broker_order_id="",
                state=OrderState.REJECTED,
                reason=str(error),
            )


class IdsFromTheClock(SteppingBroker):
    """The mistake of an id that is new with each attempt."""

    sent: dict[str, str]

    def submit(self, order: Order) -> BrokerOrder:
        self.sent[order.client_order_id] = f"tp-{time.time_ns()}"
        told = super().submit(replace(order, client_order_id=self.sent[order.client_order_id]))
        return replace(told, client_order_id=order.client_order_id)

    def find_all(self, client_order_ids: Sequence[str]) -> dict[str, BrokerOrder]:
        found = {name: self.find(self.sent.get(name, name)) for name in client_order_ids}
        return {name: order for name, order in found.items() if order is not None}


BROKERS = {
    "sound": SteppingBroker,
    "no write-ahead": SteppingBroker,
    "duplicate as rejection": RejectsDuplicates,
    "id from the clock": IdsFromTheClock,
}
MUTANTS = [name for name in BROKERS if name != "sound"]


def outcome(folder: Path, template: Path, fault: str, crash: str, variant: str = "sound") -> str:
    """What a case came to: "" when there is one order and one acknowledged row, else what not."""
    ledger = folder / "ledger.db"
    for old in folder.glob("ledger.*"):
        old.unlink()
    shutil.copyfile(template, ledger)
    opened = Ledger(f"sqlite:///{ledger}")
    opened.append_cash_entries([make_entry()])
    opened.close()
    trouble, fatal = FAULTS[fault], CRASHES[crash]
    with AlpacaTwin(now=NOW, limit=RateLimit(seconds=1)) as twin:
        twin.exchange.hidden_lookups = trouble.hidden
        if trouble.fault is not None:
            twin.faults.add(trouble.fault)
        for _ in range(3 * trouble.deaf):  # each look-up is tried three times
            twin.faults.add(Fault(500, where="GET /v2/orders"))
        run = Run(ledger, twin.url, variant, trouble.patience)
        try:
            if fatal is None:
                day(run, "0.1")
            else:
                ended = run_and_wait(day, run, "0.1", fatal)
                assert ended == -signal.SIGKILL, f"the process ended with {ended}"
            day(run, "0.12")
        except TradingPipelineError as error:
            return f"{type(error).__name__}: {error}"
        return _judge(ledger, twin)


def day(run: Run, weight: str, fatal: int | None = None) -> None:
    """Trade the session with AAPL at `weight`, until the fatal step."""
    path = run.ledger
    if run.variant == "no write-ahead":  # the record is kept only when all is done
        path = run.ledger.with_suffix(".work")
        for old in run.ledger.parent.glob("ledger.work*"):
            old.unlink()
        shutil.copyfile(run.ledger, path)
    record, step = Ledger(f"sqlite:///{path}"), Steps(fatal)
    record._engine = SteppingEngine(f"sqlite:///{path}")
    record._engine.step = step
    broker = BROKERS[run.variant](access_of(run.url), clock=_then, sleep=_briefly)
    hasty = access_of(run.url, answer_seconds=run.patience)
    broker.sender, broker.step = AlpacaBroker(hasty, clock=_then, sleep=_briefly), step
    broker.sent = {}  # type: ignore[attr-defined]
    trade(
        record,
        broker,
        targets_of(SESSION, AAPL=float(weight)),
        {"AAPL": Decimal(100)},
        mandate=make_mandate(),
        now=NOW,
    )
    record.close()
    if path != run.ledger:
        path.replace(run.ledger)


def _judge(path: Path, twin: AlpacaTwin) -> str:
    record = Ledger(f"sqlite:///{path}")
    rows: list[Any] = record.orders()
    record.close()
    booked = list(twin.exchange.orders.values())
    if len(booked) != 1 or len(rows) != 1:
        return f"{len(booked)} orders and {len(rows)} rows"
    (order,), (row,) = booked, rows
    ours = (row.state, row.broker_order_id, row.quantity)
    theirs = (OrderState.ACCEPTED, order["id"], Decimal(order["qty"]))
    return "" if ours == theirs else f"{ours} against {theirs}"


def _then() -> Any:
    return NOW


def _briefly(seconds: float) -> None:
    time.sleep(min(seconds, 0.01))
