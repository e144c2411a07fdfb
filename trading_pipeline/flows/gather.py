"""Gather what a day left behind, for its report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from trading_pipeline.adapters.model_store import ModelStore
from trading_pipeline.core.accounting.pnl import AT_COST, Pnl
from trading_pipeline.core.execution.breaks import Reconciliation
from trading_pipeline.core.market.calendar import next_session
from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.flows.books import books_of
from trading_pipeline.flows.day import (
    RULES,
    Desk,
    place_orders,
    valued_session,
    vendor_closes,
)
from trading_pipeline.flows.day_report import ModelUsed, Parameters
from trading_pipeline.flows.mark import Accounts, accounts_of
from trading_pipeline.flows.report import Day
from trading_pipeline.flows.trade import Mandate, decided

HISTORY = 2_520
"""Sessions of NAV a report shows at most (ten years)."""


RECONCILIATIONS = 100
"""How many reconciliations back a report looks for its own."""


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
    pnl = _valued(desk, mandate, snapshots)
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
        decision=traded.decision,
        orders=traded.orders,
        fills=desk.ledger.fills([order.client_order_id for order in traded.orders]),
        skips=traded.skips,
        pnl=pnl,
        accounts=_accounts(desk, pnl) if pnl else None,
        reconciliation=_reconciliation(desk, pnl) if pnl else None,
        snapshots=snapshots,
        checks=told.checks,
    )


def _valued(desk: Desk, mandate: Mandate, snapshots: Sequence[Pnl]) -> Pnl | None:
    """The snapshot the day's report is about: the newest one up to the session it was valued at."""
    last = valued_session(desk.ledger, mandate.session)
    return next((each for each in reversed(snapshots) if each.session <= last), None)


def _accounts(desk: Desk, pnl: Pnl) -> Accounts:
    """What stands behind the P&L, at its own marks; what only strategies hold is at its close."""
    known = {p.symbol: p.mark for p in pnl.open_positions if p.mark and p.source != AT_COST}
    netted = books_of(desk.ledger, pnl.session).held - {p.symbol for p in pnl.open_positions}
    closes = vendor_closes(desk.vendor, sorted(netted), pnl.session)
    return accounts_of(desk.ledger, pnl, {**closes, **known})


def _reconciliation(desk: Desk, pnl: Pnl) -> Reconciliation | None:
    """The last reconciliation of the sessions up to the valued one."""
    made = desk.ledger.reconciliations(RECONCILIATIONS)
    return next((each for each in reversed(made) if each.session <= pnl.session), None)


def _model(models: ModelStore, mandate: Mandate) -> ModelUsed | None:
    """The strategy's own model; None when it asks none, or several of others."""
    if mandate.model_version == RULES or " " in mandate.model_version:
        return None
    card = models.release(mandate.strategy, session=mandate.session).manifest
    return ModelUsed(
        version=mandate.model_version,
        trained_through=card.trained_through,
        metrics=card.metrics,
    )
