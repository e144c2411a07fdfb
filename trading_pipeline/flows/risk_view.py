"""Gather what the gate knows: our own record from the ledger, the market from the lake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Protocol, runtime_checkable

import polars as pl

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, Position
from trading_pipeline.core.accounting.pnl import Pnl
from trading_pipeline.core.execution.order import OPEN, Order, OrderState
from trading_pipeline.core.market.announcements import credible
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.corporate_actions import Convention, adjust
from trading_pipeline.core.market.freshness import sessions_behind
from trading_pipeline.core.market.restatements import known_actions
from trading_pipeline.core.risk.breaker import BREAKER
from trading_pipeline.core.risk.limits import RiskLimits, TradingState
from trading_pipeline.core.risk.usage import Use, uses
from trading_pipeline.core.risk.view import Asset, Returns, RiskView
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.halt import standing
from trading_pipeline.flows.ports import Broker, Tables

VOLUME_SESSIONS: Final = 20
"""Sessions that an average volume is of."""

_MINUTE: Final = timedelta(minutes=1)
_COMING: Final = frozenset({OrderState.PLANNED, OrderState.SUBMITTING, OrderState.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """What the lake says of the symbols as of a session; None where nobody has asked."""

    average_volumes: Mapping[str, Decimal] | None = None
    sessions_behind: Mapping[str, int] | None = None
    suspects: Mapping[str, str] = field(default_factory=dict[str, str])
    returns: Returns | None = None


@runtime_checkable
class Listing(Protocol):
    """A broker that says what may be done with symbols."""

    def assets(self, symbols: Sequence[str]) -> Mapping[str, Asset]:
        """Return what it says of these symbols; those that it does not trade may be left out."""
        ...


def with_terms(view: RiskView, broker: Broker, symbols: Sequence[str]) -> RiskView:
    """Return the view with the buying power that the broker grants, and its word on the symbols.

    A broker that limits neither leaves the view as it is. What is on its way there, and not counted
    by the broker yet, is taken off the buying power. For an account that may not trade trading is
    HALTED.
    """
    assets, account = (
        broker.assets(symbols) if isinstance(broker, Listing) else None,
        broker.account(),
    )
    power = account.buying_power
    if assets is not None and not account.lends:
        assets = {symbol: replace(asset, shortable=False) for symbol, asset in assets.items()}
    if account.fault:
        view = replace(view, state=TradingState.HALTED, state_reason=account.fault)
    if power is not None:
        coming = (o for o in view.open_orders if o.state in _COMING)
        power -= sum((o.remaining_quantity * o.reference_price for o in coming), Decimal(0))
    return replace(view, buying_power=power, assets=assets)


def past_uses(ledger: Ledger, limits: RiskLimits, count: int) -> list[tuple[date, list[Use]]]:
    """Return the use of every limit in each of the last `count` sessions that were valued.

    By the limits of now; at the prices of the session's snapshot, without the orders then open.
    """
    return [(pnl.session, uses(_as_valued(pnl, limits))) for pnl in ledger.snapshots(count)]


def _as_valued(pnl: Pnl, limits: RiskLimits) -> RiskView:
    held = pnl.open_positions
    positions = {
        each.symbol: Position(symbol=each.symbol, quantity=each.quantity, cost=each.cost)
        for each in held
    }
    return RiskView(
        state=TradingState.ACTIVE,
        state_reason="",
        book=Book(cash=pnl.cash, positions=positions),
        marks={each.symbol: each.price for each in held if each.price},
        limits=limits,
    )


def market_facts(
    lake: Tables,
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
        more = _sent(ledger, besides, now)
    return RiskView(
        state=state.state,
        state_reason=state.reason,
        is_tripped=state.who == BREAKER,
        book=book_of(ledger, besides[1] if besides else None),
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


def _sent(ledger: Ledger, whose: tuple[str, date], now: datetime) -> dict[str, Any]:
    """Count the orders of the session, those of the last minute, and their dollars.

    What others have planned counts as sent: two at once must not exceed together what each keeps.
    """
    orders = ledger.orders(session=whose[1])
    out = [o for o in orders if o.state is not OrderState.BLOCKED and not _is_planned_by(o, whose)]
    planned = sum(order.state is OrderState.PLANNED for order in out)
    return {
        "orders_in_session": len(out),
        "orders_in_minute": planned + ledger.sent_since(now - _MINUTE, whose[1]),
        "turnover": sum((order.value for order in out), Decimal(0)),
    }


def _returns(
    lake: Tables, bars: pl.DataFrame, sessions: Sequence[date], *, convention: Convention
) -> Returns:
    symbols = sorted(set(bars["symbol"]))
    told = lake.read("corporate_actions", sessions[0], sessions[-1], symbols=symbols)
    checks = lake.read("action_checks", sessions[0], sessions[-1], symbols=symbols)
    due = credible(known_actions(told), checks)
    adjusted = adjust(bars, due, convention=convention, as_of=sessions[-1])
    closes = adjusted.select("symbol", "session", "close").pivot(
        on="symbol", index="session", values="close"
    )
    every = pl.DataFrame({"session": list(sessions)}, schema={"session": pl.Date})
    table = every.join(closes, on="session", how="left").sort("session")
    moves = table.select(pl.col(name).forward_fill().pct_change() for name in symbols)
    values = moves.slice(1).fill_null(float("nan")).to_numpy()
    return Returns(symbols=tuple(symbols), values=values)
