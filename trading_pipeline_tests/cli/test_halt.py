"""The kill switch on the command line."""

from decimal import Decimal
from pathlib import Path

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.cli import halt as command
from trading_pipeline.cli import services
from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import MissingDataError, SettingsError
from trading_pipeline.flows.mark import value
from trading_pipeline.settings import Settings
from trading_pipeline_tests.fakes import NOW, filled, make_decision, make_fill, make_order


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of its own, whose vendor, Redis and MLflow are all out of reach."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TP_VENDOR", "files")
    monkeypatch.setenv("TP_REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("TP_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")


@pytest.fixture
def ledger() -> Ledger:
    """10 AAPL held, an order to buy IBM not sent."""
    settings = Settings.load()
    opened = Ledger(settings.ledger_location)
    opened.create()
    bought, more = make_order("AAPL", sequence=1), make_order("IBM", sequence=2)
    opened.append_cash_entries(services.broker(settings).activities())
    opened.record_decision(make_decision(), [bought, more])
    fill = make_fill(bought)
    opened.append(at=NOW, orders=filled(bought, fill), fills=[fill])
    return opened


def test_halt_stops_everything_and_says_so(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.halt(reason="odd fills", by="ada") == 0
    assert ledger.trading_state()[:3] == (TradingState.HALTED, "odd fills", "ada")
    assert [order.state for order in ledger.orders()][1] is OrderState.CANCELED
    out = capsys.readouterr().out
    assert "Trading: HALTED by ada: odd fills" in out
    assert "Canceled: 1 order" in out


def test_resume_says_when_trading_is_active(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    command.halt(reason="odd fills")
    assert command.resume(reason="explained") == 0
    assert "REDUCING by operator: Released by operator, quiet until" in capsys.readouterr().out


def test_reduce_shows_what_is_over_its_limit_and_sends_it_when_told_to(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = {"AAPL": Mark(price=Decimal(100), source="close")}
    value(ledger, marks=marks, session=NOW.date(), now=NOW, run_id="r")
    monkeypatch.setenv("TP_RISK__MAX_POSITION_QUANTITY", "6")
    assert command.reduce(reason="too much") == 0
    shown = capsys.readouterr().out
    assert "Breach position_quantity: AAPL: 10.00, the limit is 6.00" in shown
    assert "Order: sell 4 AAPL: planned" in shown
    assert ledger.orders(strategy="reduce") == []
    command.reduce(reason="too much", act=True)
    assert [order.quantity for order in ledger.orders(strategy="reduce")] == [4]


def test_flatten_closes_everything_once_it_is_confirmed(ledger: Ledger) -> None:
    with pytest.raises(SettingsError, match="--yes"):
        command.flatten(reason="Fire.")
    assert ledger.trading_state().state is TradingState.ACTIVE
    command.flatten(reason="Fire.", yes=True)
    (order,) = ledger.orders(strategy="flatten")
    assert (order.symbol, order.signed_quantity) == ("AAPL", -10)
    assert ledger.trading_state().state is TradingState.REDUCING


def test_a_reason_is_asked_for_and_so_is_a_ledger(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="A reason is expected"):
        command.halt(reason="  ")
    (tmp_path / "data" / "ledger.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(MissingDataError):
        command.halt(reason="odd fills")
