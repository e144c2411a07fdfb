"""The asset of signals."""

import dagster as dg

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.defs.metadata import at_each, described
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, is_backfill, sessions_of
from trading_pipeline.defs.resources import cast_of
from trading_pipeline.flows.announce import Announcer, of_signals
from trading_pipeline.flows.score import score
from trading_pipeline.settings import Settings, utc_now


@dg.asset(
    deps=["predictions", "features", "clean_bars", "universe"],
    group_name="strategies",
    owners=["team:research"],
    kinds={"polars", "parquet"},
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
    description="What the strategy says of each symbol of the universe, ranked; 1 is the highest.",
)
def signals(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
    announcer: dg.ResourceParam[Announcer],
) -> dg.MaterializeResult:
    """Score and rank the universe of the run's sessions, and say so when it is one."""
    sessions = sessions_of(context)
    frame = score(lake, cast_of(settings), sessions)
    selected = context.job_def.asset_layer.selected_asset_keys
    if len(sessions) == 1 and not is_backfill(context):
        announcer.tell(
            of_signals(
                frame,
                strategy=settings.strategy,
                run_id=context.run_id,
                orders_follow=dg.AssetKey("orders") in selected,
                now=utc_now(),
            )
        )
    told = described(frame, strategy=settings.strategy)
    return dg.MaterializeResult(metadata=at_each(sessions, told))
