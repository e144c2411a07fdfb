"""Two trading days in a process that can be killed at every step, and what they leave behind."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trading_pipeline.adapters.ledger import Ledger, tables
from trading_pipeline.adapters.ledger.engine import LedgerEngine
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.market.calendar import next_session, session_close
from trading_pipeline.flows.mark import value
from trading_pipeline.flows.order_updates import settle
from trading_pipeline.flows.trade import trade
from trading_pipeline_tests.factories import actions_of, bars_of, dividend, split
from trading_pipeline_tests.fakes import SESSION, FrameVendor, make_mandate, targets_of

SECOND = next_session(SESSION)
THIRD = next_session(SECOND)


def market() -> FrameVendor:
    """Three sessions, with a split and a dividend on the third.

    Made anew by each process: frames made at import would start threads, and a process forked from
    one with threads hangs.
    """
    closes = {"AAPL": [100.0, 101.25, 51.0], "IBM": [200.0, 195.5, 197.0]}
    actions = actions_of(split("AAPL", THIRD, 2.0), dividend("IBM", THIRD, 0.85))
    return FrameVendor(bars_of(closes, first=SESSION), actions)


def live(ledger: Ledger, broker: SimulatedBroker) -> None:
    """Two whole days: settle, trade, settle the next session, value it."""
    vendor = market()
    days = [
        (SESSION, targets_of(SESSION, AAPL=0.5, IBM=-0.5)),
        (SECOND, targets_of(SECOND, AAPL=-0.5)),
    ]
    for session, targets in days:
        after = next_session(session)
        now = session_close(after) + timedelta(minutes=5)
        bars = vendor.bars(["AAPL", "IBM"], session, after)
        closes = {(row[0], row[1]): Decimal(repr(row[2])) for row in bars[:, [1, 0, 5]].rows()}
        marks = {symbol: price for (day, symbol), price in closes.items() if day == session}
        settle(ledger, broker, vendor, through=session, now=now)
        trade(ledger, broker, targets, marks, mandate=make_mandate(session), now=now)
        settle(ledger, broker, vendor, through=after, now=now)
        ends = {
            symbol: Mark(price=price, source="close")
            for (day, symbol), price in closes.items()
            if day == after
        }
        value(ledger, marks=ends, session=after, now=now, run_id="run")


class Steps:
    """Counts steps and kills the process at one of them, as nothing can be caught.

    With `keep` each step copies the files of that folder into one of its own, numbered: what is in
    them is what a process that is killed there leaves, since nothing it has not written survives.
    """

    def __init__(self, fatal: int | None = None, keep: Path | None = None) -> None:
        self.fatal, self.keep = fatal, keep
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        if len(self.names) == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.keep is not None:
            files = [one for one in self.keep.iterdir() if one.is_file()]
            (kept := self.keep / str(len(self.names))).mkdir()
            for one in files:
                shutil.copyfile(one, kept / one.name)
        self.names.append(name)


class MortalEngine(LedgerEngine):
    """Steps inside each ledger transaction, ahead of its commit, and after it."""

    def __init__(self, url: str, step: Steps) -> None:
        super().__init__(url)
        self._step = step

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with super().writing() as connection:
            yield connection
            self._step("in the ledger")
        self._step("after the ledger")


class MortalBroker(SimulatedBroker):
    """Steps inside each transaction of the broker's account, ahead of its commit, and after it."""

    step: Steps

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with super()._writing() as account:
            yield account
            self.step("in the broker")
        self.step("after the broker")


def live_until(url: str, path: Path, step: Steps) -> None:
    ledger, broker = Ledger(url), MortalBroker(path, CostModel(), Decimal(100_000))
    ledger._engine, broker.step = MortalEngine(url, step), step
    live(ledger, broker)
    broker.close()
    ledger.close()


def live_until_killed(url: str, path: Path, fatal: int) -> None:
    live_until(url, path, Steps(fatal))


def contents(url: str, path: Path) -> dict[str, Sequence[Any]]:
    """All that ledger and broker hold, without the times and runs of writing it."""
    found: dict[str, Sequence[Any]] = {}
    engine = LedgerEngine(url)
    with engine.reading() as connection:
        for table in tables.metadata.sorted_tables:
            columns = [c for c in table.columns if c.name not in {"at", "decided_at", "run_id"}]
            if table is tables.halts:
                continue
            rows = connection.execute(sa.select(*columns).order_by(*table.primary_key)).all()
            found[table.name] = [tuple(row) for row in rows]
    engine.close()
    with sqlite3.connect(path) as account:
        for name in ("account", "positions", "orders", "fills", "activities"):
            found[f"broker {name}"] = account.execute(f"SELECT * FROM {name}").fetchall()
    account.close()
    return found
