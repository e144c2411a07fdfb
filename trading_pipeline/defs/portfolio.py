"""The asset of target weights."""

import dagster as dg

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.portfolio.targets import sentence
from trading_pipeline.defs.metadata import described
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, sessions_of
from trading_pipeline.defs.resources import allocation_of, cast_of
from trading_pipeline.flows.score import weigh_targets
from trading_pipeline.settings import Settings


@dg.asset(
    deps=["signals"],
    group_name="portfolio",
    owners=["team:research"],
    kinds={"polars", "parquet"},
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
    description="The share of capital wanted in each symbol, long or short: by count, by score, by "
    "volatility, or the best trade-off of return, risk and cost; with what bound it.",
)
def target_weights(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
) -> dg.MaterializeResult:
    """Weigh the signals of the run's sessions."""
    done = weigh_targets(
        lake,
        cast_of(settings),
        sessions_of(context),
        allocation_of(settings),
        sectors=settings.risk.sector_of,
    )
    frame, weights = done.targets, done.targets["target_weight"]
    how = {str(session): sentence(made) for session, made in done.allocations.items()}
    return dg.MaterializeResult(
        metadata=described(
            frame,
            gross=float(weights.abs().sum()),
            net=float(weights.sum()),
            how="; ".join(f"{day}: {said}" for day, said in list(how.items())[-10:]) or "by top_n",
        )
    )
