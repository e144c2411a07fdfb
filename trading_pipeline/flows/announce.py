"""Tell a fact to whoever listens; nothing that is done ever depends on it."""

import logging
from collections.abc import Iterable
from datetime import datetime

import polars as pl

from trading_pipeline.adapters.ledger import Ledger, Standing
from trading_pipeline.adapters.live_store import EventBus
from trading_pipeline.core.events import (
    Fact,
    ModelPromoted,
    OrdersExecuted,
    PositionsUpdated,
    RiskHalted,
    SignalsGenerated,
)
from trading_pipeline.core.execution.order import Fill, Order, OrderState, Side
from trading_pipeline.core.risk.limits import TradingState
from trading_pipeline.errors import TradingPipelineError
from trading_pipeline.flows.lifecycle import Activated

_log = logging.getLogger(__name__)


class Announcer:
    """Tells facts on a bus, if there is one; when that is down, the facts are lost.

    A bus that fails once is not asked again for the rest of the call: it costs one patience, and
    one line in the log.
    """

    def __init__(self, bus: EventBus | None) -> None:
        """None tells nothing to anyone."""
        self._bus = bus

    def tell(self, facts: Iterable[Fact]) -> int:
        """Tell the facts and return how many were told."""
        told = 0
        if self._bus is None:
            return told
        for fact in facts:
            try:
                self._bus.tell(fact)
            except TradingPipelineError as error:
                _log.warning("fact not told", extra={"fact": fact.name, "why": str(error)})
                break
            told += 1
        return told


class FillWatch:
    """Tells the fills that come into a ledger after this was made, each once."""

    def __init__(self, announcer: Announcer, ledger: Ledger) -> None:
        """Note what the ledger holds already."""
        self._announcer, self._ledger = announcer, ledger
        self._known = {fill.fill_id for fill in self._fills()}

    def tell(self, now: datetime) -> int:
        """Tell what is new, and return how many facts were told."""
        new = [fill for fill in self._fills() if fill.fill_id not in self._known]
        self._known |= {fill.fill_id for fill in new}
        return self._announcer.tell(of_fills(new, now=now))

    def _fills(self) -> list[Fill]:
        return [entry for entry in self._ledger.entries() if isinstance(entry, Fill)]


def of_signals(
    signals: pl.DataFrame, *, strategy: str, run_id: str, orders_follow: bool, now: datetime
) -> list[Fact]:
    """The facts that signals were generated, by session; none where nothing was scored."""
    return [
        SignalsGenerated(
            at=now,
            strategy=strategy,
            session=session,
            symbols=tuple(symbols),
            run_id=run_id,
            orders_follow=orders_follow,
        )
        for session, symbols in signals.group_by("session").agg("symbol").sort("session").rows()
    ]


def of_orders(orders: Iterable[Order], *, run_id: str, now: datetime) -> list[Fact]:
    """The fact that orders were sent, by strategy and session; none without orders."""
    by_run: dict[tuple[str, object], list[Order]] = {}
    for order in orders:
        by_run.setdefault((order.strategy, order.session), []).append(order)
    return [
        OrdersExecuted(
            at=now,
            run_id=run_id,
            strategy=group[0].strategy,
            session=group[0].session,
            orders=len(group),
            accepted=sum(order.state in _ACCEPTED for order in group),
            rejected=sum(order.state is OrderState.REJECTED for order in group),
        )
        for group in by_run.values()
    ]


def of_fills(fills: Iterable[Fill], *, now: datetime) -> list[Fact]:
    """The facts that fills changed positions."""
    return [
        PositionsUpdated(
            at=now,
            symbol=fill.symbol,
            side="buy" if fill.side is Side.BUY else "sell",
            quantity_change=fill.quantity if fill.side is Side.BUY else -fill.quantity,
            price=fill.price,
            strategy=fill.strategy,
            fill_id=fill.fill_id,
        )
        for fill in fills
    ]


def of_halt(found: Standing, *, now: datetime) -> list[Fact]:
    """The fact that trading was stopped; none while it is ACTIVE."""
    if found.state is TradingState.ACTIVE:
        return []
    return [RiskHalted(at=now, state=found.state.value, who=found.who, reason=found.reason)]


def of_model(done: Activated, *, who: str, now: datetime) -> list[Fact]:
    """The fact that another model trades from now on; none when it is the one before."""
    if not done.changed:
        return []
    release = done.release
    return [
        ModelPromoted(
            at=now,
            strategy=release.manifest.strategy,
            model_version=release.model_version,
            previous=done.previous,
            who=who,
        )
    ]


_ACCEPTED = {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED, OrderState.FILLED}
