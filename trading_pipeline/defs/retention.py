"""What runs have left behind in Dagster's records, and how long it stays there.

The records of days, backfills and training stay for good: they are the history of each asset. What
those runs printed goes after a while, and runs that only watched, hundreds a day, go as a whole.
"""

from datetime import datetime, timedelta
from typing import Final

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from trading_pipeline.defs.partitions import EXCHANGE_ZONE
from trading_pipeline.logs import LogRules
from trading_pipeline.settings import Settings, utc_now

WATCHERS: Final = ("reconcile", "risk_monitor")
"""Jobs that leave nothing but what they wrote to the ledger."""


def forget(instance: dg.DagsterInstance, rules: LogRules, *, now: datetime) -> tuple[int, int]:
    """Delete what is over its time; how many runs went, and of how many the output."""
    watched = _ended(instance, now - timedelta(days=rules.watch_days), WATCHERS)
    for run_id in watched:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
    old = _ended(instance, now - timedelta(days=rules.output_days), None)
    for run_id in old:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    return len(watched), len(old)


def _ended(
    instance: dg.DagsterInstance, before: datetime, jobs: tuple[str, ...] | None
) -> list[str]:
    """The runs that began before, and are over."""
    names = jobs or (None,)
    filters = [
        dg.RunsFilter(job_name=name, statuses=FINISHED_STATUSES, created_before=before)
        for name in names
    ]
    return [run.run_id for each in filters for run in instance.get_runs(each)]


@dg.op(name="forget_old_output")
def _forget(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    runs, outputs = forget(context.instance, settings.keep, now=utc_now())
    context.log.info(f"{runs} watching runs deleted, output of {outputs} runs is gone")


@dg.job(description="Delete what runs printed, and runs that only watched, when they are old.")
def forget_old_runs() -> None:
    """Forget what is over its time."""
    _forget()


@dg.schedule(
    job=forget_old_runs,
    cron_schedule="0 3 * * *",
    execution_timezone=EXCHANGE_ZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night. How long what is kept: TP_KEEP__….",
)
def nightly_retention() -> dg.RunRequest:
    """Start the job."""
    return dg.RunRequest()


def job_and_schedule() -> dg.Definitions:
    """The job, and the schedule that is on by itself."""
    return dg.Definitions(jobs=[forget_old_runs], schedules=[nightly_retention])
