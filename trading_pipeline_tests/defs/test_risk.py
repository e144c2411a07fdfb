"""Risk in Dagster: the asset of limit use, the kill switch as jobs, the sensor's turns."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.defs import risk
from trading_pipeline.defs.resources import desk, resources
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.halt import stop
from trading_pipeline.settings import Settings
from trading_pipeline_tests.fakes import NOW, make_decision, make_fill, make_order
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
    assert "10 shares of AAPL against 0" in found.reason


def test_the_asset_shows_the_use_of_every_limit(settings: Settings, ledger: Ledger) -> None:
    shown = dg.materialize([risk.risk], partition_key="2012-06-01", resources=resources(settings))
    (made,) = shown.asset_materializations_for_node("risk")
    assert made.metadata["state"].value == "active"
    assert made.metadata["breaches"].value == 0
    assert "gross_exposure" in str(made.metadata["use"].value)
    (check,) = shown.get_asset_check_evaluations()
    assert check.passed


def test_a_backfill_measures_nothing(settings: Settings, ledger: Ledger) -> None:
    skipped = dg.materialize(
        [risk.risk],
        partition_key="2012-06-01",
        resources=resources(settings),
        tags={"dagster/backfill": "abcdefgh"},
    )
    assert skipped.success
    assert skipped.asset_materializations_for_node("risk") == []


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
