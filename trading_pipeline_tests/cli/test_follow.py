"""`follow`: fills reach the ledger while the command runs, by the real client."""

import json
from pathlib import Path

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.cli import run
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.flows.reconcile import RECONNECTED, last_reconciliation
from trading_pipeline_tests.alpaca_twin import KEY, SECRET, AlpacaTwin
from trading_pipeline_tests.alpaca_twin.brokers import broker_of
from trading_pipeline_tests.flows.updates import fill_in_two, place, state_of


@pytest.fixture
def at_alpaca(alpaca: AlpacaTwin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A new ledger of a project that trades at the twin."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DAGSTER_HOME": str(tmp_path),
        "TP_BROKER": "alpaca-paper",
        "TP_ALPACA__URL": alpaca.url,
        "APCA_API_KEY_ID": KEY,
        "APCA_API_SECRET_KEY": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "data").mkdir()
    ledger = Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.db'}")
    ledger.create()
    return ledger


def test_fills_are_booked_and_the_books_reconciled(
    at_alpaca: Ledger, alpaca: AlpacaTwin, capsys: pytest.CaptureFixture[str]
) -> None:
    alpaca.exchange.fills = "held"
    (order,) = place(at_alpaca, broker_of(alpaca), "AAPL")
    fill_in_two(alpaca, order.client_order_id)
    assert run(["follow", "--minutes", "0.02", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"connections": 1, "moves": 1}
    assert state_of(at_alpaca, order)[0] is OrderState.FILLED
    found = last_reconciliation(at_alpaca)
    assert found is not None
    assert found.cause == RECONNECTED


def test_the_simulated_broker_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert run(["follow"]) == 3
    assert "no trade updates" in capsys.readouterr().err
