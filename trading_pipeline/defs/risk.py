"""Risk: the asset of how much of each limit is used, the monitor, and the kill switch as jobs."""

from datetime import datetime
from typing import Any, Final

import dagster as dg
import polars as pl

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.market.calendar import is_session, session_close, session_open
from trading_pipeline.core.risk.breaker import daily_loss, drawdown
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.core.risk.usage import Use, uses
from trading_pipeline.defs.metadata import table
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, is_backfill, session_of
from trading_pipeline.defs.resources import ledger as open_ledger
from trading_pipeline.errors import SettingsError, TradingPipelineError
from trading_pipeline.flows import halt as halting
from trading_pipeline.flows import reduce as shrink
from trading_pipeline.flows.day import Desk
from trading_pipeline.flows.risk_monitor import vitals_of, watch
from trading_pipeline.flows.risk_view import view_of
from trading_pipeline.settings import Settings, utc_now

EVERY_SECONDS: Final = 60
WITHIN: Final = "No limit of the book is breached."


@dg.multi_asset(
    name="risk",
    specs=[
        dg.AssetSpec(
            "risk",
            deps=["pnl", "positions"],
            group_name="risk",
            owners=["team:trading"],
            kinds={"sql"},
            skippable=True,
            description="How much of each limit the book uses, what is left, what is breached, and "
            "whether trading may go on.",
        )
    ],
    check_specs=[dg.AssetCheckSpec("within_limits", asset="risk", description=WITHIN)],
    partitions_def=SESSIONS,
    backfill_policy=BACKFILL,
)
def risk(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    desk: dg.ResourceParam[Desk],
):
    """Measure the book at the marks of its last snapshot."""
    if is_backfill(context):
        yield _check([], "Not measured in a backfill.")
        return
    session_of(context)
    now, rules = utc_now(), settings.risk.breaker
    marks = shrink.known_marks(desk.ledger)
    view = view_of(desk.ledger, limits=settings.risk, marks=marks, now=now)
    found = uses(view)
    vitals = vitals_of(desk.ledger, desk.broker, rules=rules, now=now)
    breaches = [use for use in found if use.is_breach]
    yield dg.MaterializeResult(
        "risk",
        metadata={
            "dagster/row_count": len(found),
            "state": view.state.value,
            "state_reason": view.state_reason,
            "daily_loss": float(daily_loss(vitals.values)),
            "drawdown": float(drawdown(vitals.values)[0]),
            "breaches": len(breaches),
            "highest_use": max((float(use.share or 0) for use in found), default=0.0),
            "limits": table(_rows(found)),
            "use": dg.MetadataValue.md(_bars(found)),
        },
    )
    names = [f"{use.code} of {use.subject}" for use in breaches]
    yield _check(names, WITHIN)


def _check(breached: list[str], otherwise: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name="within_limits",
        asset_key="risk",
        passed=not breached,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Breached: {', '.join(breached)}." if breached else otherwise,
    )


class Said(dg.Config):
    """Who changes what trading may do and why; `confirm` repeats the job's name."""

    confirm: str
    reason: str
    by: str = "dagster"


def _require(config: Said, name: str) -> None:
    if config.confirm != name or not config.reason.strip():
        raise SettingsError(
            f"The job {name} is run with confirm: {name} and a reason, "
            f"and not with confirm: {config.confirm!r} and {config.reason!r}."
        )


def _shrinking(settings: Settings, desk: Desk, run_id: str, *, act: bool) -> shrink.Shrinking:
    archive = desk.vendor.last_session() is not None
    session = shrink.session_for(desk.ledger, now=utc_now(), is_archive=archive)
    return shrink.Shrinking(session=session, run_id=run_id, limits=settings.risk, act=act)


@dg.op(name="halt_trading")
def _halt(context: dg.OpExecutionContext, config: Said, desk: dg.ResourceParam[Desk]) -> None:
    _require(config, "halt")
    words = {"who": config.by, "reason": config.reason, "now": utc_now()}
    halting.stop(desk.ledger, TradingState.HALTED, **words)
    taken = halting.withdraw(
        desk.ledger, desk.broker, now=utc_now(), reason="Halted.", everything=True
    )
    _tell(context, taken)


@dg.op(name="resume_trading")
def _resume(
    context: dg.OpExecutionContext,
    config: Said,
    settings: dg.ResourceParam[Settings],
    desk: dg.ResourceParam[Desk],
) -> None:
    _require(config, "resume")
    words = {"who": config.by, "reason": config.reason, "now": utc_now()}
    found = halting.release(desk.ledger, rules=settings.risk.breaker, **words)
    context.log.info(f"Trading is {found.state}: {found.reason}")


@dg.op(name="reduce_positions")
def _reduce(
    context: dg.OpExecutionContext,
    config: Said,
    settings: dg.ResourceParam[Settings],
    desk: dg.ResourceParam[Desk],
) -> None:
    _require(config, "reduce")
    words = {"who": config.by, "reason": config.reason, "now": utc_now()}
    halting.stop(desk.ledger, TradingState.REDUCING, **words)
    _tell(context, halting.withdraw(desk.ledger, desk.broker, now=utc_now(), reason="Reducing."))
    shrinking = _shrinking(settings, desk, context.run_id, act=True)
    done = shrink.cure(desk.ledger, desk.broker, shrinking=shrinking, now=utc_now())
    context.log.info(f"{len(done.reduction.breaches)} breaches, {len(done.orders)} orders")


@dg.op(name="flatten_positions")
def _flatten(
    context: dg.OpExecutionContext,
    config: Said,
    settings: dg.ResourceParam[Settings],
    desk: dg.ResourceParam[Desk],
) -> None:
    _require(config, "flatten")
    shrinking = _shrinking(settings, desk, context.run_id, act=True)
    words = {"who": config.by, "reason": config.reason, "now": utc_now()}
    done = shrink.flatten(desk.ledger, desk.broker, shrinking=shrinking, **words)
    _tell(context, done.withdrawn)
    context.log.info(f"{len(done.orders)} closing orders")


@dg.op(name="watch_risk")
def _watch(
    context: dg.OpExecutionContext,
    settings: dg.ResourceParam[Settings],
    desk: dg.ResourceParam[Desk],
    model_store: dg.ResourceParam[ModelStore],
) -> None:
    rules = settings.risk.breaker
    found = watch(
        desk.ledger,
        desk.broker,
        rules=rules,
        now=utc_now(),
        model=lambda: model_store.release(settings.strategy),
    )
    for trip in found.trips:
        context.log.error(f"The breaker tripped, {trip.code}: {trip.sentence}")
    _tell(context, found.withdrawn)
    if found.standing.state is TradingState.HALTED:
        return
    shrinking = _shrinking(settings, desk, context.run_id, act=rules.on_breach == "act")
    done = shrink.cure(desk.ledger, desk.broker, shrinking=shrinking, now=utc_now())
    for use in done.reduction.breaches:
        context.log.error(f"Over its limit, {use.code} of {use.subject}: {use.value:,.2f}")
    for order in done.orders:
        context.log.warning(f"{order.state}: {order.side} {order.quantity} {order.symbol}")


def _tell(context: dg.OpExecutionContext, taken: halting.Withdrawn) -> None:
    context.log.info(f"{len(taken.canceled)} orders canceled")
    for order in taken.standing:
        context.log.warning(f"May still fill: {order.side} {order.quantity} {order.symbol}")


@dg.job(name="halt", description="Stop everything. Config: confirm: halt, and a reason.")
def halt() -> None:
    """Stop everything."""
    _halt()


@dg.job(name="resume", description="Let trading go on, staged. Config: confirm: resume, a reason.")
def resume() -> None:
    """Let trading go on."""
    _resume()


@dg.job(name="reduce", description="Reducing orders only, and those that cure breached limits.")
def reduce() -> None:
    """Cure what is over its limit."""
    _reduce()


@dg.job(
    name="flatten", description="Cancel everything, close everything. Config: confirm: flatten."
)
def flatten() -> None:
    """Close every position."""
    _flatten()


@dg.job(name="risk_monitor", description="Evaluate the breaker once, and act on what it finds.")
def risk_monitor() -> None:
    """Look once."""
    _watch()


def is_market_open(now: datetime) -> bool:
    """Whether the exchange trades at `now` (aware UTC)."""
    day = now.date()
    return is_session(day) and session_open(day) <= now < session_close(day)


def look_due(ledger: Ledger, now: datetime, cursor: str | None) -> tuple[str, str | None]:
    """Return the new cursor, and the key of the monitor run that is due, or None.

    Due is one a minute while the market is open, and one whenever what trading may do has changed.
    """
    last = ledger.trading_state()
    state = f"{last.state.value} {last.at}"
    if state != cursor and (cursor is not None or last.state is not TradingState.ACTIVE):
        return state, f"state-{state}"
    return state, f"minute-{now:%Y%m%d%H%M}" if is_market_open(now) else None


def jobs_and_sensor(settings: Settings) -> dg.Definitions:
    """The jobs of risk, and the sensor `risk_watch` that starts the monitor."""

    @dg.sensor(
        name="risk_watch",
        job=risk_monitor,
        minimum_interval_seconds=EVERY_SECONDS,
        description="Starts risk_monitor every minute while the market is open, and within a "
        "minute of a halt set by hand.",
    )
    def risk_watch(context: dg.SensorEvaluationContext) -> Any:
        try:
            cursor, key = look_due(open_ledger(settings), utc_now(), context.cursor)
        except TradingPipelineError as error:
            return dg.SkipReason(str(error))
        context.update_cursor(cursor)
        return dg.RunRequest(run_key=key) if key else dg.SkipReason("The market is closed.")

    return dg.Definitions(jobs=[halt, resume, reduce, flatten, risk_monitor], sensors=[risk_watch])


def _rows(found: list[Use]) -> pl.DataFrame:
    columns = ("limit", "of", "value", "allowed", "used", "left")
    rows = [
        [
            use.code,
            use.subject,
            f"{use.value:,.2f}",
            f"{use.limit:,.2f}",
            f"{use.share:.0%}" if use.share is not None else "–",
            f"{use.headroom:,.2f}",
        ]
        for use in found
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def _bars(found: list[Use], width: int = 30) -> str:
    """The use of each limit of the book as bars of text, full at the limit."""
    lines = [
        f"{use.code:<18} {'█' * min(width, round(float(use.share or 0) * width)):<{width}} "
        f"{float(use.share or 0):>5.0%}{' breached' if use.is_breach else ''}"
        for use in found
        if use.subject == "book"
    ]
    return "\n".join(["```text", *lines, "```"])
