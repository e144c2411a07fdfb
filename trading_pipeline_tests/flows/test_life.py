"""A long life with faults, crashes, splits and other hands: the books tie out on every session."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.attribution import Books, replay_parts
from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.execution.order import OPEN
from trading_pipeline.flows import books
from trading_pipeline.flows.books import books_of
from trading_pipeline.flows.reconcile import ASKED, reconcile
from trading_pipeline_tests.fakes import NOW
from trading_pipeline_tests.flows.life import (
    CAPITAL,
    COSTS,
    BrittleEngine,
    CalmLife,
    Life,
    text,
    told,
    world,
)
from trading_pipeline_tests.servers import Postgres


def lived(folder: Path, url: str, count: int, seed: int, busy: int = 1) -> Life:
    folder.mkdir(exist_ok=True)
    Ledger(url).create()
    life = Life(folder, url, world(count, seed, busy), seed)
    life.live()
    return life


def check(life: Life, folder: Path, url: str, count: int) -> None:
    """NAV is the broker's equity on each session, and no order went out twice."""
    assert len(life.navs) == count
    assert [ours for ours, _ in life.navs] == [theirs for _, theirs in life.navs]
    ledger = Ledger(url)
    broker = SimulatedBroker(folder / "broker.db", COSTS, CAPITAL)
    found = reconcile(ledger, broker, cause=ASKED, now=NOW, write=False)
    assert found.breaks == ()
    trades = broker.trades()
    assert len({trade.client_order_id for trade in trades}) == len(trades)
    assert not [order for order in ledger.orders(states=OPEN) if order.session < life.last]
    assert replay_parts(Books(), ledger.entries()) == books_of(ledger)
    broker.close()
    ledger.close()


SMALL_SEED = 4


def test_nine_sessions_tie_out_on_either_database_with_the_same_ledger(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "KEEP_EVERY", 10)
    for name, url in (("one", f"sqlite:///{tmp_path / 'ledger.db'}"), ("two", postgres_url)):
        life = lived(tmp_path / name, url, 9, seed=SMALL_SEED, busy=5)
        check(life, tmp_path / name, url, 9)
        assert life.crashes
    found = told(postgres_url)
    assert told(f"sqlite:///{tmp_path / 'ledger.db'}") == found
    assert found["book_snapshots"]
    kinds = {row[1] for row in found["cash_entries"]}
    assert kinds >= {EntryKind.SPLIT, EntryKind.DIVIDEND, EntryKind.TRADE, EntryKind.BORROW}
    orders = Ledger(postgres_url).orders()
    assert any(0 < order.filled_quantity < order.quantity for order in orders)


class RestartingEngine(BrittleEngine):
    """Restarts the server inside the transactions, and between those, that `at` numbers."""

    server: Postgres
    at: set[int]
    count = 0

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        type(self).count += 1
        number = self.count
        if -number in self.at:
            self.server.restart()
        with super().writing() as connection:
            yield connection
            if number in self.at:
                self.server.restart()


class InterruptedLife(CalmLife):
    def engine(self) -> BrittleEngine:
        return RestartingEngine(self._url)


def test_postgresql_that_restarts_in_the_middle_of_a_run_loses_nothing(tmp_path: Path) -> None:
    server = Postgres()
    try:
        server.start()
        server.execute("CREATE DATABASE ledger")
        RestartingEngine.server, RestartingEngine.at = server, {4, 9, -13}
        lives = (
            (CalmLife, f"sqlite:///{tmp_path / 'ledger.db'}"),
            (InterruptedLife, server.url("ledger")),
        )
        found = []
        for kind, url in lives:
            folder = tmp_path / kind.__name__
            folder.mkdir()
            Ledger(url).create()
            life = kind(folder, url, world(2, SMALL_SEED), 0)
            life.live()
            found.append((told(url), life.crashes))
    finally:
        server.stop()
    (calm, _), (interrupted, failed) = found
    assert failed == 2
    assert interrupted == calm


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_250_sessions_tie_out_and_the_same_seed_gives_the_same_ledger_byte_for_byte(
    tmp_path: Path, seed: int
) -> None:
    texts = []
    for name in ("one", "two"):
        url = f"sqlite:///{tmp_path / f'{name}.db'}"
        life = lived(tmp_path / name, url, 250, seed)
        check(life, tmp_path / name, url, 250)
        texts.append(text(tmp_path / f"{name}.db"))
        shutil.rmtree(tmp_path / name)
    assert texts[0] == texts[1]


@pytest.mark.soak
def test_250_sessions_are_the_same_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    lived(tmp_path / "one", url, 250, seed=5)
    life = lived(tmp_path / "two", postgres_url, 250, seed=5)
    check(life, tmp_path / "two", postgres_url, 250)
    assert told(url) == told(postgres_url)
    assert any(isinstance(e, CashEntry) and e.strategy is None for e in Ledger(url).entries())
