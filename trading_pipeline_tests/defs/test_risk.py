"""Risk in Dagster: the asset of limit use, the kill switch as jobs, the sensor's turns."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, Position
from trading_pipeline.core.accounting.pnl import Mark, mark
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.definitions import build
from trading_pipeline.defs import execution, risk
from trading_pipeline.defs.resources import desk, resources
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.day import Desk
from trading_pipeline.flows.halt import stop
from trading_pipeline.settings import Settings
from trading_pipeline_tests.factories import bars_of
from trading_pipeline_tests.fakes import (
    NOW,
    accepted,
    make_decision,
    make_fill,
    make_order,
    targets_of,
)
from trading_pipeline_tests.fakes import filled as filled_steps

OPS = {
    "halt": "halt_trading",
    "resume": "resume_trading",
    "reduce": "reduce_positions",
    "flatten": "flatten_positions",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path)


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    """The ledger of the settings, holding 10 AAPL and the account's opening deposit."""
    opened = desk(settings)
    order = make_order("AAPL")
    opened.ledger.append_cash_entries(opened.broker.activities())
    opened.ledger.record_decision(make_decision(), [order])
    fill = make_fill(order)
    opened.ledger.append(at=NOW, orders=filled_steps(order, fill), fills=[fill])
    return opened.ledger


def run(settings: Settings, job: str, **config: Any) -> dg.ExecuteInProcessResult:
    defs = dg.Definitions.merge(
        dg.Definitions(resources=resources(settings)), risk.jobs_and_sensor(settings)
    )
    run_config = {"ops": {OPS[job]: {"config": config}}} if job in OPS else {}
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def(job).execute_in_process(
            run_config=run_config, instance=instance
        )


def test_a_job_stops_trading_and_another_one_lets_it_go_on(
    settings: Settings, ledger: Ledger
) -> None:
    words = {"reason": "odd fills", "by": "ada"}
    assert run(settings, "halt", confirm="halt", **words).success
    assert ledger.trading_state()[:3] == (TradingState.HALTED, "odd fills", "ada")
    assert run(settings, "resume", confirm="resume", **words).success
    assert ledger.trading_state().state is TradingState.ACTIVE
    assert run(settings, "reduce", confirm="reduce", **words).success
    assert ledger.trading_state().state is TradingState.REDUCING


def test_flatten_sends_closing_orders(settings: Settings, ledger: Ledger) -> None:
    assert run(settings, "flatten", confirm="flatten", reason="Fire.").success
    (order,) = ledger.orders(strategy="flatten")
    assert (order.symbol, order.signed_quantity) == ("AAPL", -10)


@pytest.mark.parametrize("job", sorted(OPS))
def test_no_job_acts_without_its_confirmation(settings: Settings, ledger: Ledger, job: str) -> None:
    before = ledger.trading_state()
    for config in ({"confirm": "yes", "reason": "x"}, {"confirm": job, "reason": " "}):
        with pytest.raises(SettingsError, match=f"confirm: {job}"):
            run(settings, job, **config)
    assert ledger.trading_state() == before


def test_the_monitor_finds_a_book_that_is_not_the_brokers(
    settings: Settings, ledger: Ledger
) -> None:
    assert run(settings, "risk_monitor").success  # the broker does not hold the 10 AAPL
    found = ledger.trading_state()
    assert (found.state, found.who) == (TradingState.HALTED, "breaker")
    assert "dollars of cash against 100000" in found.reason


@pytest.mark.parametrize(("on_breach", "sold"), [("propose", []), ("act", [5])])
def test_the_monitor_cures_a_breach_where_it_is_told_to_act(
    settings: Settings, ledger: Ledger, on_breach: str, sold: list[int]
) -> None:
    held = Position(symbol="AAPL", quantity=Decimal(10), cost=Decimal(1_000))
    book = Book(cash=Decimal(99_000), cash_in=Decimal(100_000), positions={"AAPL": held})
    marks = {"AAPL": Mark(price=Decimal(100), source="close")}
    ledger.append_snapshot(mark(book, marks, date(2012, 6, 4)), run_id="r", at=NOW)
    rules = {"on_breach": on_breach, "max_breaks": 1_000, "max_model_failures": 100}
    limits = {"max_position_quantity": 5, "breaker": rules}
    assert run(Settings.load(home=settings.home, risk=limits), "risk_monitor").success
    assert [order.quantity for order in ledger.orders(strategy="reduce")] == sold


def test_the_asset_shows_the_use_of_every_limit(settings: Settings, ledger: Ledger) -> None:
    for session, cash in ((date(2012, 5, 31), 100_000), (date(2012, 6, 1), 98_987)):
        book = Book(cash=Decimal(cash), cash_in=Decimal(cash))
        ledger.append_snapshot(mark(book, {}, session), run_id="r", at=NOW)
    shown = dg.materialize([risk.risk], partition_key="2012-06-01", resources=resources(settings))
    (made,) = shown.asset_materializations_for_node("risk")
    assert made.metadata["state"].value == "active"
    assert made.metadata["breaches"].value == 0
    assert "data:image/png" in str(made.metadata["headroom"].value)
    codes = {record.data["limit"] for record in made.metadata["limits"].records}
    assert {"gross_exposure", "net_exposure", "borrowing", "concentration"} <= codes
    (check,) = shown.get_asset_check_evaluations()
    assert check.passed


@pytest.fixture
def with_all_else_down(settings: Settings, tmp_path: Path) -> Settings:
    """The same ledger and broker; no vendor, no Redis, no MLflow."""
    nowhere = "127.0.0.1:1"
    down = {
        "vendor": "files",
        "files": {"path": tmp_path / "nowhere"},
        "redis_url": f"redis://{nowhere}/0",
        "mlflow_tracking_uri": f"http://{nowhere}",
    }
    return Settings.load(home=settings.home, **down)


def test_the_kill_switch_works_with_all_else_down(
    with_all_else_down: Settings, ledger: Ledger
) -> None:
    assert build(with_all_else_down).resolve_job_def("halt")  # what Dagster loads is there
    for job in ("halt", "resume", "reduce", "flatten"):
        assert run(with_all_else_down, job, confirm=job, reason="Drill.").success, job
    assert run(with_all_else_down, "risk_monitor").success
    assert [order.symbol for order in ledger.orders(strategy="flatten")] == ["AAPL"]


def test_the_sensor_starts_the_monitor_within_a_minute_of_a_halt_by_hand(
    settings: Settings, ledger: Ledger
) -> None:
    definitions = dg.Definitions.merge(
        dg.Definitions(resources=resources(settings)), risk.jobs_and_sensor(settings)
    )
    sensor = definitions.get_sensor_def("risk_watch")
    assert sensor.minimum_interval_seconds is not None
    assert sensor.minimum_interval_seconds <= 60
    with dg.DagsterInstance.ephemeral() as instance:
        before = dg.build_sensor_context(instance=instance, definitions=definitions)
        sensor.evaluate_tick(before)
        stop(ledger, TradingState.HALTED, who="ada", reason="Drill.", now=NOW)
        after = dg.build_sensor_context(
            instance=instance, cursor=before.cursor, definitions=definitions
        )
        (request,) = sensor.evaluate_tick(after).run_requests or []
    assert request.run_key is not None
    assert request.run_key.startswith("state-halted")


def test_a_backfill_measures_nothing(settings: Settings, ledger: Ledger) -> None:
    skipped = dg.materialize(
        [risk.risk],
        partition_key="2012-06-01",
        resources=resources(settings),
        tags={"dagster/backfill": "abcdefgh"},
    )
    assert skipped.success
    assert skipped.asset_materializations_for_node("risk") == []


def lake_of_one_order(settings: Settings) -> Desk:
    """A desk whose lake asks for 10 000 dollars of AAPL on June 1, and whose account is open."""
    opened, session = desk(settings), date(2012, 6, 1)
    named = {"symbol": ["AAPL"], "session": [session], "strategy": [settings.strategy]}
    predicted = pl.DataFrame({**named, "prediction": [0.0], "model_version": ["7"]})
    opened.lake.write("clean_bars", bars_of({"AAPL": [100.0]}, first=session), [session])
    opened.lake.write("predictions", predicted, [session])
    opened.lake.write("target_weights", targets_of(session, AAPL=0.1), [session])
    opened.ledger.append_cash_entries(opened.broker.activities())
    return opened


@pytest.mark.parametrize("tags", [{}, {"dagster/backfill": "abcdefgh"}])
def test_a_dry_run_or_a_backfill_of_the_orders_sends_nothing_and_is_within_limits(
    settings: Settings, tags: dict[str, str]
) -> None:
    opened, session = lake_of_one_order(settings), date(2012, 6, 1)
    done = dg.materialize(
        [execution.orders, execution.fills],
        partition_key=str(session),
        resources={**resources(settings), "desk": opened},
        run_config={"ops": {"orders": {"config": {"dry_run": not tags}}}},
        tags=tags,
        raise_on_error=False,
    )
    assert done.success
    assert [check.passed for check in done.get_asset_check_evaluations()] == [True]
    assert done.asset_materializations_for_node("fills") == []
    assert opened.ledger.orders() == []


def test_an_order_that_is_out_over_a_limit_stops_the_day_ahead_of_its_fills(
    settings: Settings,
) -> None:
    opened, session = lake_of_one_order(settings), date(2012, 6, 1)
    order = make_order("AAPL", quantity=Decimal(900))  # 90 000 dollars: our record is wrong
    opened.ledger.record_decision(make_decision(), [order])
    opened.broker.submit(order)
    opened.ledger.append(at=NOW, orders=accepted(order))
    done = dg.materialize(
        [execution.orders, execution.fills],
        partition_key=str(session),
        resources={**resources(settings), "desk": opened},
        raise_on_error=False,
    )
    (check,) = done.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.blocking) == ("orders_within_limits", False, True)
    assert "The order would be worth 90,000.00 dollars" in str(check.description)
    assert opened.ledger.fills([order.client_order_id]) == []
    assert done.asset_materializations_for_node("fills") == []


def test_the_monitor_is_due_once_a_minute_in_market_hours_and_at_each_change(
    ledger: Ledger,
) -> None:
    opening = datetime(2012, 6, 4, 14, 0, tzinfo=UTC)
    night = opening + timedelta(hours=12)
    cursor, key = risk.look_due(ledger, opening, None)
    assert key == "minute-201206041400"
    assert risk.look_due(ledger, opening + timedelta(minutes=1), cursor)[1] != key
    assert risk.look_due(ledger, night, cursor) == (cursor, None)
    assert risk.look_due(ledger, night + timedelta(days=5), None)[1] is None
    stop(ledger, TradingState.HALTED, who="ada", reason="Drill.", now=night)
    changed, key = risk.look_due(ledger, night, cursor)
    assert key is not None
    assert key.startswith("state-halted")
    assert risk.look_due(ledger, night, changed) == (changed, None)
