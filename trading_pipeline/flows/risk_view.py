"""Gather what the gate knows: our own record from the ledger, the market from the lake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.execution.order import OPEN, Order, OrderState
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.corporate_actions import Convention, adjust
from trading_pipeline.core.market.freshness import sessions_behind
from trading_pipeline.core.market.restatements import ACTIONS_KEY, current
from trading_pipeline.core.risk.limits import RiskLimits
from trading_pipeline.core.risk.view import Returns, RiskView
from trading_pipeline.flows.halt import standing

VOLUME_SESSIONS: Final = 20
"""Sessions that an average volume is of."""

_NOT_SENT: Final = frozenset({OrderState.PLANNED, OrderState.BLOCKED})
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """What the lake says of the symbols as of a session; None where nobody has asked."""

    average_volumes: Mapping[str, Decimal] | None = None
    sessions_behind: Mapping[str, int] | None = None
    suspects: Mapping[str, str] = field(default_factory=dict[str, str])
    returns: Returns | None = None


def market_facts(
    lake: Lake,
    symbols: Sequence[str],
    session: date,
    *,
    limits: RiskLimits,
    convention: Convention,
) -> MarketFacts:
    """Return volumes, ages, suspects and returns of the symbols; no row is later than `session`.

    Volumes are the mean of the last VOLUME_SESSIONS bars; suspects have a bar of the session in
    quarantine; returns are of adjusted closes, a session without a bar counts as no move.
    """
    sessions = session_window(session, max(limits.correlation_look_back + 1, VOLUME_SESSIONS))
    wanted = sorted(set(symbols))
    bars = lake.read("clean_bars", sessions[0], session, symbols=wanted)
    recent = bars.filter(pl.col("session") >= sessions[-VOLUME_SESSIONS])
    volumes = recent.group_by("symbol").agg(pl.col("volume").mean())
    ages = sessions_behind(bars, session, wanted).drop_nulls("sessions_behind")
    aside = lake.read("quarantined_bars", session, session, symbols=wanted)
    return MarketFacts(
        average_volumes={
            symbol: Decimal(repr(volume)) for symbol, volume in volumes.iter_rows() if volume
        },
        sessions_behind=dict(ages.select("symbol", "sessions_behind").iter_rows()),
        suspects={
            symbol: f"its bar of {session} is in quarantine, {reason}."
            for symbol, reason in aside.select("symbol", "reason").iter_rows()
        },
        returns=_returns(lake, bars, sessions, convention=convention),
    )


def view_of(
    ledger: Ledger,
    *,
    limits: RiskLimits,
    marks: Mapping[str, Decimal],
    now: datetime,
    besides: tuple[str, date] | None = None,
    facts: MarketFacts | None = None,
) -> RiskView:
    """Return the gate's view: the book, what is open, and what was sent so far.

    `besides` is the (strategy, session) whose planned orders are the ones to be judged: they are
    left out, and the book is that of the session. Without it the book is that of now.
    """
    state = standing(ledger, now=now, rules=limits.breaker)
    waiting = [o for o in ledger.orders(states=OPEN) if not _is_planned_by(o, besides)]
    known = facts or MarketFacts()
    more: dict[str, Any] = {}
    if besides is not None:
        more = _sent(ledger, besides[1], now)
    return RiskView(
        state=state.state,
        state_reason=state.reason,
        book=replay(Book(), ledger.entries(besides[1] if besides else None)),
        marks=marks,
        limits=limits,
        open_orders=waiting,
        average_volumes=known.average_volumes,
        sessions_behind=known.sessions_behind,
        suspects=known.suspects,
        returns=known.returns,
        **more,
    )


def _is_planned_by(order: Order, whose: tuple[str, date] | None) -> bool:
    return order.state is OrderState.PLANNED and (order.strategy, order.session) == whose


def _sent(ledger: Ledger, session: date, now: datetime) -> dict[str, Any]:
    """Count the orders sent for the session, those of the last minute, and their dollars."""
    sent = [o for o in ledger.orders(session=session) if o.state not in _NOT_SENT]
    lately: set[str] = set()
    for strategy in {order.strategy for order in sent}:
        decision = ledger.decision(strategy, session)
        if decision is not None and abs(now - decision.decided_at) < _MINUTE:
            lately.add(strategy)
    return {
        "orders_in_session": len(sent),
        "orders_in_minute": sum(order.strategy in lately for order in sent),
        "turnover": sum((order.value for order in sent), Decimal(0)),
    }


def _returns(
    lake: Lake, bars: pl.DataFrame, sessions: Sequence[date], *, convention: Convention
) -> Returns:
    symbols = sorted(set(bars["symbol"]))
    told = lake.read("corporate_actions", sessions[0], sessions[-1], symbols=symbols)
    adjusted = adjust(
        bars, current(told, key=ACTIONS_KEY), convention=convention, as_of=sessions[-1]
    )
    closes = adjusted.select("symbol", "session", "close").pivot(
        on="symbol", index="session", values="close"
    )
    every = pl.DataFrame({"session": list(sessions)}, schema={"session": pl.Date})
    table = every.join(closes, on="session", how="left").sort("session")
    moves = table.select(pl.col(name).forward_fill().pct_change() for name in symbols)
    values = moves.slice(1).fill_null(float("nan")).to_numpy()
    return Returns(symbols=tuple(symbols), values=values)
