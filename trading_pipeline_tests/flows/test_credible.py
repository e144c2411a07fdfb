"""The books follow the kinds of corporate actions, and none that the prices contradict."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.pnl import mark
from trading_pipeline.core.execution.order import OrderState, move
from trading_pipeline.core.market.announcements import CHECKS
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.credible import CredibleVendor
from trading_pipeline.flows.day import vendor_closes
from trading_pipeline.flows.order_updates import catch_up, settle
from trading_pipeline.flows.ports import MarketData
from trading_pipeline.flows.reconcile import reconcile
from trading_pipeline_tests.factories import action, actions_of, bars_of, dividend, split
from trading_pipeline_tests.fakes import NOW, SESSION, FrameVendor, make_decision, make_order

DATABASES = ["sqlite"]
"""The flow asks the ledger, whose own tests ask both databases."""

NEXT = next_session(SESSION)
THIRD = next_session(NEXT)
FOURTH = next_session(THIRD)
LATER = NOW + timedelta(days=90)
FLAT = bars_of({"AAPL": [100.0] * 5, "IBM": [200.0] * 5, "SPUN": [40.0] * 5}, first=SESSION)
SPIN_OFF = action("AAPL", THIRD, "spin_off", dollars=10.0, new=("SPUN", 0.5))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def bought(ledger: Ledger, broker: SimulatedBroker, vendor: MarketData) -> Ledger:
    """Ten shares of AAPL, bought at the open of NEXT."""
    order = make_order("AAPL")
    ledger.record_decision(make_decision(), [order])
    sending = move(order, OrderState.SUBMITTING)
    ledger.append(at=NOW, orders=[sending, *catch_up(sending, broker.submit(order), ())])
    settle(ledger, broker, vendor, through=NEXT, now=LATER)
    return ledger


def check(symbol: str, day: object, kind: str, verdict: str) -> pl.DataFrame:
    row = {"symbol": symbol, "session": day, "ex_date": day, "kind": kind, "announced": 2.0,
           "moved": 1.0, "verdict": verdict}  # fmt: skip
    return pl.DataFrame([row]).select(CHECKS)


def test_a_split_that_the_price_contradicts_is_not_booked(
    ledger: Ledger, broker: SimulatedBroker, lake: Lake
) -> None:
    vendor = CredibleVendor(FrameVendor(FLAT, split("AAPL", THIRD, 2.0)), lake)
    settle(bought(ledger, broker, vendor), broker, vendor, through=THIRD, now=LATER)
    held = make_order("AAPL").quantity
    assert (broker.account().positions, book_of(ledger).quantity("AAPL")) == ({"AAPL": held}, held)


def test_what_the_lake_has_checked_stands_over_the_vendors_bars(lake: Lake) -> None:
    actions = actions_of(split("AAPL", THIRD, 2.0), dividend("IBM", THIRD, 0.5))
    lake.write("action_checks", check("AAPL", THIRD, "split", "agrees"), [THIRD], symbols=["AAPL"])
    vendor = CredibleVendor(FrameVendor(FLAT, actions), lake)
    asked = (["AAPL", "IBM"], SESSION, THIRD)
    assert vendor.corporate_actions(*asked).rows() == actions.rows()
    refuted = check("AAPL", THIRD, "split", "late")
    lake.write("action_checks", refuted, [THIRD], symbols=["AAPL"])
    assert vendor.corporate_actions(*asked)["symbol"].to_list() == ["IBM"]


def test_an_action_ahead_of_its_bar_is_not_contradicted(lake: Lake) -> None:
    ahead = split("AAPL", next_session(max(FLAT["session"])), 2.0)
    vendor = CredibleVendor(FrameVendor(FLAT, ahead), lake)
    assert vendor.corporate_actions(["AAPL"], SESSION, ahead["ex_date"][0]).height == 1


@pytest.mark.parametrize(
    ("told", "positions"),
    [
        (SPIN_OFF, {"AAPL": 1, "SPUN": "0.5"}),
        (action("AAPL", THIRD, "symbol_change", new=("SPUN", None)), {"SPUN": 1}),
        (action("AAPL", THIRD, "delisting", dollars=101.0, new=("", None)), {}),
        (action("AAPL", THIRD, "delisting", dollars=20.0, new=("SPUN", 2.0)), {"SPUN": 2}),
        (
            actions_of(
                action("AAPL", THIRD, "symbol_change", new=("NEW", None)),
                action("NEW", FOURTH, "symbol_change", new=("SPUN", None)),
            ),
            {"SPUN": 1},
        ),
    ],
)  # fmt: skip
def test_positions_follow_the_kind_of_the_action_and_tie_out(
    ledger: Ledger,
    broker: SimulatedBroker,
    lake: Lake,
    told: pl.DataFrame,
    positions: dict[str, object],
) -> None:
    vendor = CredibleVendor(FrameVendor(FLAT, told), lake)
    settle(bought(ledger, broker, vendor), broker, vendor, through=FOURTH, now=LATER)
    bought_shares = make_order("AAPL").quantity
    expected = {name: bought_shares * Decimal(str(part)) for name, part in positions.items()}
    book = book_of(ledger)
    assert {name: p.quantity for name, p in book.positions.items() if p.quantity} == expected
    assert dict(broker.account().positions) == expected
    found = reconcile(ledger, broker, cause="asked", now=LATER)
    assert found.breaks == ()
    marks = vendor_closes(vendor, sorted(expected), FOURTH)
    valued = mark(book, marks, FOURTH)
    assert valued.unpriced == ()
    assert valued.nav == book.cash + sum(q * marks[s].price for s, q in expected.items())
