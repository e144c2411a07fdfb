"""The asset of features."""

import dagster as dg
import polars as pl

from trading_pipeline.adapters.feature_store import FeatureSet
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.features.alpha158 import NAMES, VERSION
from trading_pipeline.defs.metadata import at_each, described
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, sessions_of
from trading_pipeline.defs.resources import feature_store
from trading_pipeline.flows.featurize import featurize
from trading_pipeline.flows.recall import refresh
from trading_pipeline.flows.window import with_history
from trading_pipeline.settings import Settings


@dg.asset(
    # The look-back is no partition mapping: with one, a backfill of the web page is cut into
    # several runs, and takes in the 60 sessions after its range too. `with_history` sees to it.
    deps=["clean_bars", "corporate_actions"],
    group_name="features",
    owners=["team:research"],
    kinds={"polars", "parquet"},
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
    description="Alpha158 of each symbol with a clean bar, from the 60 sessions before: the same "
    "function that training uses.",
)
def features(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
) -> dg.MaterializeResult:
    """Compute and store Alpha158 of the run's sessions."""
    asked, symbols = sessions_of(context), settings.symbols
    history = settings.feature_history
    frame = featurize(
        lake,
        sessions=with_history(
            lake,
            "features",
            asked,
            history=history,
            symbols=symbols,
            again=settings.restatement_sessions,
        ),
        symbols=symbols,
        convention=settings.adjustment,
    )
    newest = frame.filter(pl.col("session") == asked[-1])
    refresh(feature_store(settings), FeatureSet(settings.strategy, VERSION, NAMES), newest)
    told = described(frame, columns=frame.width - 3)
    return dg.MaterializeResult(metadata=at_each(asked, told))
