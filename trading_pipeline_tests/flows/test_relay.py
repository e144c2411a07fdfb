"""A relay's updates: believed only when signed and fresh, booked once, never a crash."""

import hashlib
import hmac
import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import Order, OrderState
from trading_pipeline.flows.announce import Announcer
from trading_pipeline.flows.relay import WINDOW, Reply, receive
from trading_pipeline_tests.fakes import (
    NOW,
    accepted,
    make_decision,
    make_entry,
    make_order,
)
from trading_pipeline_tests.flows.updates import D, state_of

SECRET = SecretStr("relay-secret")


@pytest.fixture
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger; one database will do."""
    path = tmp_path / "ledger.db"
    shutil.copyfile(request.getfixturevalue("_sqlite_ledger"), path)
    opened = Ledger(f"sqlite:///{path}")
    yield opened
    opened.close()


@pytest.fixture
def order(ledger: Ledger) -> Order:
    """An order to buy ten shares that the broker has accepted."""
    made = make_order()
    ledger.append_cash_entries([make_entry()])
    ledger.record_decision(make_decision(), [made])
    for step in accepted(made):
        ledger.append_event(step, at=NOW)
    return made


def update(order: Order, filled: str = "4", **more: Any) -> dict[str, Any]:
    """An update as the relay sends it."""
    told = {
        "id": f"b-{order.client_order_id}",
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": "buy",
        "status": "filled" if filled == "10" else "partially_filled",
        "filled_qty": filled,
        "filled_avg_price": "100.01",
    }
    return {"event": "fill", "order": told, "timestamp": NOW.isoformat(), **more}


def send(ledger: Ledger, what: Any, *, key: str = "relay-secret", **changes: Any) -> Reply:
    """Receive `what`, signed by `key`."""
    body = what if isinstance(what, bytes) else json.dumps(what).encode()
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    arguments = {"signature": signature, "secret": SECRET, "now": NOW} | changes
    return receive(ledger, body, arguments.pop("signature"), **arguments)


def test_cumulative_fills_are_booked_by_what_is_new(ledger: Ledger, order: Order) -> None:
    for filled in ("4", "10", "10", "4"):
        assert send(ledger, update(order, filled)).status == 200
    assert state_of(ledger, order) == (OrderState.FILLED, 10, D("100.010000"))
    assert sum(fill.quantity for fill in ledger.fills([order.client_order_id])) == 10


def test_quantities_with_decimals_are_read(ledger: Ledger, order: Order) -> None:
    assert send(ledger, update(order, "4.0")).outcome == "booked"
    assert state_of(ledger, order)[1] == 4


@pytest.mark.parametrize("form", ["{}", "sha256={}", "SHA256={}"])
def test_a_signature_may_have_a_prefix_and_capitals(
    ledger: Ledger, order: Order, form: str
) -> None:
    body = json.dumps(update(order)).encode()
    signed = hmac.new(b"relay-secret", body, hashlib.sha256).hexdigest().upper()
    assert send(ledger, body, signature=form.format(signed)).status == 200


@pytest.mark.parametrize("signature", [None, "", "sha256=", "00" * 32, "é"])
def test_a_missing_or_wrong_signature_is_refused(
    ledger: Ledger, order: Order, signature: str | None
) -> None:
    assert send(ledger, update(order), signature=signature).status == 401
    assert state_of(ledger, order)[0] is OrderState.ACCEPTED


def test_a_body_that_was_changed_is_refused(ledger: Ledger, order: Order) -> None:
    body = json.dumps(update(order)).encode()
    signed = hmac.new(b"relay-secret", body, hashlib.sha256).hexdigest()
    assert send(ledger, body.replace(b'"4"', b'"9"'), signature=signed).status == 401


def test_nothing_is_read_before_the_signature_is_checked(ledger: Ledger) -> None:
    assert send(ledger, b"{not json", key="wrong").status == 401
    assert send(ledger, b"{not json").status == 400
    assert send(ledger, b"[1]").status == 400


@pytest.mark.parametrize("secret", [None, SecretStr("")])
def test_without_a_secret_nothing_is_taken(
    ledger: Ledger, order: Order, secret: SecretStr | None
) -> None:
    assert send(ledger, update(order), secret=secret).status == 503


@pytest.mark.parametrize("late", [WINDOW + timedelta(seconds=1), -WINDOW - timedelta(seconds=1)])
def test_what_was_recorded_cannot_be_played_later(
    ledger: Ledger, order: Order, late: timedelta
) -> None:
    assert send(ledger, update(order), now=NOW + late).status == 401
    assert send(ledger, update(order), now=NOW + late * 0.9).status == 200


def test_orders_that_are_not_ours_are_ignored_with_a_reason(ledger: Ledger) -> None:
    reply = send(ledger, update(make_order("IBM")))
    assert (reply.status, reply.outcome) == (200, "ignored")
    assert "no order that we have sent" in reply.why


@pytest.mark.parametrize("missing", ["id", "client_order_id", "status", "filled_qty"])
def test_an_update_without_what_it_needs_is_ignored(
    ledger: Ledger, order: Order, missing: str
) -> None:
    what = update(order)
    del what["order"][missing]
    assert send(ledger, what) == Reply(
        200, "ignored", f"it is no order update: KeyError('{missing}')"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["order", "timestamp", "id", "qty"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(what=st.dictionaries(st.sampled_from(["order", "timestamp", "event"]), JSON))
def test_no_signed_nonsense_is_a_crash(what: dict[str, Any]) -> None:
    absent = Ledger("sqlite:////nowhere/ledger.db")
    assert send(absent, what).status in {200, 400, 401}


def test_a_fill_is_told_as_a_fact_once(ledger: Ledger, order: Order) -> None:
    facts: list[Any] = []

    class Bus:
        tell = staticmethod(facts.append)

    for _ in range(2):
        body = json.dumps(update(order)).encode()
        receive(
            ledger,
            body,
            hmac.new(b"relay-secret", body, hashlib.sha256).hexdigest(),
            secret=SECRET,
            now=NOW,
            announcer=Announcer(Bus()),  # type: ignore[arg-type]
        )
    assert [(fact.name, fact.quantity_change) for fact in facts] == [("positions.updated", D(4))]
