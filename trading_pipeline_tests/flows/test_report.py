"""The document of a day, and the files it is written to."""

import csv
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.sample_data import SampleData
from trading_pipeline.adapters.simulated_broker import SimulatedBroker
from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.execution.costs import CostModel
from trading_pipeline.core.execution.order import OrderState
from trading_pipeline.core.portfolio.rebalance import SizingRules
from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows import report
from trading_pipeline.flows.mark import value
from trading_pipeline.flows.order_updates import settle
from trading_pipeline.flows.trade import Mandate, trade
from trading_pipeline_tests.days import (
    FILLED,
    SESSION,
    STRATEGY,
    TRADE_SESSION,
    book_of,
    day,
    deposit,
    fill_of,
    order,
)


def document(**changes: object) -> dict:
    return report.build(day(**changes)).model_dump(mode="json")


def test_the_counts_are_those_of_the_orders() -> None:
    results = document()["results"]

    assert results["num_signals"] == 5
    assert results["num_orders_planned"] == 4
    assert results["num_orders_submitted"] == 3
    assert results["num_orders_accepted"] == 2
    assert results["num_orders_rejected"] == 1
    assert results["num_orders_blocked"] == 1
    assert results["num_orders_filled"] == 2
    assert results["total_notional"] == "38857.455"
    assert results["success_rate"] == pytest.approx(2 / 3)
    assert results["duration_seconds"] == 4.123


def test_a_day_without_orders_has_a_success_rate_of_zero_and_succeeds() -> None:
    found = document(orders=(), fills=())

    assert found["results"]["success_rate"] == 0
    assert found["results"]["total_notional"] == "0.00"
    assert (found["status"], report.build(day(orders=(), fills=())).exit_code) == ("success", 0)


def test_an_order_row_says_what_was_asked_and_what_became_of_it() -> None:
    filled, _, rejected, _ = document()["orders"]

    assert filled == {
        "symbol": "AAPL",
        "side": "sell",
        "qty": "45",
        "reference_price": "441.40",
        "status": "filled",
        "client_order_id": "20130228-AAPL-sell",
        "filled_qty": "45",
        "filled_price": "438.219",
        "commission": "1.00",
        "code": None,
        "reason": None,
    }
    assert (rejected["status"], rejected["reason"]) == ("rejected", "no <shares> to borrow today")


def test_the_commissions_of_several_fills_of_an_order_add_up() -> None:
    whole = fill_of(FILLED[0])
    parts = [replace(whole, fill_id=name, quantity=Decimal(5)) for name in ("one", "two")]

    assert document(fills=parts)["orders"][0]["commission"] == "2.00"


def test_signals_are_listed_by_rank_with_their_target_weights() -> None:
    rows = document()["signals"]

    assert [row["symbol"] for row in rows] == ["IBM", "GOOG", "FB", "MSFT", "AAPL"]
    assert [row["target_weight"] for row in rows] == [0.5, 0.5, 0.0, -0.5, -0.5]


def test_nav_is_cash_put_in_plus_gains_less_fees() -> None:
    pnl = report.build(day()).pnl

    assert pnl is not None
    assert pnl.nav == pnl.cash_in + pnl.realized + pnl.unrealized - pnl.fees
    assert pnl.total == pnl.realized + pnl.unrealized
    assert pnl.nav_change == pnl.nav - Decimal(100_000)


def test_a_closed_position_keeps_its_realized_gain_in_the_report() -> None:
    bought = fill_of(
        order("IBM", quantity=10, state=OrderState.FILLED, fill_price="200"), session=SESSION
    )
    sold = fill_of(order("IBM", "sell", 10, state=OrderState.FILLED, fill_price="210"))
    found = document(pnl=book_of(deposit(), bought, sold))

    assert found["positions"] == []
    assert (found["pnl"]["open_positions"], found["pnl"]["closed_positions"]) == (0, 1)
    assert found["pnl"]["per_symbol"]["IBM"]["status"] == "closed"
    assert found["pnl"]["per_symbol"]["IBM"]["realized"] == "100.00"


def test_a_position_without_a_price_is_named_and_valued_at_cost() -> None:
    found = document(pnl=book_of(deposit(), fill_of(FILLED[1])))

    assert found["pnl"]["unpriced"] == ["GOOG"]
    assert found["positions"][0]["mark_source"] == "cost"
    assert found["positions"][0]["unrealized"] == "0.00"


def test_a_short_position_gains_when_the_price_falls() -> None:
    row = next(row for row in document()["positions"] if row["symbol"] == "AAPL")

    assert row["qty"] == "-45"
    assert row["unrealized"] == "348.705"


def test_the_history_has_the_last_value_of_each_session_up_to_the_valued_one() -> None:
    early = book_of(deposit(), session=date(2013, 2, 27))
    revised = book_of(deposit(90_000), session=date(2013, 2, 27))
    later = book_of(deposit(), session=date(2013, 3, 4))
    history = document(snapshots=[later, early, revised])["nav_history"]

    assert [row["session"] for row in history] == ["2013-02-27", "2013-03-01"]
    assert history[0]["nav"] == "90000.00"


def test_cash_put_in_between_two_sessions_is_no_gain() -> None:
    more = deposit(50_000, session=date(2013, 3, 1))
    pnl = report.build(day(pnl=book_of(deposit(), more))).pnl

    assert pnl is not None
    assert pnl.nav_change == 0


def test_a_day_before_the_first_book_has_no_pnl_and_no_history() -> None:
    found = document(pnl=None, snapshots=(), orders=(), fills=())

    assert (found["pnl"], found["valued_session"], found["nav_history"]) == (None, None, [])


@pytest.mark.parametrize("suffix", [".json", ".csv", ".html", ".JSON"])
def test_the_suffix_says_the_format_and_folders_are_made(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / "folder" / f"day{suffix}"

    files = report.save(report.build(day()), path)

    assert files[0] == path
    assert all(file.stat().st_size for file in files)


def test_the_json_file_is_the_document(tmp_path: Path) -> None:
    built = report.build(day())
    report.save(built, tmp_path / "day.json")

    written = json.loads((tmp_path / "day.json").read_text(encoding="utf-8"))

    assert written == built.model_dump(mode="json")


def test_the_csv_files_are_the_orders_and_the_positions(tmp_path: Path) -> None:
    files = report.save(report.build(day()), tmp_path / "day.csv")

    orders, positions = (list(csv.DictReader(file.open(encoding="utf-8"))) for file in files)

    assert [row["symbol"] for row in orders] == ["AAPL", "GOOG", "IBM", "MSFT"]
    assert orders[2]["reason"] == "no <shares> to borrow today"
    assert orders[2]["filled_price"] == ""
    assert files[1].name == "day_positions.csv"
    assert [row["qty"] for row in positions] == ["-45", "24"]


@pytest.mark.parametrize("name", ["day.txt", "day", "day.xlsx"])
def test_an_unknown_format_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"\.json, \.csv, \.html"):
        report.save(report.build(day()), tmp_path / name)

    assert list(tmp_path.iterdir()) == []


def test_a_page_without_book_or_signals_has_no_pictures(tmp_path: Path) -> None:
    empty = day()
    built = report.build(
        day(pnl=None, snapshots=(), orders=(), fills=(), signals=empty.signals.clear())
    )

    assert report.pictures(built) == {}
    report.save(built, tmp_path / "day.html")


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_the_ledger_keeps_what_a_run_came_to(ledger: Ledger) -> None:
    report.record(ledger, report.build(day()))

    (run,) = ledger.runs(5)

    assert (run.phase, run.session) == (report.FINISHED, SESSION)
    assert run.at == datetime(2013, 3, 1, 14, 0, 4, 123_000, tzinfo=UTC)
    assert run.detail == {"status": "partial", "num_signals": 5, "num_orders_accepted": 2}


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_a_day_that_was_really_traded_is_reported(ledger: Ledger, tmp_path: Path) -> None:
    broker = SimulatedBroker(tmp_path / "account.db", CostModel(), Decimal(100_000))
    usual, now = day(), datetime(2013, 3, 2, 14, 0, tzinfo=UTC)
    marks = {"AAPL": "441.40", "GOOG": "801.20", "IBM": "200.83", "MSFT": "27.80"}
    settle(ledger, broker, SampleData(), through=SESSION, now=now)
    traded = trade(
        ledger,
        broker,
        usual.target_weights,
        {symbol: Decimal(price) for symbol, price in marks.items()},
        mandate=Mandate(
            strategy=STRATEGY,
            session=SESSION,
            run_id=usual.run_id,
            model_version="3",
            sizing=SizingRules(),
            limits=RiskLimits(),
        ),
        now=now,
    )
    settle(ledger, broker, SampleData(), through=TRADE_SESSION, now=now)
    closes = {"AAPL": "430.47", "GOOG": "806.19", "IBM": "202.91", "MSFT": "27.95"}
    prices = {
        symbol: Mark(price=Decimal(price), source="close") for symbol, price in closes.items()
    }
    pnl = value(ledger, marks=prices, session=TRADE_SESSION, now=now, run_id=usual.run_id)
    orders = ledger.orders(strategy=STRATEGY, session=SESSION)
    fills = ledger.fills([order.client_order_id for order in orders])

    found = report.build(
        replace(usual, orders=orders, fills=fills, skips=traded.skips, pnl=pnl, snapshots=[])
    )

    assert (found.status, found.results.num_orders_filled) == ("success", 4)
    assert found.results.total_notional == sum(fill.quantity * fill.price for fill in fills)
    assert sum(row.commission for row in found.orders) == pnl.fees
    assert found.pnl is not None
    assert found.pnl.nav == found.pnl.cash_in + found.pnl.total - found.pnl.fees
    assert [row.symbol for row in found.skips] == ["FB"]
    report.save(found, tmp_path / "day.html")
