"""Assets of the model: the release that trades, its predictions, and its challenger."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from trading_pipeline.adapters.lake import Lake, empty
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.core.models.release import Release
from trading_pipeline.core.models.walk import Progress
from trading_pipeline.defs.metadata import described, rounded, table
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, sessions_of
from trading_pipeline.defs.resources import cast_of
from trading_pipeline.defs.training import bench_of, training_of
from trading_pipeline.flows.day import RULES
from trading_pipeline.flows.judge import promotion_gates
from trading_pipeline.flows.know import own_features
from trading_pipeline.flows.lifecycle import running_model
from trading_pipeline.flows.predict import predict, predict_shadow
from trading_pipeline.flows.train import ensure_release, train
from trading_pipeline.flows.training_report import save_page
from trading_pipeline.settings import Settings, utc_now

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
    """Make sure of a release of every model the strategy asks, as of the run's first session."""
    first, found = sessions_of(context)[0], dict[str, Any]()
    models = cast_of(settings).models
    for name in models:
        training = training_of(settings, first, name)
        release = ensure_release(
            lake, model_store, training, now=utc_now(), progress=_teller(context)
        )
        described = _release(release)
        found |= described if len(models) == 1 else {f"{name} {k}": described[k] for k in described}
    return dg.MaterializeResult(metadata=found or {"model_version": RULES})


def _release(release: Release) -> dict[str, Any]:
    card = release.manifest
    return {
        "model_version": release.model_version,
        "trained_from": str(card.trained_from),
        "trained_through": str(card.trained_through),
        "features": f"{len(card.features)} ({card.feature_version})",
        "symbols": ", ".join(card.symbols),
        "mlflow_run": card.run_id,
        **rounded(card.metrics),
    }


@dg.asset(
    **_COMMON,
    deps=["features", "clean_bars", "corporate_actions"],
    kinds={"lightgbm", "mlflow", "html"},
    description="A model trained as of the session, registered in MLflow as challenger, with the "
    "verdict of every gate it would have to pass to trade. It trades only once it is activated. "
    "A range of sessions is one walk-forward study: every session of it is judged out of sample, "
    "by models trained on what came before, and the model is trained as of the last.",
)
def challenger(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
    model_store: dg.ResourceParam[ModelStore],
) -> dg.MaterializeResult:
    """Train as of the run's last session, judge its range, and say whether the model may trade."""
    sessions = sessions_of(context)
    session = sessions[-1]
    since = sessions[0] if len(sessions) > 1 else None
    training = training_of(settings, session, since=since)
    trained = train(lake, model_store, training, progress=_teller(context))
    model = model_store.fetch(settings.strategy, trained.version.version)
    bench = bench_of(settings, lake, session)
    running = running_model(model_store, settings.strategy)
    outcomes = promotion_gates(bench, model, running)
    page = save_page(trained, settings.data_dir / "reports")
    return dg.MaterializeResult(
        metadata={
            "model_version": model.model_version,
            "may_trade": all(one.passed for one in outcomes),
            "gates": verdicts(outcomes),
            "evaluation": trained.judged.sentence(),
            "page": dg.MetadataValue.path(str(page)),
            "trained_from": str(trained.card.trained_from),
            "mlflow_run": trained.version.run_id,
            **rounded(trained.judged.metrics),
        }
    )


def verdicts(outcomes: Sequence[CheckOutcome]) -> dg.MetadataValue:
    """What each gate found, as a table."""
    schema = {"gate": pl.String, "passed": pl.Boolean, "found": pl.String}
    rows = [(one.name, one.passed, one.sentence) for one in outcomes]
    return table(pl.DataFrame(rows, schema=schema, orient="row"))


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
    return _each_model(settings, partial(predict, lake, model_store), sessions_of(context))


@dg.asset(
    **_COMMON,
    deps=["features", "model"],
    kinds={"lightgbm", "parquet"},
    description="What the challenger would have said of each symbol: for comparison with the "
    "champion, in the table of predictions under a name that nothing trades on.",
)
def shadow_predictions(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
    model_store: dg.ResourceParam[ModelStore],
) -> dg.MaterializeResult:
    """Predict the run's sessions with the challenger, if there is one."""
    say = partial(predict_shadow, lake, model_store)
    return _each_model(settings, say, sessions_of(context))


def _each_model(
    settings: Settings, say: Callable[..., pl.DataFrame], sessions: Sequence[date]
) -> dg.MaterializeResult:
    """Let every model the strategy asks say something of the sessions; rules ask none."""
    cast = cast_of(settings)
    parts = [
        say(strategy=name, sessions=sessions, own=own_features(cast, name)) for name in cast.models
    ]
    frame = pl.concat(parts) if parts else empty("predictions")
    return dg.MaterializeResult(metadata=described(frame))
