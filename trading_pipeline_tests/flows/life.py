"""A long life of one account: sessions with splits, dividends, faults, crashes and other hands."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger, tables
from trading_pipeline.adapters.ledger.engine import LedgerEngine
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import Side
from trading_pipeline.core.market.calendar import next_session, session_close
from trading_pipeline.core.risk.limits import BreakerRules, RiskLimits
from trading_pipeline.errors import AdapterError
from trading_pipeline.flows.day import Desk, place_orders, take_fills, value_book
from trading_pipeline_tests.factories import actions_of, bars_of, dividend, sessions_from, split
from trading_pipeline_tests.fakes import (
    SESSION,
    FrameVendor,
    LossyBroker,
    make_mandate,
    make_order,
    targets_of,
)

NAMES: Final = ("AAPL", "CAT", "GE", "IBM", "MSFT", "XOM")
RATIOS: Final = (2.0, 7.0, 1.5, 0.1, 0.333333, 0.25)
WIDE: Final = RiskLimits(
    breaker=BreakerRules(
        max_daily_loss=Decimal(1),
        max_drawdown=Decimal(1),
        max_broker_errors=100,
        max_reject_rate=Decimal(1),
    ),
    max_position_value=Decimal(10**6),
    max_position_share=Decimal(9),
    max_concentration=Decimal(1),
)
CAPITAL: Final = Decimal(100_000)


class CrashError(BaseException):
    """The process is gone; nothing of ours may catch it."""


@dataclass(frozen=True)
class World:
    """What the market brings, and what is wanted of it."""

    sessions: list[date]
    bars: pl.DataFrame
    actions: pl.DataFrame
    targets: list[pl.DataFrame]
    busy: int


COSTS = CostModel(max_participation=Decimal("0.00001"), borrow_rate=Decimal("0.05"))
"""A small market in which shorts cost."""


def world(count: int, seed: int, busy: int = 1) -> World:
    """Raw prices that fall with their splits, dividends, holes, and weights that turn each day.

    Things happen `busy` times as often as in a year of the kind.
    """
    random, sessions = Random(seed), sessions_from(SESSION, count + 2)
    actions, closes = list[pl.DataFrame](), dict[str, list[float | None]]()
    for name in NAMES:
        price, series = random.uniform(20, 400), list[float | None]()
        for session in sessions:
            price *= random.gauss(1.0005, 0.012)
            if random.random() < 0.015 * busy:
                ratio = random.choice(RATIOS)
                price /= ratio
                actions.append(split(name, session, ratio))
            if random.random() < 0.02 * busy:
                actions.append(dividend(name, session, round(random.uniform(0.05, 2), 4)))
            if not 2 < price < 5_000:  # as its company would have it
                ratio = 0.1 if price <= 2 else 10.0
                price /= ratio
                actions.append(split(name, session, ratio))
            series.append(None if random.random() < 0.01 else round(price, 2))
        closes[name] = series
    weights = (0.5, 0.5, -0.5, -0.5, 0.0, 0.0)
    targets = [
        targets_of(day, **dict(zip(NAMES, random.sample(weights, 6), strict=True)))
        for day in sessions[:count]
    ]
    bars = bars_of(closes, first=SESSION, volume=1e7)
    return World(sessions[:count], bars, actions_of(*actions), targets, busy)


class Chance:
    """Crashes a process at one of its steps, ahead of it or after it; none is left when it did."""

    def __init__(self, random: Random) -> None:
        self._random, self.left = random, 0

    @contextmanager
    def step(self) -> Iterator[None]:
        self.left -= 1
        before = self.left == 0 and self._random.random() < 0.5
        if before:
            raise CrashError
        yield
        if self.left == 0:
            raise CrashError


class BrittleBroker(LossyBroker):
    """A broker whose wire loses things and whose caller may die at each call that changes it."""

    chance: Chance

    def submit(self, order: Any) -> Any:
        with self.chance.step():
            return super().submit(order)

    def advance(self, market: Any) -> None:
        with self.chance.step():
            self._broker.advance(market)

    def cancel(self, client_order_id: str) -> None:
        with self.chance.step():
            self._broker.cancel(client_order_id)


class BrittleEngine(LedgerEngine):
    """Transactions around which the process may die."""

    chance: Chance

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with self.chance.step(), super().writing() as connection:
            yield connection


class Life:
    """An account's life in a folder, on the ledger at `url`; every session's NAVs are kept."""

    def __init__(self, folder: Path, url: str, world: World, seed: int) -> None:
        self._random = Random(seed)
        self._chance = Chance(self._random)
        self._world, self._url, self._path = world, url, folder / "broker.db"
        self._lake = Lake(folder / "lake")
        self._lake.write("clean_bars", world.bars, sessions_from(SESSION, len(world.sessions) + 2))
        self._lake.write("target_weights", pl.concat(world.targets), world.sessions)
        self._vendor = FrameVendor(world.bars, world.actions)
        self.navs: list[tuple[Decimal, Decimal]] = []
        self.crashes = 0
        self.desk = self._started()

    @property
    def last(self) -> date:
        """The newest session decided on."""
        return self._world.sessions[-1]

    def live(self) -> None:
        """Live all sessions."""
        for number, session in enumerate(self._world.sessions):
            if self._random.random() < 0.05 * self._world.busy:
                self._trade_by_hand(session, number)
            self._chance.left = self._random.randint(1, 12) if self._random.random() < 0.3 else -1
            while not self._day(session):
                self.crashes += 1
                self._restart()
            if self._random.random() < 0.2:
                self._restart()
        self.close()

    def close(self) -> None:
        """End the process."""
        self.desk.ledger.close()
        self.desk.broker.close()  # type: ignore[attr-defined]

    def _day(self, session: date) -> bool:
        """Do a session's work, and return whether the process has survived it."""
        now = session_close(next_session(session)) + timedelta(hours=1)
        mandate = make_mandate(session, limits=WIDE)
        try:
            place_orders(self.desk, mandate, now=now)
            take_fills(self.desk, session, now=now)
            found = value_book(self.desk, session, now=now, run_id="life")
        except CrashError:
            return False
        account = self.desk.broker.account()
        marks = {each.symbol: each.price for each in found.pnl.open_positions}
        worth = sum((q * (marks[s] or 0) for s, q in account.positions.items()), account.cash)
        assert found.change.unexplained == 0
        assert found.journal.imbalance == 0
        self.navs.append((found.pnl.nav, worth))
        return True

    def _trade_by_hand(self, session: date, number: int) -> None:
        """Another hand sends an order past this system."""
        order = make_order(
            self._random.choice(NAMES),
            self._random.choice(list(Side)),
            session=session,
            client_order_id=f"by-hand-{number}",
            quantity=Decimal(self._random.randint(1, 20)),
        )
        SimulatedBroker(self._path, COSTS, CAPITAL).submit(order)

    def _restart(self) -> None:
        self.close()
        self.desk = self._started()

    def faults(self) -> list[str]:
        """What the wire will do to the next submissions of a process."""
        return self._random.choices(["ok", "request", "answer", "look-up"], [80, 7, 7, 6], k=400)

    def engine(self) -> BrittleEngine:
        """How a process speaks to its ledger."""
        return BrittleEngine(self._url)

    def _started(self) -> Desk:
        broker = BrittleBroker(SimulatedBroker(self._path, COSTS, CAPITAL), self.faults())
        ledger, engine = Ledger(self._url), self.engine()
        broker.chance = engine.chance = self._chance
        ledger._engine = engine
        return Desk(lake=self._lake, vendor=self._vendor, ledger=ledger, broker=broker)


class CalmLife(Life):
    """A life in which nothing fails but the database, and a day that fails is done again."""

    def faults(self) -> list[str]:
        return []

    def live(self) -> None:
        for session in self._world.sessions:
            while not self._survived(session):
                self.crashes += 1
        self.close()

    def _survived(self, session: date) -> bool:
        try:
            return self._day(session)
        except AdapterError:
            return False


def told(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the ledger, times included."""
    engine = LedgerEngine(url)
    with engine.reading() as connection:
        found = {
            table.name: [
                tuple(row)
                for row in connection.execute(sa.select(table).order_by(*table.primary_key))
            ]
            for table in tables.metadata.sorted_tables
            if table is not tables.halts
        }
    engine.close()
    return found


def text(path: Path) -> str:
    """A SQLite file as the statements that make it, but for when its migration ran."""
    with sqlite3.connect(path) as database:
        return "\n".join(line for line in database.iterdump() if '"halts"' not in line)
