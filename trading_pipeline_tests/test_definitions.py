"""What Dagster loads: the graph, its descriptions, its jobs, and when the schedule starts one."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from trading_pipeline.core.market.calendar import sessions_between
from trading_pipeline.definitions import build
from trading_pipeline.defs.partitions import SESSIONS
from trading_pipeline.settings import Settings

NEW_YORK = ZoneInfo("America/New_York")
DAY = {
    "raw_bars",
    "corporate_actions",
    "clean_bars",
    "quarantined_bars",
    "universe",
    "features",
    "model",
    "predictions",
    "signals",
    "target_weights",
    "reconciliation",
    "orders",
    "fills",
    "positions",
    "exposure",
    "pnl",
    "risk",
    "report",
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build(Settings.load(home=tmp_path_factory.mktemp("home")))


def test_the_graph_holds_every_step_of_the_day(definitions: dg.Definitions) -> None:
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert keys >= DAY


def test_dagster_takes_all_of_it_together(definitions: dg.Definitions) -> None:
    """Names that are given twice are found only when everything is loaded, as a server does."""
    definitions.get_repository_def().load_all_definitions()


def test_every_asset_says_what_it_is_who_owns_it_and_where_it_belongs(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.group_name != "default", key
        assert node.kinds, key


def test_every_partitioned_asset_shares_the_sessions_and_runs_a_range_at_once(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    for key in (dg.AssetKey(name) for name in DAY):
        node = graph.get(key)
        assert node.partitions_def == SESSIONS, key
        assert node.backfill_policy == dg.BackfillPolicy.single_run(), key


def test_orders_follow_everything_that_must_hold_before_them(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    before = graph.get_ancestor_asset_keys(dg.AssetKey("orders"))
    names = {key.to_user_string() for key in before}
    assert names >= {"clean_bars", "model", "predictions", "target_weights", "reconciliation"}


def test_partitions_are_exactly_the_sessions_of_the_exchange() -> None:
    with dg.partition_loading_context(effective_dt=datetime(2026, 11, 21, 12, tzinfo=NEW_YORK)):
        keys = SESSIONS.get_partition_keys()
    sessions = sessions_between(datetime(2000, 1, 3).date(), datetime(2026, 11, 20).date())
    # The next session's key appears on the weekend before it: the assets refuse it until it closes.
    assert keys == [*(str(session) for session in sessions), "2026-11-23"]


@pytest.mark.parametrize(
    ("moment", "session"),
    [
        ((2026, 11, 20), "2026-11-19"),  # a Friday
        ((2026, 11, 21), None),  # Saturday
        ((2026, 11, 23), "2026-11-20"),  # Monday decides on Friday
        ((2026, 11, 26), None),  # Thanksgiving
        ((2026, 11, 27), "2026-11-25"),  # the half day after it
        ((2026, 3, 9), "2026-03-06"),  # the Monday after clocks went forward
        ((2026, 11, 2), "2026-10-30"),  # the Monday after they went back
    ],
)
def test_the_schedule_starts_the_day_on_trading_sessions_only(
    definitions: dg.Definitions, moment: tuple[int, int, int], session: str | None
) -> None:
    schedule = definitions.resolve_schedule_def("daily")
    at = datetime(*moment, 9, tzinfo=NEW_YORK)
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at,
            repository_def=definitions.get_repository_def(),
        ) as context,
    ):
        tick = schedule.evaluate_tick(context)
    assert [request.partition_key for request in tick.run_requests or []] == (
        [session] if session else []
    )


def test_the_schedule_is_off_until_switched_on(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("daily")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED


def test_a_vendor_that_cannot_be_read_leaves_the_definitions_loadable(tmp_path: Path) -> None:
    broken = build(
        Settings.load(home=tmp_path, vendor="files", files={"path": tmp_path / "nothing"})
    )
    tags = broken.resolve_job_def("paper_run").tags
    assert "dagster/partition" not in tags
