"""The sensor that tells people what they should know of."""

import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from typing import Any, Final

import dagster as dg

from trading_pipeline.adapters.run_records import RunRecords
from trading_pipeline.defs.channels import channels
from trading_pipeline.defs.failures import failure_of_run
from trading_pipeline.defs.resources import ledger as open_ledger
from trading_pipeline.flows.notify import Told, notices_of, notify
from trading_pipeline.settings import Settings, dagster_database_url, utc_now

EVERY_SECONDS: Final = 20


def sensor(settings: Settings) -> dg.Definitions:
    """The sensor `notifications`, which runs by itself where a channel is set."""
    ways = channels(settings.alerts)
    running = dg.DefaultSensorStatus.RUNNING if ways else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="notifications",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=running,
        description="Tells Slack, PagerDuty, e-mail or a webhook, whichever are set: runs that "
        "failed, each day's summary, the breaker, halts, and differences to the broker. Each once, "
        "and no more than TP_ALERTS__PER_HOUR an hour. The cursor is what has been told.",
    )
    def notifications(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not ways:
            return dg.SkipReason("No channel is set: see TP_ALERTS__… in the settings.")
        now, before = utc_now(), told_of(context.cursor)
        records = RunRecords(url=dagster_database_url(), home=settings.home)
        with ExitStack() as opened:
            notices = notices_of(
                lambda: opened.enter_context(closing(open_ledger(settings))),
                records,
                now,
                why=lambda run_id: failure_of_run(context.instance, run_id).sentence,
            )
        after = notify(notices, ways, before, per_hour=settings.alerts.per_hour, now=now)
        context.update_cursor(cursor_of(after))
        return dg.SkipReason(f"{len(set(after) - set(before))} notices told.")

    return dg.Definitions(sensors=[notifications])


def cursor_of(told: Sequence[Told]) -> str:
    """What has been told, as text."""
    return json.dumps([[each.channel, each.key, each.at.isoformat()] for each in told])


def told_of(cursor: str | None) -> list[Told]:
    """Read it back; a cursor that somebody emptied says that nothing has been told."""
    rows: list[Any] = json.loads(cursor or "[]")
    return [Told(name, key, datetime.fromisoformat(at)) for name, key, at in rows]
