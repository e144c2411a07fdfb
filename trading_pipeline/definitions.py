"""What Dagster loads: a table of contents."""

import warnings

import dagster as dg

from trading_pipeline import logs

# Dagster marks what the platform is built on (backfill policies, owners) as beta, once a use.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
# Without `partitions_def` a schedule of the job would start a run on closed days.
warnings.filterwarnings("ignore", message="Parameter `partitions_def`", category=DeprecationWarning)

from trading_pipeline.defs import (  # noqa: E402 - after the filters, which their decorators need
    accounting,
    backtest,
    console,
    events,
    execution,
    features,
    lifecycle,
    market,
    models,
    notifications,
    portfolio,
    reconciliation,
    retention,
    risk,
    schedules,
    strategies,
    stream,
    sweep,
)
from trading_pipeline.defs.resources import resources  # noqa: E402
from trading_pipeline.settings import Settings  # noqa: E402

# One process a run. As Dagster has it, a run's configuration could say that a step need not wait
# for the one before it to succeed: orders would leave although a blocking check has failed.
IN_PROCESS = dg.in_process_executor.configured(lambda _: {}, name="in_process", config_schema={})


def build(settings: Settings) -> dg.Definitions:
    """The definitions for `settings`: the web UI and the CLI load the very same ones."""
    assets = dg.Definitions(
        assets=dg.load_assets_from_modules(
            [
                market,
                features,
                models,
                strategies,
                portfolio,
                reconciliation,
                execution,
                accounting,
                risk,
                backtest,
            ]
        ),
        resources=resources(settings),
        executor=IN_PROCESS,
    )
    return dg.Definitions.merge(
        assets,
        schedules.jobs_and_schedules(settings),
        lifecycle.jobs_and_sensors(),
        backtest.jobs(),
        sweep.jobs(),
        risk.jobs_and_sensor(settings),
        notifications.sensor(settings),
        stream.jobs_and_sensors(settings),
        events.jobs_and_sensor(settings),
        reconciliation.jobs_and_schedule(),
        retention.job_and_schedule(),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions for the settings of the environment."""
    settings = Settings.load()
    logs.configure(settings.log_level)  # in every process that loads them: servers, runs, steps
    logs.name_service("dagster")
    console.speak_json()
    return build(settings)
