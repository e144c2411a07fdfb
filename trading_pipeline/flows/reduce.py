"""Shrink the book: cure breached limits, or close everything, through the gate and the order path.

Each is a decision of its own strategy, `reduce` or `flatten`, so that it is written before anything
is sent, sent exactly once, and carried on after a crash like any other.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import polars as pl

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.execution.order import Decision, Order, OrderState
from trading_pipeline.core.market.calendar import last_closed_session
from trading_pipeline.core.portfolio.rebalance import SizingRules
from trading_pipeline.core.risk.gate import gate
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.core.risk.reduction import Reduction, close_all, reduce
from trading_pipeline.core.risk.usage import nav_of
from trading_pipeline.core.risk.view import RiskView
from trading_pipeline.flows.halt import Withdrawn, stop, withdraw
from trading_pipeline.flows.ports import Broker
from trading_pipeline.flows.risk_view import view_of
from trading_pipeline.flows.trade import Mandate, trade

_log = logging.getLogger(__name__)

REDUCE: Final = "reduce"
FLATTEN: Final = "flatten"
NO_MODEL: Final = "none"
"""The model version of a decision that no model had a part in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinking:
    """For which session, by which run, within which limits; `act` sends, else it is proposed."""

    session: date
    run_id: str
    limits: RiskLimits
    act: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cured:
    """The breaches found, the orders that cure them as they stand, and what would remain."""

    reduction: Reduction
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattened:
    """What was taken back, and the closing orders as they stand."""

    withdrawn: Withdrawn
    orders: tuple[Order, ...]


def session_for(ledger: Ledger, *, now: datetime, is_archive: bool) -> date:
    """Return the session a reduction decides on: the last that closed, or, in an archive, settled.

    Never before a session that shares have changed hands in.
    """
    settled = ledger.last_settlement()
    base = settled if is_archive and settled is not None else last_closed_session(now)
    return max([base, *(entry.session for entry in ledger.entries(after=base))])


def cure(
    ledger: Ledger,
    broker: Broker,
    *,
    shrinking: Shrinking,
    now: datetime,
    marks: Mapping[str, Decimal] | None = None,
) -> Cured:
    """Plan the smallest set of reducing orders that cures all breaches; send them when told to.

    Without `marks` the prices are those of the last snapshot.
    """
    prices = known_marks(ledger) if marks is None else marks
    view = view_of(ledger, limits=shrinking.limits, marks=prices, now=now)
    name = _free(ledger, REDUCE, shrinking.session)
    planned = reduce(view, strategy=name, session=shrinking.session)
    if planned.breaches:
        facts = {"breaches": len(planned.breaches), "orders": len(planned.orders)}
        _log.warning("limits breached", extra={**facts, "act": shrinking.act})
    orders = planned.orders
    if shrinking.act:
        mandate = _mandate(name, shrinking)
        orders = _send(ledger, broker, view, orders, mandate=mandate, now=now)
    return Cured(reduction=planned, orders=tuple(orders))


def flatten(
    ledger: Ledger, broker: Broker, *, shrinking: Shrinking, who: str, reason: str, now: datetime
) -> Flattened:
    """Let only reducing orders go, take all open ones back, and close every position.

    Needs the ledger and the broker, and nothing else: a holding without a price is closed too.
    Trading stays REDUCING until a person releases it.
    """
    stop(ledger, TradingState.REDUCING, who=who, reason=f"Flatten: {reason}", now=now)
    taken = withdraw(ledger, broker, now=now, reason=f"Flatten: {reason}", everything=True)
    view = view_of(ledger, limits=shrinking.limits, marks=known_marks(ledger), now=now)
    name = _free(ledger, FLATTEN, shrinking.session)
    orders = close_all(view, strategy=name, session=shrinking.session)
    sent = _send(ledger, broker, view, orders, mandate=_mandate(name, shrinking), now=now)
    return Flattened(withdrawn=taken, orders=sent)


def known_marks(ledger: Ledger) -> dict[str, Decimal]:
    """Return the prices of the last snapshot by symbol, in dollars."""
    last = ledger.snapshots(1)
    positions = last[-1].open_positions if last else ()
    return {position.symbol: position.price for position in positions if position.price}


def _free(ledger: Ledger, name: str, session: date) -> str:
    """Return the first of name, name-2, name-3, … that has not decided the session."""
    number, found = 1, name
    while ledger.decision(found, session) is not None:
        number += 1
        found = f"{name}-{number}"
    return found


def _mandate(name: str, shrinking: Shrinking) -> Mandate:
    return Mandate(
        strategy=name,
        session=shrinking.session,
        run_id=shrinking.run_id,
        model_version=NO_MODEL,
        sizing=SizingRules(),
        limits=shrinking.limits,
    )


def _send(
    ledger: Ledger,
    broker: Broker,
    view: RiskView,
    orders: Sequence[Order],
    *,
    mandate: Mandate,
    now: datetime,
) -> tuple[Order, ...]:
    """Judge and record the orders as a decision, then have it carried on with."""
    if not orders:
        return ()
    nav = nav_of(view)
    decision = Decision(
        strategy=mandate.strategy,
        session=mandate.session,
        run_id=mandate.run_id,
        model_version=mandate.model_version,
        capital=nav,
        nav=nav,
        decided_at=now,
    )
    ledger.record_decision(decision, gate(orders, view))
    done = trade(ledger, broker, pl.DataFrame(), view.marks, mandate=mandate, now=now)
    blocked = sum(order.state is OrderState.BLOCKED for order in done.orders)
    counts = {"orders": len(done.orders), "blocked": blocked}
    _log.info("reduction sent", extra={"strategy": mandate.strategy, **counts})
    return done.orders
