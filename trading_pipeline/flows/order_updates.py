"""Settle sessions: let the broker's day happen and bring what it tells into the ledger, once."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Final, NamedTuple

import polars as pl

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, CashEntry, Entry, replay
from trading_pipeline.core.execution.account import BrokerOrder, MarketSession
from trading_pipeline.core.execution.order import OPEN, Fill, Order, OrderState, move, record
from trading_pipeline.core.market.calendar import (
    last_closed_session,
    next_session,
    previous_session,
    session_on_or_after,
    sessions_between,
)
from trading_pipeline.errors import ReconciliationError
from trading_pipeline.flows.ports import Broker, MarketData

_log = logging.getLogger(__name__)

SENT: Final = OPEN - {OrderState.PLANNED}
"""Orders that the broker may know more of than we do."""

_IN_DOUBT: Final = frozenset({OrderState.SUBMITTING, OrderState.UNKNOWN})
_ENDED: Final = frozenset({OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED})
_RATIO_TOLERANCE: Final = 1e-6


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
    raw opens and closes, splits and dividends of what is held or ordered. Then its fills, entries
    and order states go into the ledger in one transaction, and orders that never reached it before
    their session was over expire. Doing it again changes nothing; a process killed anywhere in it
    is made good by the next one. Raises ReconciliationError when afterwards the broker's account is
    not the book of the ledger.
    """
    known, orders = ledger.entries(), ledger.orders(states=OPEN)
    due = _due(ledger, vendor, through=through, now=now)
    symbols = {order.symbol for order in orders}.union(broker.account().positions)
    markets = _markets(vendor, sorted(symbols), due)
    for market in markets:
        broker.advance(market)
    sessions = tuple(market.session for market in markets)
    news = hear(broker, orders, known)
    settled = max(sessions, default=ledger.last_settlement())
    steps = [*news.orders, *_expire(orders, news, settled)]
    new = ledger.append(
        at=now, orders=steps, fills=news.fills, entries=news.entries, settled=sessions
    )
    _require_agreement([*known, *news.fills, *news.entries], broker)
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


def hear(broker: Broker, orders: Iterable[Order], known: Iterable[Entry]) -> News:
    """Return what the broker tells of `orders` and the account beyond the `known` entries."""
    fills = {entry.fill_id for entry in known if isinstance(entry, Fill)}
    entries = {entry.entry_id for entry in known if isinstance(entry, CashEntry)}
    waiting = [order for order in orders if order.state in SENT]
    told: defaultdict[str, list[Fill]] = defaultdict(list)
    for fill in broker.fills([order.client_order_id for order in waiting]) if waiting else []:
        if fill.fill_id not in fills:
            told[fill.client_order_id].append(fill)
    news = News([], [], [item for item in broker.activities() if item.entry_id not in entries])
    for order in waiting:
        if found := broker.find(order.client_order_id):
            new = told[order.client_order_id]
            news.orders.extend(catch_up(order, found, new))
            news.fills.extend(new)
    return news


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
    """Return what the sessions brought to `symbols`.

    A vendor that cannot say how far it goes holds the sessions up to the last one with a bar.
    """
    if not sessions:
        return []
    bars = vendor.bars(symbols, sessions[0], sessions[-1])
    if vendor.last_session() is None:
        newest = {session for session in bars["session"].to_list() if session}
        sessions = [session for session in sessions if newest and session <= max(newest)]
    opens, closes = _prices(bars, "open"), _prices(bars, "close")
    splits, dividends = _actions(vendor, symbols, sessions)
    return [
        MarketSession(
            session=session,
            opens=opens[session],
            closes=closes[session],
            splits=splits[session],
            dividends=dividends[session],
        )
        for session in sessions
    ]


_BySession = defaultdict[date, dict[str, Decimal]]


def _prices(bars: pl.DataFrame, column: str) -> _BySession:
    found: _BySession = defaultdict(dict)
    for symbol, session, price in bars.select("symbol", "session", column).iter_rows():
        if price is not None and isfinite(price) and price > 0:
            found[session][symbol] = Decimal(repr(price))
    return found


def _actions(
    vendor: MarketData, symbols: Sequence[str], sessions: Sequence[date]
) -> tuple[_BySession, _BySession]:
    """Return splits and dividends by the session they take effect in.

    An ex-date on which the exchange is closed takes effect in the next session. Several splits of a
    symbol multiply, several dividends add.
    """
    splits: _BySession = defaultdict(dict)
    dividends: _BySession = defaultdict(dict)
    if not sessions:
        return splits, dividends
    first = previous_session(sessions[0]) + timedelta(days=1)
    actions = vendor.corporate_actions(symbols, first, sessions[-1])
    for row in actions.sort("ex_date", "symbol", "kind").iter_rows(named=True):
        session, symbol = session_on_or_after(row["ex_date"]), row["symbol"]
        if row["kind"] == "split":
            held = splits[session].get(symbol, Decimal(1))
            splits[session][symbol] = held * _ratio(row["split_ratio"])
        else:
            held = dividends[session].get(symbol, Decimal(0))
            dividends[session][symbol] = held + Decimal(repr(row["dividend"]))
    return splits, dividends


def _ratio(ratio: float) -> Decimal:
    """Return a split's ratio, 0.333333 as the third that it means."""
    near = Fraction(ratio).limit_denominator(100)
    if near and abs(float(near) / ratio - 1) <= _RATIO_TOLERANCE:
        return Decimal(near.numerator) / Decimal(near.denominator)
    return Decimal(repr(ratio))


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


def _require_agreement(entries: Iterable[Entry], broker: Broker) -> None:
    book, account = replay(Book(), entries), broker.account()
    ours = {p.symbol: p.quantity for p in book.positions.values() if p.quantity}
    symbols = sorted(ours.keys() | account.positions.keys())
    breaks = [
        f"{ours.get(symbol, 0)} shares of {symbol} against {account.positions.get(symbol, 0)}"
        for symbol in symbols
        if ours.get(symbol, 0) != account.positions.get(symbol, 0)
    ]
    if book.cash != account.cash:
        breaks.append(f"{book.cash} dollars of cash against {account.cash}")
    if breaks:
        raise ReconciliationError(
            f"Our books differ from the account at the broker {broker.name}: {'; '.join(breaks)}."
        )
