"""The books against the broker on the command line."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.cli import reconcile as command
from trading_pipeline.cli import services
from trading_pipeline.core.accounting.entries import EntryKind
from trading_pipeline.core.execution.account import MarketSession
from trading_pipeline.core.execution.order import Side
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import Settings
from trading_pipeline_tests.fakes import SESSION, make_decision, make_entry, make_fill, make_order

NEXT = next_session(SESSION)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ledger() -> Ledger:
    """Books that know of the broker's deposit."""
    settings = Settings.load()
    opened = Ledger(settings.ledger_location)
    opened.create()
    opened.append_cash_entries(services.broker(settings).activities())
    return opened


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out)


def test_books_that_tie_out_say_so(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.reconcile_books() == 0
    out = capsys.readouterr().out
    assert "Cash: 100,000.00 here, 100,000.00 at the broker" in out
    assert "Books: tie out" in out
    assert len(ledger.reconciliations(9)) == 1


def test_a_break_is_shown_and_booked_by_a_persons_word(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.append_cash_entries(
        [make_entry("odd", "-7", session=SESSION, kind=EntryKind.WITHDRAWAL)]
    )
    assert command.reconcile_books(json=True) == 2
    found = printed(capsys)
    assert (found["blocks_everything"], len(found["breaks"])) == (True, 1)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="takes a reason"):
        command.reconcile_books(adopt_breaks=True)
    assert command.reconcile_books(adopt_breaks=True, reason="paid back") == 0
    assert "Books: tie out" in capsys.readouterr().out


def test_new_books_are_shown_ahead_of_being_opened(capsys: pytest.CaptureFixture[str]) -> None:
    broker = services.broker(Settings.load())
    broker.submit(make_order("AAPL"))
    prices = {"AAPL": Decimal(560)}
    broker.advance(
        MarketSession(session=NEXT, opens=prices, closes=prices, splits={}, dividends={})
    )
    assert command.bootstrap(session=NEXT, json=True) == 0
    shown = printed(capsys)
    assert [row["kind"] for row in shown["entries"]] == ["deposit", "transfer"]  # type: ignore[union-attr, index]
    assert command.bootstrap(session=NEXT, yes=True) == 0
    assert "symbol=AAPL" in capsys.readouterr().out
    with pytest.raises(SettingsError, match="open already"):
        command.bootstrap(session=NEXT)


def test_gains_are_listed_by_lot(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    bought = make_order("AAPL")
    sold = make_order("AAPL", Side.SELL, session=NEXT)
    for order, session in ((bought, SESSION), (sold, NEXT)):
        ledger.record_decision(make_decision(session), [order])
    fills = [make_fill(bought), make_fill(sold, price=Decimal("111.2345"))]
    ledger.append_fills(fills)
    assert command.gains(json=True) == 0
    (row,) = printed(capsys)
    assert (row["gain"], row["term"]) == ("100.0000", "short")  # type: ignore[index]
    assert command.gains(last=SESSION) == 0
    assert "Short term: $0.00" in capsys.readouterr().out
