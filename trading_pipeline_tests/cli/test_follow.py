"""`follow`: fills reach the ledger while the command runs, by the real client."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.live_store import FIRST, EventBus, RedisLink
from trading_pipeline.cli import run
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.flows.reconcile import RECONNECTED, last_reconciliation
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin
from trading_pipeline_tests.alpaca_twin.brokers import broker_of
from trading_pipeline_tests.flows.updates import fill_in_two, place, state_of


@pytest.fixture
def at_alpaca(
    alpaca: AlpacaTwin, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ledger:
    """A new ledger of a project that trades at the twin, and tells facts."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DAGSTER_HOME": str(tmp_path),
        "TP_BROKER": "alpaca-paper",
        "TP_REDIS_URL": redis_url,
        "TP_ALPACA__URL": alpaca.url,
        "APCA_API_KEY_ID": KEY,
        "APCA_API_SECRET_KEY": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "data").mkdir()
    ledger = Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.db'}")
    ledger.create()
    return ledger


def test_fills_are_booked_and_told_and_the_books_reconciled(
    at_alpaca: Ledger, alpaca: AlpacaTwin, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alpaca.exchange.fills, bus = "held", EventBus(RedisLink(redis_url))
    (order,) = place(at_alpaca, broker_of(alpaca), "AAPL")
    fill_in_two(alpaca, order.client_order_id)

    def is_done() -> bool:
        return last_reconciliation(at_alpaca) is not None and len(bus.hear(FIRST)) == 2

    with pytest.raises(SystemExit, match="130"), interrupted_when(is_done):
        run(["follow", "--minutes", "2"])
    assert state_of(at_alpaca, order)[0] is OrderState.FILLED
    found = last_reconciliation(at_alpaca)
    assert found is not None
    assert found.cause == RECONNECTED
    assert {one.fact.name for one in bus.hear(FIRST)} == {"positions.updated"}
    capsys.readouterr()
    assert run(["follow", "--minutes", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"connections": 0, "moves": 0}


@contextmanager
def interrupted_when(is_so: Callable[[], bool]) -> Iterator[None]:
    """Press Ctrl-C for the test once something is so, or after a minute."""

    def press() -> None:
        end = monotonic() + 60
        while not is_so() and monotonic() < end:
            sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = Thread(target=press)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_the_simulated_broker_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert run(["follow"]) == 3
    assert "no trade updates" in capsys.readouterr().err
