"""The asset of signals."""

import dagster as dg

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.defs.metadata import described
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, sessions_of
from trading_pipeline.flows.score import score
from trading_pipeline.settings import Settings


@dg.asset(
    deps=["predictions", "features", "clean_bars"],
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
) -> dg.MaterializeResult:
    """Score and rank the universe of the run's sessions."""
    frame = score(
        lake,
        strategy=settings.strategy,
        symbols=settings.symbols,
        sessions=sessions_of(context),
    )
    return dg.MaterializeResult(metadata=described(frame, strategy=settings.strategy))
