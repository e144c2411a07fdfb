"""What runs have said is kept for its time, and what an asset has become for good."""

import shutil
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from trading_pipeline.defs.retention import forget
from trading_pipeline.logs import LogRules
from trading_pipeline.settings import utc_now

RULES = LogRules(output_days=30, watch_days=7)


@dg.asset
def thing() -> None:
    """An asset."""


@dg.job(name="risk_monitor")
def watching() -> None:
    """A job that only watches."""

    @dg.op
    def watch() -> None:
        print("nothing new")

    watch()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home with the project's own dagster.yaml."""
    shutil.copy(Path(__file__).parents[2] / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def test_watching_runs_go_first_and_output_later_and_the_history_of_an_asset_stays(
    home: Path,
) -> None:
    with dg.DagsterInstance.get() as instance:
        watched = watching.execute_in_process(instance=instance).run_id
        made = dg.materialize([thing], instance=instance).run_id
        printed = home / "data/dagster/storage" / made

        def after(**days: int) -> tuple[int, int]:
            return forget(instance, RULES, now=utc_now() + timedelta(**days))

        assert after(days=6) == (0, 0)
        assert after(days=8) == (1, 0)
        assert instance.get_run_by_id(watched) is None
        assert printed.is_dir()
        assert after(days=31) == (0, 1)
        assert not printed.exists()
        assert instance.get_run_by_id(made) is not None
        assert instance.get_latest_materialization_event(dg.AssetKey("thing")) is not None
