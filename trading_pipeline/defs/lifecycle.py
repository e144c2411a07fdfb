"""Jobs of a model's life, the sensor that reloads it, the schedule that trains its challenger."""

import dagster as dg

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.model_store import Cause, ModelStore
from trading_pipeline.core.market.calendar import last_closed_session, previous_session
from trading_pipeline.defs.launch_config import LaunchConfig
from trading_pipeline.defs.models import verdicts
from trading_pipeline.defs.partitions import EXCHANGE_ZONE, SESSIONS
from trading_pipeline.defs.resources import announcer
from trading_pipeline.defs.training import bench_of, model_name
from trading_pipeline.defs.versions import JOBS
from trading_pipeline.errors import SettingsError, TradingPipelineError
from trading_pipeline.flows import lifecycle
from trading_pipeline.flows.announce import of_model
from trading_pipeline.flows.judge import Bench
from trading_pipeline.flows.lifecycle import Activated
from trading_pipeline.settings import Settings, utc_now

POLL_SECONDS = 300


class Version(LaunchConfig):
    """Which registered version, and why it."""

    version: str
    reason: str = ""


class Reason(LaunchConfig):
    """Why it is done."""

    reason: str = ""


@dg.op
def activate_version(  # noqa: PLR0917 - Dagster gives them by name
    context: dg.OpExecutionContext,
    config: Version,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
    model_store: dg.ResourceParam[ModelStore],
) -> None:
    """Make a registered version the champion when it passes every gate."""
    done = lifecycle.activate(
        _bench(settings, lake),
        model_store,
        strategy=settings.strategy,
        version=config.version,
        cause=_cause(context, config.reason),
    )
    _tell(context, settings, done)


@dg.op
def reload_champion(
    context: dg.OpExecutionContext,
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[Lake],
    model_store: dg.ResourceParam[ModelStore],
) -> None:
    """Load the version that the registry names champion; the old one stays when it fails."""
    cause = _cause(context, "the registry names it")
    strategy = settings.strategy
    bench = _bench(settings, lake)
    done = lifecycle.reload(bench, model_store, strategy=strategy, cause=cause)
    _tell(context, settings, done)


@dg.op
def roll_back(
    context: dg.OpExecutionContext,
    config: Reason,
    settings: dg.ResourceParam[Settings],
    model_store: dg.ResourceParam[ModelStore],
) -> None:
    """Make the model that traded before the champion again."""
    cause = _cause(context, config.reason)
    done = lifecycle.rollback(model_store, strategy=settings.strategy, cause=cause)
    _tell(context, settings, done)


@dg.op
def deactivate_champion(
    context: dg.OpExecutionContext,
    config: Reason,
    settings: dg.ResourceParam[Settings],
    model_store: dg.ResourceParam[ModelStore],
) -> None:
    """Let no model trade until one is activated."""
    cause = _cause(context, config.reason)
    lifecycle.deactivate(model_store, strategy=settings.strategy, cause=cause)


@dg.job(description="Make a registered version the champion when it passes every gate.")
def activate_model() -> None:
    """One op."""
    activate_version()


@dg.job(description="Load the version that the registry's alias `champion` names.")
def reload_model() -> None:
    """One op."""
    reload_champion()


@dg.job(description="Make the model that traded before the champion again.")
def rollback_model() -> None:
    """One op."""
    roll_back()


@dg.job(description="Let no model trade until one is activated; runs then end with an error.")
def deactivate_model() -> None:
    """One op."""
    deactivate_champion()


@dg.sensor(
    name="model_hot_reload",
    job=reload_model,
    minimum_interval_seconds=POLL_SECONDS,
    description="Starts `reload_model` when the registry names another champion than the one that "
    "trades, or other bytes under its number. What was seen once is not tried again.",
)
def model_hot_reload(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    model_store: dg.ResourceParam[ModelStore],
) -> dg.SensorResult | dg.SkipReason:
    """Look at the registry once; a registry that does not answer is asked again next time."""
    try:
        found = lifecycle.look(model_store, settings.strategy, context.cursor)
    except TradingPipelineError as error:
        context.log.error(str(error))  # noqa: TRY400 - its sentence says it all
        return dg.SkipReason(str(error))
    if not found.reload:
        return dg.SensorResult(skip_reason=found.sentence, cursor=found.cursor)
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=found.cursor)


retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.assets("challenger"),
    partitions_def=SESSIONS,
    description="Train a challenger as of a session and judge it. A range of sessions is one "
    "walk-forward study: all of it is judged out of sample, window by window.",
)


@dg.schedule(
    name="weekly_retrain",
    job=retrain,
    cron_schedule="0 6 * * 6",
    execution_timezone=EXCHANGE_ZONE,
    description="Saturdays at 06:00 America/New_York: a challenger as of the week's last session; "
    "nothing where the strategy that trades has no model of its own.",
)
def weekly_retrain(
    context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a training as of the last session before the schedule's day."""
    try:
        model_name(settings)
    except SettingsError as error:
        return dg.SkipReason(str(error))
    session = previous_session(context.scheduled_execution_time.date())
    return dg.RunRequest(run_key=f"retrain-{session}", partition_key=str(session))


def jobs_and_sensors() -> dg.Definitions:
    """The jobs of a model's life, the sensor and the schedule."""
    return dg.Definitions(
        jobs=[activate_model, deactivate_model, reload_model, retrain, rollback_model, *JOBS],
        schedules=[weekly_retrain],
        sensors=[model_hot_reload],
    )


def _bench(settings: Settings, lake: Lake) -> Bench:
    return bench_of(settings, lake, last_closed_session(utc_now()))


def _cause(context: dg.OpExecutionContext, reason: str) -> Cause:
    return Cause(f"run {context.run_id}", utc_now(), reason)


def _tell(context: dg.OpExecutionContext, settings: Settings, done: Activated) -> None:
    who = f"run {context.run_id}"
    announcer(settings).tell(of_model(done, who=who, now=utc_now()))
    context.add_output_metadata(
        {
            "model_version": done.release.model_version,
            "previous": done.previous or "none",
            "changed": done.changed,
            "gates": verdicts(done.outcomes),
        }
    )
