"""What the quality gate shows at each session of a range."""

import dagster as dg
import polars as pl
import pytest

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.calendar import FIRST_SESSION
from trading_pipeline.defs.market import quality_gate
from trading_pipeline.settings import Settings
from trading_pipeline_tests.factories import FrameVendor, bars_of, sessions_from
from trading_pipeline_tests.flows.market_days import both

DAYS = sessions_from(FIRST_SESSION, 8)  # there is no history before them to make first
CRASH, AWAY = DAYS[4], DAYS[6]
NAMES = ("AAA", "BBB", "CCC", "DDD", "EEE")
CLOSES = {name: [5.0 + 0.1 * day for day in range(8)] for name in NAMES[1:]}
CLOSES["AAA"] = [100.0, 101.0, 102.0, 101.0, 48.0, 47.0, 48.0, 49.0]
BARS = bars_of(CLOSES, first=DAYS[0]).filter(
    ~((pl.col("symbol") == "BBB") & (pl.col("session") == AWAY))
)


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> dg.ExecuteInProcessResult:
    """One run over all sessions."""
    tmp_path = tmp_path_factory.mktemp("gated")
    lake = Lake(tmp_path / "lake")
    both(lake, FrameVendor(BARS), DAYS, symbols=NAMES)
    settings = Settings(home=tmp_path, symbols=NAMES, restatement_sessions=0)
    defs = dg.Definitions(
        [quality_gate],
        jobs=[dg.define_asset_job("gate", selection=[quality_gate])],
        resources={"settings": settings, "lake": lake},
    )
    ends = {"start": str(DAYS[0]), "end": str(DAYS[-1])}
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def("gate").execute_in_process(
            instance=instance,
            tags={f"dagster/asset_partition_range_{end}": day for end, day in ends.items()},
        )


def test_each_session_of_a_range_has_its_own_numbers(gated: dg.ExecuteInProcessResult) -> None:
    told = {
        str(event.partition): event.materialization.metadata
        for event in gated.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("clean_bars")
    }
    assert list(told) == [str(day) for day in DAYS]
    suspects, clean = (
        [told[str(day)][name].value for day in DAYS] for name in ("suspects", "clean")
    )
    assert suspects == [float(day == CRASH) for day in DAYS]
    assert clean == [4.0 if day == AWAY else 5.0 for day in DAYS]


def test_a_check_over_a_range_names_its_bad_sessions(gated: dg.ExecuteInProcessResult) -> None:
    found = {one.check_name: one for one in gated.get_asset_check_evaluations()}
    assert not found["suspects"].passed
    assert found["suspects"].metadata["failed_sessions"].value == str(CRASH)
    assert found["missing_sessions"].metadata["failed_sessions"].value == str(DAYS[7])
    assert found["coverage"].passed
