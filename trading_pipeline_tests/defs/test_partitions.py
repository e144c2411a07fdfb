"""A range of sessions is one run, computes what single days compute, and never trades."""

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import (
    last_closed_session,
    next_session,
    sessions_between,
)
from trading_pipeline.definitions import build
from trading_pipeline.defs.partitions import SESSIONS as PARTITIONS
from trading_pipeline.defs.schedules import DAY
from trading_pipeline.settings import Settings, utc_now
from trading_pipeline_tests.whole_day import SMALL_TRAINING, books

FROM, TO = date(2012, 11, 2), date(2012, 11, 30)
SESSIONS = sessions_between(FROM, TO)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in SMALL_TRAINING.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return Settings.load(home=home, data_dir=home / "data")


def _range(settings: Settings, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """Everything for the range in one run, with the tags that a backfill of the UI sets."""
    everything = dg.define_asset_job("everything", selection=DAY, partitions_def=PARTITIONS)
    definitions = dg.Definitions.merge(build(settings), dg.Definitions(jobs=[everything]))
    return definitions.resolve_job_def("everything").execute_in_process(
        instance=instance,
        run_config=QUIET,
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": str(FROM),
            "dagster/asset_partition_range_end": str(TO),
            "dagster/backfill": "abcdefgh",
        },
    )


def test_a_backfill_of_everything_makes_the_data_and_never_sends_an_order(
    home: Path, settings: Settings
) -> None:
    before = books(home)
    with dg.DagsterInstance.ephemeral() as instance:
        result = _range(settings, instance)
        made = {
            event.asset_key.to_user_string()
            for event in result.all_events
            if event.is_step_materialization and event.asset_key
        }
    assert result.success
    assert {"raw_bars", "clean_bars", "features", "predictions", "target_weights"} <= made
    assert made.isdisjoint({"orders", "fills", "positions", "pnl", "report"})
    assert books(home) == before
    lake = Lake(settings.data_dir / "lake")
    assert lake.held("target_weights", FROM, TO) == set(SESSIONS)


def test_a_range_gives_what_its_sessions_give_one_by_one(home: Path, settings: Settings) -> None:
    lake = Lake(settings.data_dir / "lake")
    day, data = SESSIONS[4], build(settings).resolve_job_def("data")
    with dg.DagsterInstance.ephemeral() as instance:
        assert _range(settings, instance).success
        tables = ("clean_bars", "features", "predictions", "signals", "target_weights")
        ranged = {table: lake.read(table, day, day) for table in tables}
        single = data.execute_in_process(
            instance=instance, run_config=QUIET, partition_key=str(day)
        )
        assert single.success
    for table, frame in ranged.items():
        assert lake.read(table, day, day).equals(frame), table


def test_the_day_itself_cannot_be_run_over_a_range(settings: Settings) -> None:
    job = build(settings).resolve_job_def("paper_run")
    with (
        dg.DagsterInstance.ephemeral() as instance,
        pytest.raises(dg.DagsterInvariantViolationError, match="dagster/partition"),
    ):
        job.execute_in_process(
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": str(FROM),
                "dagster/asset_partition_range_end": str(TO),
            },
        )


@pytest.mark.parametrize(
    "day", ["2012-11-03", "2099-01-05", str(next_session(last_closed_session(utc_now())))]
)
def test_a_day_that_is_no_closed_session_is_refused(settings: Settings, day: str) -> None:
    """Dagster runs whatever day a tag names: the assets do not."""
    job = build(settings).resolve_job_def("data")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance,
            run_config=QUIET,
            raise_on_error=False,
            tags={"dagster/partition": day},
        )
    assert not result.success
    failed = [event for event in result.all_events if event.is_step_failure]
    assert failed
    assert day in str(failed[0].step_failure_data.error)
