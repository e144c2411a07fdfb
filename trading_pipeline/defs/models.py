"""Assets of the model: the release that trades, and its predictions."""

import dagster as dg

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.models.walk import Progress
from trading_pipeline.defs.metadata import described
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, sessions_of
from trading_pipeline.flows.predict import predict
from trading_pipeline.flows.train import Training, ensure_release
from trading_pipeline.settings import Settings, source_revision, utc_now

_COMMON = {
    "group_name": "models",
    "owners": ["team:research"],
    "partitions_def": SESSIONS,
    "backfill_policy": BACKFILL,
}


@dg.asset(
    **_COMMON,
    deps=["features", "clean_bars", "corporate_actions"],
    kinds={"lightgbm", "mlflow"},
    description="The release bundle that trades. When there is none, a LightGBM is trained on "
    "sessions whose labels are known, logged and registered in MLflow, and promoted.",
)
def model(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
    model_store: dg.ResourceParam[ModelStore],
) -> dg.MaterializeResult:
    """Make sure of a release as of the first session of the run."""
    training = Training(
        strategy=settings.strategy,
        symbols=settings.symbols,
        as_of=sessions_of(context)[0],
        rules=settings.training,
        convention=settings.adjustment,
        revision=source_revision(),
    )
    release = ensure_release(lake, model_store, training, now=utc_now(), progress=_teller(context))
    card = release.manifest
    return dg.MaterializeResult(
        metadata={
            "model_version": release.model_version,
            "trained_from": str(card.trained_from),
            "trained_through": str(card.trained_through),
            "features": f"{len(card.features)} ({card.feature_version})",
            "symbols": ", ".join(card.symbols),
            "mlflow_run": card.run_id,
            **card.metrics,
        }
    )


def _teller(context: dg.AssetExecutionContext) -> Progress:
    """One log line when training turns to something else: it ticks many times a second."""
    told: set[str] = set()

    def tell(what: str, share: float) -> None:
        if what not in told:
            told.add(what)
            context.log.info(f"training: {what} ({share:.0%} done)")

    return tell


@dg.asset(
    **_COMMON,
    deps=["features", "model"],
    kinds={"lightgbm", "parquet"},
    description="What the released model says of each symbol, with the model's version.",
)
def predictions(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
    model_store: dg.ResourceParam[ModelStore],
) -> dg.MaterializeResult:
    """Predict from the stored features of the run's sessions."""
    frame = predict(lake, model_store, strategy=settings.strategy, sessions=sessions_of(context))
    return dg.MaterializeResult(metadata=described(frame))
