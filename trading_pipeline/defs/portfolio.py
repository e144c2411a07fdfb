"""The asset of target weights."""

import dagster as dg

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.defs.metadata import described
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, sessions_of
from trading_pipeline.flows.score import weigh_targets
from trading_pipeline.settings import Settings


@dg.asset(
    deps=["signals"],
    group_name="portfolio",
    owners=["team:research"],
    kinds={"polars", "parquet"},
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
    description="The share of capital wanted in each symbol: the top names long, the bottom short.",
)
def target_weights(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
) -> dg.MaterializeResult:
    """Weigh the signals of the run's sessions."""
    frame = weigh_targets(
        lake,
        strategy=settings.strategy,
        sessions=sessions_of(context),
        rules=settings.portfolio,
    )
    weights = frame["target_weight"]
    return dg.MaterializeResult(
        metadata=described(
            frame,
            gross=float(weights.abs().sum()),
            net=float(weights.sum()),
        )
    )
