"""Reconciliation: the asset that orders wait for, and the job that looks every five minutes."""

from typing import Any

import dagster as dg
import polars as pl

from trading_pipeline.core.execution.breaks import Break, Reconciliation
from trading_pipeline.defs.metadata import table
from trading_pipeline.defs.partitions import (
    BACKFILL,
    EXCHANGE_ZONE,
    SESSIONS,
    is_backfill,
    session_of,
)
from trading_pipeline.defs.risk import is_market_open
from trading_pipeline.flows.announce import Announcer, FillWatch
from trading_pipeline.flows.day import Desk, tie_out
from trading_pipeline.flows.reconcile import SCHEDULED, reconcile
from trading_pipeline.settings import Settings, utc_now

TIES = "Our cash and the broker's are equal to the cent."
ALL_TIE = "Orders, positions and cash are those of the broker."


@dg.multi_asset(
    name="reconciliation",
    specs=[
        dg.AssetSpec(
            "reconciliation",
            deps=["target_weights"],
            group_name="execution",
            owners=["team:trading"],
            kinds={"sql"},
            skippable=True,
            description="Our books against the broker's: what was adopted, and what is held as a "
            "break that keeps its symbol, or everything, from being traded.",
        )
    ],
    check_specs=[
        dg.AssetCheckSpec("cash_ties", asset="reconciliation", blocking=True, description=TIES),
        dg.AssetCheckSpec("books_tie", asset="reconciliation", description=ALL_TIE),
    ],
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
    pool="broker",
)
def reconciliation(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    desk: dg.ResourceParam[Desk],
    announcer: dg.ResourceParam[Announcer],
):
    """Settle what is due and compare everything; a dry run only looks."""
    if is_backfill(context):
        yield _check("cash_ties", [], "Not compared in a backfill.")
        yield _check("books_tie", [], "Not compared in a backfill.")
        return
    write = not _is_dry_run(context, settings)
    watch = FillWatch(announcer, desk.ledger)
    found = tie_out(desk, session_of(context), now=utc_now(), write=write)
    watch.tell(utc_now())
    yield dg.MaterializeResult("reconciliation", metadata=_shown(found))
    cash = [each for each in found.held if each.blocks_everything]
    yield _check("cash_ties", cash, TIES)
    yield _check("books_tie", list(found.held), ALL_TIE)


@dg.op(name="reconcile_books")
def _reconcile(
    context: dg.OpExecutionContext,
    desk: dg.ResourceParam[Desk],
    announcer: dg.ResourceParam[Announcer],
) -> None:
    watch = FillWatch(announcer, desk.ledger)
    found = reconcile(desk.ledger, desk.broker, cause=SCHEDULED, now=utc_now())
    watch.tell(utc_now())
    context.log.info(f"{len(found.adopted)} differences adopted, {len(found.held)} held")
    for each in found.held:
        context.log.error(each.sentence)


@dg.job(
    name="reconcile", description="Compare our books with the broker's once, and adopt or hold."
)
def reconcile_once() -> None:
    """Compare once."""
    _reconcile()


@dg.schedule(
    name="reconcile_every_five_minutes",
    job=reconcile_once,
    cron_schedule="*/5 9-16 * * 1-5",
    execution_timezone=EXCHANGE_ZONE,
    description="Every five minutes while the exchange trades.",
)
def every_five_minutes(
    context: dg.ScheduleEvaluationContext,
) -> dg.RunRequest | dg.SkipReason:
    """Start the job when the market is open."""
    due = context.scheduled_execution_time
    if not is_market_open(due):
        return dg.SkipReason("The market is closed.")
    return dg.RunRequest(run_key=f"reconcile-{due:%Y%m%d%H%M}")


def jobs_and_schedule() -> dg.Definitions:
    """The job `reconcile` and its schedule."""
    return dg.Definitions(jobs=[reconcile_once], schedules=[every_five_minutes])


def _is_dry_run(context: dg.AssetExecutionContext, settings: Settings) -> bool:
    """Whether the settings, or the words a person gave for the orders, say that nothing is sent."""
    found: Any = context.run.run_config
    for name in ("ops", "orders", "config", "dry_run"):
        found = found.get(name) or {}
    return settings.dry_run or bool(found)


def _check(name: str, broken: list[Break], otherwise: str) -> dg.AssetCheckResult:
    is_blocking = name == "cash_ties"
    return dg.AssetCheckResult(
        check_name=name,
        asset_key="reconciliation",
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR if is_blocking else dg.AssetCheckSeverity.WARN,
        description=" ".join(each.sentence for each in broken) or otherwise,
    )


def _shown(found: Reconciliation) -> dict[str, Any]:
    return {
        "dagster/row_count": len(found.breaks),
        "compared_session": str(found.session),
        "adopted": len(found.adopted),
        "held": len(found.held),
        "open_orders": found.orders,
        "positions": found.positions,
        "cash": f"{found.cash:,.4f}",
        "broker_cash": f"{found.broker_cash:,.4f}",
        "blocked": ", ".join(found.blocked) or "none",
        "breaks": table(_rows(found)),
    }


def _rows(found: Reconciliation) -> pl.DataFrame:
    columns = ("subject", "symbol", "kind", "resolution", "ours", "theirs", "explanation")
    rows = [
        [None if (cell := getattr(each, name)) is None else str(cell) for name in columns]
        for each in found.breaks
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
