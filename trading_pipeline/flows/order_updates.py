"""Settle sessions: let the broker's day happen and bring what it tells into the ledger, once."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple

import polars as pl

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.execution.account import BrokerOrder, MarketSession
from trading_pipeline.core.execution.markets import markets, prices
from trading_pipeline.core.execution.order import OPEN, Fill, Order, OrderState, move, record
from trading_pipeline.core.execution.reports import unbooked
from trading_pipeline.core.market.action_kinds import ACTIONS, NOTHING
from trading_pipeline.core.market.calendar import (
    last_closed_session,
    next_session,
    previous_session,
    session_window,
    sessions_between,
)
from trading_pipeline.errors import TradingError
from trading_pipeline.flows.books import keep
from trading_pipeline.flows.bootstrap import bootstrap
from trading_pipeline.flows.ports import Broker, MarketData

_log = logging.getLogger(__name__)

SENT: Final = OPEN - {OrderState.PLANNED}
"""Orders that the broker may know more of than we do."""

OPENING_SESSIONS: Final = 10
"""How old a close may be at which shares of an account with a past are taken in."""

_ON_HOLDINGS: Final = frozenset({EntryKind.SPLIT, EntryKind.SUCCESSION})
"""Entries that only what is held can have."""

_IN_DOUBT: Final = frozenset({OrderState.SUBMITTING, OrderState.UNKNOWN})
_ENDED: Final = frozenset({OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED})

LOOK_BACK: Final = timedelta(days=30)
"""How long after its date an activity may still be told of, without a break that asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a settlement brought: sessions, fills and entries that were new, orders that moved."""

    sessions: tuple[date, ...]
    fills: tuple[Fill, ...]
    entries: tuple[CashEntry, ...]
    orders: tuple[Order, ...]


class News(NamedTuple):
    """What the broker tells that the ledger may not hold; `orders` has every step of a move."""

    orders: list[Order]
    fills: list[Fill]
    entries: list[CashEntry]


def settle(
    ledger: Ledger, broker: Broker, vendor: MarketData, *, through: date, now: datetime
) -> Settled:
    """Settle every session after the last settled one up to `through`, and return what is new.

    Only sessions that have closed at `now` and that the vendor holds. In each, the broker sees the
    raw opens and closes and the corporate actions of what is held or ordered. Then its fills,
    entries and order states go into the ledger in one transaction, and orders that never reached it
    before their session was over expire. Doing it again changes nothing; a process killed anywhere
    in it is made good by the next one. New books are opened on what the account holds. Whether they
    tie out afterwards, `flows.reconcile` says.
    """
    if ledger.is_new():
        closes = partial(newest_closes, vendor, through)
        bootstrap(ledger, broker, session=through, prices=closes, now=now)
    orders = ledger.orders(states=OPEN)
    due = _due(ledger, vendor, through=through, now=now)
    symbols = {order.symbol for order in orders}.union(broker.account().positions)
    brought = _markets(vendor, sorted(symbols), due)
    for market in brought:
        broker.advance(market)
    sessions = tuple(market.session for market in brought)
    news = hear(ledger, broker, orders)
    settled = max(sessions, default=ledger.last_settlement())
    steps = [*news.orders, *_expire(orders, news, settled)]
    new = ledger.append(
        at=now, orders=steps, fills=news.fills, entries=news.entries, settled=sessions
    )
    if sessions:
        keep(ledger, sessions[-1], now=now)
    moved = {order.client_order_id: order for order in steps}
    if sessions or new.fills or new.entries:
        counts = {"sessions": len(sessions), "fills": len(new.fills), "entries": len(new.entries)}
        _log.info("sessions settled", extra=counts)
    return Settled(
        sessions=sessions,
        fills=tuple(new.fills),
        entries=tuple(new.entries),
        orders=tuple(moved.values()),
    )


def hear(
    ledger: Ledger, broker: Broker, orders: Iterable[Order], *, since: date | None = None
) -> News:
    """Return what the broker tells beyond the ledger: of `orders`, as it has them, and of cash.

    `since` is from which date on activities are asked for: by default a month before the last
    settlement, since a correction may be dated back. Nothing is written.
    """
    waiting = [order for order in orders if order.state in SENT]
    names = [order.client_order_id for order in waiting]
    told: defaultdict[str, list[Fill]] = defaultdict(list)
    for fill in broker.fills(names) if names else []:
        told[fill.client_order_id].append(fill)
    found = broker.find_all(names) if names else {}
    news = News([], [], _new_entries(ledger, broker, since))
    for order in waiting:
        if there := found.get(order.client_order_id):
            new = unbooked(order, told[order.client_order_id])
            news.orders.extend(catch_up(order, there, new))
            news.fills.extend(new)
    return news._replace(entries=_possible(ledger, news.fills, news.entries))


def _possible(
    ledger: Ledger, fills: Sequence[Fill], entries: Sequence[CashEntry]
) -> list[CashEntry]:
    """Return the entries without those that cannot have happened to what we hold.

    A corporate action on shares that are not in our books is one: they would never be read again.
    Reconciliation finds what it moved.
    """
    if not any(entry.kind in _ON_HOLDINGS for entry in entries):
        return list(entries)
    kept: list[CashEntry] = []
    booked = [*ledger.entries(), *fills]
    for entry in sorted(entries, key=lambda each: each.session):
        try:
            if entry.kind in _ON_HOLDINGS:
                replay(Book(), [*booked, *kept, entry])
        except TradingError as error:
            _log.error("entry not booked", extra={"entry": entry.entry_id, "why": str(error)})
        else:
            kept.append(entry)
    return kept


def _new_entries(ledger: Ledger, broker: Broker, since: date | None) -> list[CashEntry]:
    """Return the activities that are neither held nor part of what the books were opened with."""
    last, opening = ledger.last_settlement(), ledger.opening()
    asked = since or (last - LOOK_BACK if last else None)
    told = broker.activities(asked)
    known = {entry.entry_id for entry in ledger.cash_entries([each.entry_id for each in told])}
    if opening:
        known.update(opening.known)
        told = [entry for entry in told if entry.session >= opening.session]
    return [entry for entry in told if entry.entry_id not in known]


def catch_up(order: Order, found: BrokerOrder, fills: Iterable[Fill]) -> list[Order]:
    """Return the order's steps from where we left it to where the broker has it.

    `fills` are those not recorded yet; an order filled at the broker gets there by its fills only.
    """
    steps = [order]
    if order.state in _IN_DOUBT:
        refused = found.state is OrderState.REJECTED
        to = OrderState.REJECTED if refused else OrderState.ACCEPTED
        steps.append(
            move(order, to, reason=found.reason, broker_order_id=found.broker_order_id)
            if refused
            else move(order, to, broker_order_id=found.broker_order_id)
        )
    for fill in fills:
        steps.append(record(steps[-1], fill))
    if found.state in _ENDED and steps[-1].state in SENT:
        steps.append(move(steps[-1], found.state, reason=found.reason))
    return steps[1:]


def newest_closes(vendor: MarketData, session: date, symbols: Sequence[str]) -> dict[str, Decimal]:
    """Return the newest closes of the last OPENING_SESSIONS sessions."""
    bars = vendor.bars(symbols, session_window(session, OPENING_SESSIONS)[0], session)
    found: dict[str, Decimal] = {}
    for _, closes in sorted(prices(bars, "close").items()):
        found.update(closes)
    return found


def _due(ledger: Ledger, vendor: MarketData, *, through: date, now: datetime) -> list[date]:
    """Return the sessions to settle: none before the first decision has been taken."""
    done = ledger.last_settlement() or ledger.first_session()
    if done is None:
        return []
    closed = last_closed_session(now)
    last = min(through, closed, vendor.last_session() or closed)
    return sessions_between(next_session(done), last)


def _markets(
    vendor: MarketData, symbols: Sequence[str], sessions: Sequence[date]
) -> list[MarketSession]:
    """Return what the sessions brought to `symbols`, and to what they became in them.

    A vendor that cannot say how far it goes holds the sessions up to the last one with a bar.
    """
    if not sessions:
        return []
    first = previous_session(sessions[0]) + timedelta(days=1)
    asked, told = set[str](), set(symbols)
    actions = pl.DataFrame(schema=ACTIONS)
    while told - asked:
        asked |= told
        actions = vendor.corporate_actions(sorted(asked), first, sessions[-1])
        told = set(actions["new_symbol"].drop_nulls()) - {NOTHING}
    bars = vendor.bars(sorted(asked), sessions[0], sessions[-1])
    if vendor.last_session() is None:
        newest = {session for session in bars["session"].to_list() if session}
        sessions = [session for session in sessions if newest and session <= max(newest)]
    if not sessions:
        return []
    return markets(bars, actions, sessions, volumes=True)


def _expire(orders: Iterable[Order], news: News, settled: date | None) -> Iterator[Order]:
    """Yield the steps of orders that never reached the broker and whose session is over."""
    found = {order.client_order_id for order in news.orders}
    for order in orders:
        due = next_session(order.session)
        unsent = order.state is OrderState.PLANNED or order.state in _IN_DOUBT
        if settled is None or due > settled or not unsent or order.client_order_id in found:
            continue
        if order.state is OrderState.UNKNOWN:  # looked up, and the broker does not know it
            order = move(order, OrderState.SUBMITTING)  # noqa: PLW2901
            yield order
        reason = f"It had not reached the broker when {due}, its session, was over."
        yield move(order, OrderState.EXPIRED, reason=reason)
