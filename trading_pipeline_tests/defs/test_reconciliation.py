"""Reconciliation in Dagster: the asset orders wait for, the job, and what pnl is checked by."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.entries import EntryKind
from trading_pipeline.defs import accounting, reconciliation
from trading_pipeline.defs.resources import desk, resources
from trading_pipeline.settings import Settings
from trading_pipeline_tests.fakes import SESSION, make_decision, make_entry, make_fill, make_order

SUMMER = datetime(2026, 6, 2, 14, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path)


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    """Books that know of the broker's deposit and have decided a session."""
    opened = desk(settings)
    opened.ledger.append_cash_entries(opened.broker.activities())
    opened.ledger.record_decision(make_decision(), [])
    return opened.ledger


def run(settings: Settings, asset: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [asset],
        partition_key=str(SESSION),
        resources=resources(settings),
        raise_on_error=False,
    )


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    return {
        each.check_name: (each.passed, each.description or "")
        for each in result.get_asset_check_evaluations()
    }


def told(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    found = {
        made.asset_key.to_user_string(): made.metadata
        for event in result.get_asset_materialization_events()
        for made in [event.materialization]
    }
    return {name: value.value for name, value in found[asset].items()}


def test_books_that_tie_out_let_orders_go(settings: Settings, ledger: Ledger) -> None:
    result = run(settings, reconciliation.reconciliation)
    assert {name: passed for name, (passed, _) in checks(result).items()} == {
        "cash_ties": True,
        "books_tie": True,
    }
    assert told(result, "reconciliation")["held"] == 0
    assert len(ledger.reconciliations(9)) == 1


def test_cash_that_does_not_tie_fails_a_blocking_check_and_says_by_how_much(
    settings: Settings, ledger: Ledger
) -> None:
    odd = make_entry("odd", "-200", session=SESSION, kind=EntryKind.WITHDRAWAL)
    ledger.append_cash_entries([odd])
    found = checks(run(settings, reconciliation.reconciliation))
    assert {name: passed for name, (passed, _) in found.items()} == {
        "cash_ties": False,
        "books_tie": False,
    }
    assert "99800 dollars of cash against 100000" in found["cash_ties"][1]
    (spec,) = [
        each for each in reconciliation.reconciliation.check_specs if each.name == "cash_ties"
    ]
    assert spec.blocking


def test_a_dry_run_compares_and_writes_nothing(settings: Settings, ledger: Ledger) -> None:
    dry = Settings.load(home=settings.home, dry_run=True)
    assert run(dry, reconciliation.reconciliation).success
    assert ledger.reconciliations(9) == []


def test_the_job_reconciles_once_and_its_schedule_keeps_to_open_hours(
    settings: Settings, ledger: Ledger
) -> None:
    defs = dg.Definitions.merge(
        dg.Definitions(resources=resources(settings)), reconciliation.jobs_and_schedule()
    )
    with dg.DagsterInstance.ephemeral() as instance:
        assert defs.resolve_job_def("reconcile").execute_in_process(instance=instance).success
    assert [made.cause for made in ledger.reconciliations(9)] == ["schedule"]
    asked = {
        hour: reconciliation.every_five_minutes(
            dg.build_schedule_context(scheduled_execution_time=SUMMER.replace(hour=hour))
        )
        for hour in (12, 14)
    }
    assert isinstance(asked[12], dg.SkipReason)
    assert isinstance(asked[14], dg.RunRequest)


def test_the_accounts_are_shown_by_strategy_and_their_checks_hold(
    settings: Settings, ledger: Ledger
) -> None:
    orders = [make_order("AAPL", session=SESSION.replace(day=4), sequence=1)]
    ledger.record_decision(make_decision(orders[0].session), orders)
    ledger.append_fills([make_fill(orders[0], session=SESSION)])
    result = run(settings, accounting.accounts)
    assert {name: passed for name, (passed, _) in checks(result).items()} == {
        "nav_change": True,
        "double_entry": True,
        "all_marked": True,
    }
    assert told(result, "positions")["dagster/row_count"] == 1
    strategies = told(result, "pnl")["per_strategy"]
    assert [row.data["strategy"] for row in strategies.records] == ["account", "alpha_baseline"]
    shown = told(result, "exposure")
    assert shown["gross"] == shown["net"] == shown["long"] > 0
