"""Jobs and schedules: the day, the data of any range, and when the day starts by itself."""

import dagster as dg

from trading_pipeline.core.market.calendar import is_session, previous_session
from trading_pipeline.defs.partitions import EXCHANGE_ZONE, SESSIONS
from trading_pipeline.defs.resources import latest_session
from trading_pipeline.errors import TradingPipelineError
from trading_pipeline.flows.schedule import DAILY, STARTS_AT
from trading_pipeline.settings import Settings

DATA = dg.AssetSelection.assets(
    "raw_bars",
    "corporate_actions",
    "clean_bars",
    "quarantined_bars",
    "universe",
    "features",
    "model",
    "predictions",
    "shadow_predictions",
    "signals",
    "target_weights",
)
"""Everything that can be computed for a range of sessions without touching an account."""

DAY = DATA | dg.AssetSelection.assets(
    "reconciliation", "orders", "fills", "positions", "exposure", "pnl", "risk", "report"
)


def jobs_and_schedules(settings: Settings) -> dg.Definitions:
    """The jobs `data` and `paper_run`, and the schedule `daily`."""
    data = dg.define_asset_job(
        "data",
        selection=DATA,
        partitions_def=SESSIONS,
        description="Everything up to the target weights, for one session or a range in one run.",
    )
    paper_run = dg.define_asset_job(
        "paper_run",
        selection=DAY,
        partitions_def=SESSIONS,
        tags={**_default_partition(settings), "dagster/max_retries": "0"},
        description="The trading day of one session: data, checks, model, signals, target weights, "
        "orders for the next open, fills, positions, P&L and the report. Without a partition, the "
        "latest session.",
    )

    @dg.schedule(
        name=DAILY,
        job=paper_run,
        cron_schedule=f"{STARTS_AT.minute} {STARTS_AT.hour} * * *",
        execution_timezone=EXCHANGE_ZONE,
        description="09:00 America/New_York on trading sessions: decides on the session that "
        "closed last, before the open its orders are for.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.date()
        if not is_session(today):
            return dg.SkipReason(f"{today} is no trading session.")
        session = previous_session(today)
        return dg.RunRequest(run_key=f"paper_run-{session}", partition_key=str(session))

    return dg.Definitions(jobs=[data, paper_run], schedules=[daily])


def _default_partition(settings: Settings) -> dict[str, str]:
    """The tag that names the session of a run started bare, as by `dagster job execute`.

    A partition chosen in the UI, by a schedule or by `--tags` replaces it. A vendor that cannot be
    read leaves it out: then a bare start fails, and everything else still loads.
    """
    try:
        return {"dagster/partition": str(latest_session(settings))}
    except TradingPipelineError:
        return {}
