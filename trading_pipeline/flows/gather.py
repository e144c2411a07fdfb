"""Gather what a day left behind, for its report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.accounting.pnl import Pnl
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.flows.day import Desk, place_orders, valued_session
from trading_pipeline.flows.day_report import ModelUsed, Parameters
from trading_pipeline.flows.report import Day
from trading_pipeline.flows.trade import Mandate, decided

HISTORY = 2_520
"""Sessions of NAV a report shows at most (ten years)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What only the caller knows of a run: when, with what, and what its checks found."""

    started_at: datetime
    finished_at: datetime
    parameters: Parameters
    checks: Sequence[CheckOutcome]


def gather(desk: Desk, models: ModelStore, mandate: Mandate, told: Told) -> Day:
    """Return what the mandate's session left behind; nothing is written.

    With `mandate.dry_run` the orders are planned once more, from the same inputs.
    """
    session, strategy = mandate.session, mandate.strategy
    traded = (
        place_orders(desk, mandate, now=told.finished_at)
        if mandate.dry_run
        else decided(desk.ledger, strategy, session)
    )
    snapshots = desk.ledger.snapshots(HISTORY)
    mine = pl.col("strategy") == strategy
    return Day(
        run_id=mandate.run_id,
        started_at=told.started_at,
        finished_at=told.finished_at,
        session=session,
        trade_session=next_session(session),
        parameters=told.parameters,
        signals=desk.lake.read("signals", session, session).filter(mine),
        target_weights=desk.lake.read("target_weights", session, session).filter(mine),
        model=_model(models, mandate),
        orders=traded.orders,
        fills=desk.ledger.fills([order.client_order_id for order in traded.orders]),
        skips=traded.skips,
        pnl=_valued(desk, mandate, snapshots),
        snapshots=snapshots,
        checks=told.checks,
    )


def _valued(desk: Desk, mandate: Mandate, snapshots: Sequence[Pnl]) -> Pnl | None:
    """The snapshot the day's report is about: the newest one up to the session it was valued at."""
    last = valued_session(desk.ledger, mandate.session)
    return next((each for each in reversed(snapshots) if each.session <= last), None)


def _model(models: ModelStore, mandate: Mandate) -> ModelUsed:
    card = models.release(mandate.strategy, session=mandate.session).manifest
    return ModelUsed(
        version=mandate.model_version,
        trained_through=card.trained_through,
        metrics=card.metrics,
    )
