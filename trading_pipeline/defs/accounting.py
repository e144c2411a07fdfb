"""Assets of accounting: positions and P&L of the book, and the report of the day."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from trading_pipeline.adapters import plots
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.accounting.pnl import Pnl
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.defs.metadata import dollars, table
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, is_backfill, session_of
from trading_pipeline.defs.resources import mandate_of, parameters_of, report_folder
from trading_pipeline.flows.day import Desk, value_book
from trading_pipeline.flows.gather import HISTORY, Told, gather
from trading_pipeline.flows.report import build, record, save
from trading_pipeline.settings import Settings, utc_now

_COMMON = {"group_name": "accounting", "owners": ["team:trading"]}
_CENT = 0.005


@dg.multi_asset(
    name="accounts",
    specs=[
        dg.AssetSpec(
            "positions",
            deps=["fills"],
            kinds={"sql"},
            skippable=True,
            description="Every holding with its average cost and mark, a fold of the ledger.",
            **_COMMON,
        ),
        dg.AssetSpec(
            "pnl",
            deps=["fills"],
            kinds={"sql"},
            skippable=True,
            description="Realized, unrealized and total P&L, per symbol and of the book, and NAV.",
            **_COMMON,
        ),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "nav_identity",
            asset="pnl",
            description="NAV = cash put in + realized + unrealized − fees, to the cent.",
        ),
        dg.AssetCheckSpec(
            "all_marked", asset="pnl", description="Every holding has a mark of the session."
        ),
    ],
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
)
def accounts(
    context: dg.AssetExecutionContext,
    desk: dg.ResourceParam[Desk],
):
    """Value the book at the newest close the session's orders have seen."""
    if is_backfill(context):
        return
    pnl = value_book(
        desk,
        session_of(context),
        now=utc_now(),
        run_id=context.run_id,
    )
    yield dg.MaterializeResult("positions", metadata=_positions(pnl))
    yield dg.MaterializeResult("pnl", metadata=_pnl(pnl, desk.ledger.snapshots(HISTORY)))
    yield from _checks(pnl)


@dg.asset(
    **_COMMON,
    deps=["pnl", "positions", "signals", "target_weights", "model"],
    kinds={"html", "json"},
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
    output_required=False,
    description="What the day decided, traded and earned, as one page and as JSON.",
)
def report(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    desk: dg.ResourceParam[Desk],
    model_store: dg.ResourceParam[ModelStore],
) -> Iterator[dg.MaterializeResult]:
    """Gather and write the report of the run's session."""
    if is_backfill(context):
        return
    session = session_of(context)
    told = Told(
        started_at=started_at(context.instance, context.run_id),
        finished_at=utc_now(),
        parameters=parameters_of(settings),
        checks=checks_of_run(context.instance, context.run_id),
    )
    mandate = mandate_of(settings, desk.lake, session, run_id=context.run_id)
    document = build(gather(desk, model_store, mandate, told))
    record(desk.ledger, document)
    folder = report_folder(settings, session)
    pages = [path for name in ("html", "json") for path in save(document, folder / f"day.{name}")]
    yield dg.MaterializeResult(
        metadata={
            "summary": document.summary,
            "status": document.status,
            "orders": document.results.num_orders_planned,
            "page": dg.MetadataValue.path(str(pages[0])),
            "json": dg.MetadataValue.path(str(pages[1])),
        }
    )


def started_at(instance: dg.DagsterInstance, run_id: str) -> datetime:
    """When the run began, by Dagster's own record; the present when it has none."""
    found = instance.get_run_record_by_id(run_id)
    began = found.start_time if found else None
    return datetime.fromtimestamp(began, UTC) if began else utc_now()


def checks_of_run(instance: dg.DagsterInstance, run_id: str) -> list[CheckOutcome]:
    """What the checks of a run found, in the order they were made."""
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    events = [found.event_log_entry.dagster_event for found in records]
    found = [event.asset_check_evaluation_data for event in events if event]
    return [
        CheckOutcome(
            name=each.check_name,
            passed=each.passed,
            sentence=each.description or "",
            blocking=bool(each.blocking),
        )
        for each in found
    ]


def _positions(pnl: Pnl) -> dict[str, Any]:
    columns = ("symbol", "quantity", "average_cost", "price", "source", "value", "unrealized")
    rows = [
        [str(getattr(position, column)) for column in columns] for position in pnl.open_positions
    ]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    return {
        "dagster/row_count": len(rows),
        "valued_session": str(pnl.session),
        "gross": dollars(pnl.gross),
        "net": dollars(pnl.net),
        "positions": table(frame),
    }


def _pnl(pnl: Pnl, history: list[Pnl]) -> dict[str, Any]:
    columns = ("symbol", "realized", "unrealized", "dividends", "fees")
    rows = [[str(getattr(position, column)) for column in columns] for position in pnl.positions]
    curve = [(each.session, float(each.nav)) for each in history if each.session <= pnl.session]
    figure = plots.equity_curve(curve, cash_in=float(pnl.cash_in))
    return {
        "valued_session": str(pnl.session),
        **{
            name: dollars(getattr(pnl, name))
            for name in ("nav", "cash", "realized", "unrealized", "fees", "total")
        },
        "per_symbol": table(
            pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
        ),
        "equity_curve": dg.MetadataValue.md(
            plots.markdown_image(plots.to_png(figure), text="equity curve")
        ),
    }


def _checks(pnl: Pnl) -> Iterator[dg.AssetCheckResult]:
    expected = pnl.cash_in + pnl.realized + pnl.unrealized - pnl.fees
    yield dg.AssetCheckResult(
        check_name="nav_identity",
        asset_key="pnl",
        passed=abs(pnl.nav - expected) < _CENT,
        description=f"NAV is {pnl.nav:,.2f}; cash put in + realized + unrealized − fees is "
        f"{expected:,.2f}.",
    )
    stale = [
        f"{position.symbol} ({position.source})"
        for position in pnl.open_positions
        if position.source != "close"
    ]
    yield dg.AssetCheckResult(
        check_name="all_marked",
        asset_key="pnl",
        passed=not stale,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Not at a close of {pnl.session}: {', '.join(stale)}."
        if stale
        else f"Every holding is marked at its close of {pnl.session}.",
    )
