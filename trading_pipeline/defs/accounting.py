"""Assets of accounting: positions and P&L of the book, and the report of the day."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import dagster as dg

from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.accounting.pnl import PositionPnl
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.defs import shown
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, is_backfill, session_of
from trading_pipeline.defs.resources import mandate_of, parameters_of, report_folder
from trading_pipeline.flows.day import Desk, value_book
from trading_pipeline.flows.gather import HISTORY, Told, gather
from trading_pipeline.flows.mark import Accounts
from trading_pipeline.flows.report import build, record, save
from trading_pipeline.flows.trade import CLOSE
from trading_pipeline.settings import Settings, utc_now

_COMMON = {"group_name": "accounting", "owners": ["team:trading"]}
_CENT = Decimal("0.005")


def _spec(name: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name, deps=["fills"], kinds={"sql"}, skippable=True, description=description, **_COMMON
    )


@dg.multi_asset(
    name="accounts",
    specs=[
        _spec(
            "positions",
            "Every holding with its average cost, mark and where the mark comes from, and whose "
            "it is: a fold of the ledger.",
        ),
        _spec("exposure", "Gross and net exposure in dollars, by symbol and by strategy."),
        _spec(
            "pnl",
            "Realized, unrealized and total P&L in dollars, by symbol and by strategy, NAV, and "
            "how it came from the session before.",
        ),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "nav_change",
            asset="pnl",
            blocking=True,
            description="ΔNAV = realized + Δunrealized + cash flows − fees, to the cent, since the "
            "session valued before.",
        ),
        dg.AssetCheckSpec(
            "double_entry",
            asset="pnl",
            blocking=True,
            description="Every entry balances and all accounts add up to 0, strategies to the "
            "book.",
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
        for name in ("nav_change", "double_entry", "all_marked"):
            yield _check(name, passed=True, sentence="Not valued in a backfill.")
        return
    found = value_book(desk, session_of(context), now=utc_now(), run_id=context.run_id)
    yield dg.MaterializeResult("positions", metadata=shown.positions(found))
    yield dg.MaterializeResult("exposure", metadata=shown.exposure(found))
    yield dg.MaterializeResult("pnl", metadata=shown.pnl(found, desk.ledger.snapshots(HISTORY)))
    yield from _checks(found)


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


def _checks(found: Accounts) -> Iterator[dg.AssetCheckResult]:
    moved, pnl = found.change, found.pnl
    yield _check(
        "nav_change",
        passed=abs(moved.unexplained) < _CENT,
        sentence=f"NAV moved by {moved.nav:,.2f} to {pnl.nav:,.2f}: realized "
        f"{moved.realized:,.2f}, unrealized {moved.unrealized:,.2f}, flows {moved.flows:,.2f}, "
        f"fees {moved.fees:,.2f}; unexplained {moved.unexplained:,.2f}.",
    )
    apart = pnl.total - sum((part.total for part in found.parts.values()), Decimal(0))
    yield _check(
        "double_entry",
        passed=found.journal.imbalance == 0 and (abs(apart) < _CENT or bool(pnl.unpriced)),
        sentence=f"{found.journal.entries} entries; the accounts add up to "
        f"{found.journal.imbalance:f}, and the book is {apart:,.2f} from what its strategies "
        "come to.",
    )
    stale = [f"{each.symbol} ({each.source})" for each in pnl.open_positions if is_stale(each)]
    yield _check(
        "all_marked",
        passed=not stale,
        sentence=f"Not at a close of {pnl.session}: {', '.join(stale)}."
        if stale
        else f"Every holding is marked at its close of {pnl.session}.",
    )


def is_stale(position: PositionPnl) -> bool:
    """Whether a holding is marked at anything but the session's own close."""
    return position.source != CLOSE


def _check(name: str, *, passed: bool, sentence: str) -> dg.AssetCheckResult:
    warns = name == "all_marked"
    return dg.AssetCheckResult(
        check_name=name,
        asset_key="pnl",
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
        description=sentence,
    )
