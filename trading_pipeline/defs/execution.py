"""Assets of execution: the orders of a session, and their fills. The only ones that may trade."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg
import polars as pl

from trading_pipeline.core.execution.order import Fill, Order
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.defs.launch_config import LaunchConfig
from trading_pipeline.defs.metadata import dollars, table
from trading_pipeline.defs.partitions import BACKFILL, SESSIONS, is_backfill, session_of
from trading_pipeline.defs.resources import mandate_of
from trading_pipeline.flows.announce import Announcer, FillWatch, of_fills, of_orders
from trading_pipeline.flows.audit import audit
from trading_pipeline.flows.day import Desk, place_orders, take_fills
from trading_pipeline.flows.trade import Traded
from trading_pipeline.settings import Settings, utc_now

_COMMON = {
    "group_name": "execution",
    "owners": ["team:trading"],
    "partitions_def": SESSIONS,
    "backfill_policy": BACKFILL,
    "output_required": False,
    "kinds": {"sql"},
    "pool": "broker",
}


class OrdersConfig(LaunchConfig):
    """What a person may say when launching a day by hand."""

    dry_run: bool = False
    """Plan and show the orders; send nothing and write nothing to the ledger."""


@dg.asset(
    **_COMMON,
    deps=["target_weights", "predictions", "clean_bars", "reconciliation"],
    check_specs=[
        dg.AssetCheckSpec(
            "orders_within_limits",
            asset="orders",
            blocking=True,
            description="No order that is out breaks a limit, judged once more when all have left.",
        )
    ],
    description="The orders of a session, for the next open: the difference between targets and "
    "book, judged by the risk gate, written to the ledger before anything is sent. Sent exactly "
    "once, however often it is run; never in a backfill.",
)
def orders(  # noqa: PLR0917 - Dagster gives them by name
    context: dg.AssetExecutionContext,
    config: OrdersConfig,
    settings: dg.ResourceParam[Settings],
    desk: dg.ResourceParam[Desk],
    announcer: dg.ResourceParam[Announcer],
) -> Iterator[dg.MaterializeResult | dg.AssetObservation | dg.AssetCheckResult]:
    """Decide and send the orders of the run's session."""
    if is_backfill(context):
        context.log.warning("A backfill never sends an order: orders and what follows are skipped.")
        yield _within_limits([])
        return
    dry_run = config.dry_run or settings.dry_run
    mandate = mandate_of(
        settings, desk.lake, session_of(context), run_id=context.run_id, dry_run=dry_run
    )
    watch = FillWatch(announcer, desk.ledger)
    done = place_orders(desk, mandate, now=utc_now())
    watch.tell(utc_now())
    if dry_run:
        yield dg.AssetObservation(
            "orders", partition=context.partition_key, metadata={**_placed(done), "dry_run": True}
        )
        context.log.info("dry run: nothing was sent, and what follows the orders is skipped")
        yield _within_limits([])
        return
    if done.new:
        announcer.tell(of_orders(done.orders, run_id=context.run_id, now=utc_now()))
    decided = (mandate.strategy, mandate.session)
    wrong = audit(desk.ledger, desk.lake, decided, limits=settings.risk, now=utc_now())
    yield dg.MaterializeResult(metadata=_placed(done), check_results=[_within_limits(wrong)])


def _within_limits(wrong: Sequence[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name="orders_within_limits",
        passed=not wrong,
        description=" ".join(wrong) or "Every order that is out is within the limits.",
    )


@dg.asset(
    **_COMMON,
    deps=["orders"],
    description="What the broker filled of the orders, once it is known: in a replay at once, live "
    "with the next run.",
)
def fills(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    desk: dg.ResourceParam[Desk],
    announcer: dg.ResourceParam[Announcer],
) -> Iterator[dg.MaterializeResult]:
    """Bring the fills of the session's orders into the ledger."""
    if is_backfill(context):
        return
    session = session_of(context)
    settled = take_fills(desk, session, now=utc_now())
    announcer.tell(of_fills(settled.fills, now=utc_now()))
    sent = desk.ledger.orders(strategy=settings.strategy, session=session)
    found = desk.ledger.fills([order.client_order_id for order in sent])
    yield dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(found),
            "trade_session": str(next_session(session)),
            "settled_sessions": ", ".join(str(day) for day in settled.sessions) or "none new",
            "commission": dollars(sum((fill.commission for fill in found), Decimal(0))),
            "fills": table(_fill_rows(found)),
        }
    )


def _placed(done: Traded) -> dict[str, Any]:
    states = [order.state.value for order in done.orders]
    return {
        "dagster/row_count": len(done.orders),
        "decided_by_this_run": str(done.new),
        "model_version": done.decision.model_version,
        "nav": dollars(done.decision.nav),
        "states": ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states))),
        "orders": table(_order_rows(done.orders)),
        "skipped": ", ".join(f"{symbol} ({why})" for symbol, why in done.skips.items()) or "none",
    }


def _order_rows(orders: tuple[Order, ...]) -> pl.DataFrame:
    columns = ("symbol", "side", "quantity", "reference_price", "state", "code", "reason")
    rows = [[getattr(order, column) for column in columns] for order in orders]
    return _texts(columns, rows)


def _fill_rows(fills: list[Fill]) -> pl.DataFrame:
    columns = ("symbol", "side", "quantity", "price", "commission", "session")
    return _texts(columns, [[getattr(fill, column) for column in columns] for fill in fills])


def _texts(columns: tuple[str, ...], rows: list[list[object]]) -> pl.DataFrame:
    texts = [[None if cell is None else str(cell) for cell in row] for row in rows]
    return pl.DataFrame(texts, schema=dict.fromkeys(columns, pl.String), orient="row")
