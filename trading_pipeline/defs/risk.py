"""Risk: the asset of how much of each limit is used, and the monitor with its sensor."""

from datetime import date, datetime
from typing import Any, Final

import dagster as dg
import polars as pl

from trading_pipeline.adapters import plots
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.adapters.live_store.quotes import QuoteStore
from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.risk.breaker import daily_loss, drawdown
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.core.risk.usage import Use, uses
from trading_pipeline.defs import halt as kill_switch
from trading_pipeline.defs import live
from trading_pipeline.defs.metadata import table
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, is_backfill, session_of
from trading_pipeline.defs.resources import announcer, broker, cast_of
from trading_pipeline.defs.resources import ledger as open_ledger
from trading_pipeline.errors import TradingPipelineError
from trading_pipeline.flows import reduce as shrink
from trading_pipeline.flows.announce import of_halt
from trading_pipeline.flows.day import Desk
from trading_pipeline.flows.live_marks import is_market_open, live_prices
from trading_pipeline.flows.risk_monitor import Prices, vitals_of, watch
from trading_pipeline.flows.risk_view import past_uses, view_of
from trading_pipeline.settings import Settings, utc_now

EVERY_SECONDS: Final = 60
HISTORY: Final = 60
"""Sessions in the plot of the use of limits."""

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
            description="How much of each limit the book uses, open orders taken as filled, "
            "what is left, what is breached, and whether trading may go on.",
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
            "headroom": _plot(past_uses(desk.ledger, settings.risk, HISTORY)),
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


@dg.op(name="watch_risk")
def _watch(
    context: dg.OpExecutionContext,
    settings: dg.ResourceParam[Settings],
    model_store: dg.ResourceParam[ModelStore],
) -> None:
    ledger, place, rules = open_ledger(settings), broker(settings), settings.risk.breaker
    prices = _live(settings, ledger)
    found = watch(
        ledger,
        place,
        rules=rules,
        now=utc_now(),
        prices=prices,
        model=lambda: [model_store.release(name) for name in cast_of(settings).models],
    )
    for trip in found.trips:
        context.log.error(f"The breaker tripped, {trip.code}: {trip.sentence}")
    if found.trips:
        announcer(settings).tell(of_halt(found.standing, now=utc_now()))
    kill_switch.tell(context, found.withdrawn)
    if found.standing.state is TradingState.HALTED:
        return
    act = rules.on_breach == "act"
    shrinking = kill_switch.shrinking_of(settings, ledger, context.run_id, act=act)
    marks = {symbol: mark.price for symbol, mark in prices.marks.items()} if prices else None
    done = shrink.cure(ledger, place, shrinking=shrinking, now=utc_now(), marks=marks)
    for use in done.reduction.breaches:
        context.log.error(f"Over its limit, {use.code} of {use.subject}: {use.value:,.2f}")
    for order in done.orders:
        context.log.warning(f"{order.state}: {order.side} {order.quantity} {order.symbol}")


def _live(settings: Settings, ledger: Ledger) -> Prices | None:
    """The prices of now, where there is a stream of quotes."""
    link = live.redis_link(settings)
    if link is None:
        return None
    try:
        return live_prices(ledger, QuoteStore(link).latest, now=utc_now())
    finally:
        link.close()


@dg.job(name="risk_monitor", description="Evaluate the breaker once, and act on what it finds.")
def risk_monitor() -> None:
    """Look once."""
    _watch()


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
    """The monitor, the sensor `risk_watch` that starts it, and the jobs of the kill switch."""

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

    return dg.Definitions(jobs=[*kill_switch.JOBS, risk_monitor], sensors=[risk_watch])


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


def _plot(past: list[tuple[date, list[Use]]]) -> dg.MetadataValue:
    """The use of each limit of the book by session; one that allows nothing is left out."""
    sessions = [session for session, _ in past]
    of_book = {use.code for _, found in past for use in found if use.subject == "book"}
    shares = [
        {use.code: float(use.share or 0) for use in found if use.subject == "book"}
        for _, found in past
    ]
    lines = {code: [each.get(code, 0.0) for each in shares] for code in sorted(of_book)}
    figure = plots.limit_use(sessions, lines)
    return dg.MetadataValue.md(plots.markdown_image(plots.to_png(figure), text="limit use"))
