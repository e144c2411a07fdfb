"""`resend`: another attempt at what has ended, planned under an id of its own."""

import json
from pathlib import Path

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.cli import run
from trading_pipeline.core.execution.order import Order, OrderState, move
from trading_pipeline_tests.fakes import NOW, accepted, make_decision, make_order


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger of a project in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    opened = Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.db'}")
    opened.create()
    return opened


@pytest.fixture
def expired(ledger: Ledger) -> Order:
    """An order that came to nothing."""
    order = make_order()
    ledger.record_decision(make_decision(), [order])
    steps = accepted(order)
    ledger.append(at=NOW, orders=[*steps, move(steps[-1], OrderState.EXPIRED, reason="No price.")])
    return order


def test_what_expired_is_planned_anew(
    ledger: Ledger, expired: Order, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["resend", expired.client_order_id]) == 0
    out = capsys.readouterr().out
    assert "Planned: buy 10 AAPL" in out
    assert f"paper-run --session {expired.session}" in out
    old, new = ledger.orders()
    assert (old.state, new.state) == (OrderState.EXPIRED, OrderState.PLANNED)
    assert new.client_order_id != old.client_order_id
    assert new.client_order_id in out


def test_the_new_id_is_told_as_json(
    ledger: Ledger, expired: Order, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["resend", expired.client_order_id, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"client_order_id": ledger.orders()[-1].client_order_id, "quantity": "10"}


def test_what_is_not_there_is_bad_input(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["resend", "tp-never"]) == 3
    assert "There is no order tp-never" in capsys.readouterr().err
    assert ledger.orders() == []


def test_what_still_works_is_not_sent_twice(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    order = make_order()
    ledger.record_decision(make_decision(), [order])
    ledger.append(at=NOW, orders=accepted(order))
    assert run(["resend", order.client_order_id]) == 2
    assert "only what has ended unfilled is sent anew" in capsys.readouterr().err
    assert len(ledger.orders()) == 1
