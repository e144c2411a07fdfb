"""Reconcile our books with the broker's: adopt what it tells, hold what nothing explains.

Facts with an id of the broker's (fills, trades past this system, dividends, splits, fees, deposits)
are appended as entries. What differs after that is a break: it stays until a later reconciliation
finds it gone, or a person adopts it, and stops orders of its symbol, or all of them.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Final

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.entries import CashEntry, Entry, EntryKind
from trading_pipeline.core.execution.account import Account
from trading_pipeline.core.execution.breaks import Break, Reconciliation, Subject
from trading_pipeline.core.execution.markets import (
    actions_by_session,
    prices,
    successions_by_session,
)
from trading_pipeline.core.execution.order import OPEN, Fill, Order, OrderState, move
from trading_pipeline.core.execution.reconcile import CENT, Clues, compare, ours, theirs
from trading_pipeline.core.market.calendar import (
    FIRST_SESSION,
    last_closed_session,
    session_window,
)
from trading_pipeline.errors import ReconciliationError
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.differences import adopted, missed_fills, strangers_trades
from trading_pipeline.flows.order_updates import hear
from trading_pipeline.flows.ports import Broker, MarketData

_log = logging.getLogger(__name__)

BEFORE_ORDERS: Final = "orders"
AFTER_FILLS: Final = "fills"
SCHEDULED: Final = "schedule"
RECONNECTED: Final = "reconnect"
ASKED: Final = "asked"

CLUE_SESSIONS: Final = 5
"""How far back corporate actions are looked for that may explain a difference."""

BREAK: Final = "break"
"""The code of an order that is blocked by one."""

Clue = Callable[[Collection[str]], Clues]
"""Gathers what may explain differences of these symbols; asked only when there are some."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look finds: steps and entries to append, and what differs once they are."""

    steps: list[Order]
    fills: list[Fill]
    entries: list[CashEntry]
    book: Book
    account: Account
    orders: int
    breaks: list[Break]

    @property
    def told(self) -> list[Entry]:
        return [*self.fills, *self.entries]


def reconcile(
    ledger: Ledger,
    broker: Broker,
    *,
    cause: str,
    now: datetime,
    clue: Clue | None = None,
    write: bool = True,
) -> Reconciliation:
    """Compare everything once, append what the broker tells, and return and append what was found.

    A difference counts when two looks find it, the second of which asks for everything the broker
    has ever told: a fill may fall between the book and the account, and a fact may be told late. A
    reconciliation that finds what the last one found is not appended again. Without `write` nothing
    is appended at all, and books that are new are not held against an account: the first
    settlement opens them. Raises TransientError when the broker does not answer.
    """
    look = _look(ledger, broker, None, clue)
    if look.breaks and not write and ledger.is_new():
        look = replace(look, breaks=[])
    if look.breaks:
        first = {_what(each) for each in look.breaks}
        look = _look(ledger, broker, FIRST_SESSION, clue)
        look = replace(look, breaks=[each for each in look.breaks if _what(each) in first])
    entries = [*look.entries, *_rounding(look, now)]
    found = Reconciliation(
        session=ledger.last_settlement() or last_closed_session(now),
        cause=cause,
        at=now,
        orders=look.orders,
        positions=len(look.account.positions),
        cash=look.book.cash,
        broker_cash=look.account.cash,
        breaks=(*adopted(look.fills, entries), *look.breaks),
    )
    if write:
        ledger.append(at=now, orders=look.steps, fills=look.fills, entries=entries)
        ledger.append_reconciliation(found)
        _tell(found)
    return found


def before_orders(
    ledger: Ledger,
    broker: Broker,
    vendor: MarketData,
    *,
    session: date,
    now: datetime,
    write: bool = True,
) -> frozenset[str]:
    """Reconcile ahead of an order run, and return the symbols that it may not trade.

    Raises ReconciliationError when nothing may be traded: cash does not tie. Without `write`
    nothing is appended, sent or raised.
    """
    clue = partial(clues_of, vendor, session)
    found = reconcile(ledger, broker, cause=BEFORE_ORDERS, now=now, clue=clue, write=write)
    if not write:
        return frozenset(found.blocked)
    block_planned(ledger, found, now=now)
    return require_books(found)


def clues_of(vendor: MarketData, session: date, symbols: Collection[str]) -> Clues:
    """Return the corporate actions of the last CLUE_SESSIONS sessions, and the newest closes."""
    if not symbols:
        return Clues()
    first, wanted = session_window(session, CLUE_SESSIONS)[0], sorted(symbols)
    actions = vendor.corporate_actions(wanted, first, session)
    splits, dividends = actions_by_session(actions, first, session)
    successions = successions_by_session(actions, first, session)
    closes = prices(vendor.bars(wanted, first, session), "close")
    return Clues(
        splits={name: ratio for day in sorted(splits) for name, ratio in splits[day].items()},
        dividends={
            name: paid for day in sorted(dividends) for name, paid in dividends[day].items()
        },
        prices={name: price for day in sorted(closes) for name, price in closes[day].items()},
        successions=[each for day in sorted(successions) for each in successions[day]],
    )


def require_books(found: Reconciliation) -> frozenset[str]:
    """Return the symbols that may not be traded; ReconciliationError when nothing may be."""
    if found.blocks_everything:
        why = " ".join(each.sentence for each in found.held)
        raise ReconciliationError(f"Our books differ from the account at the broker. {why}")
    return frozenset(found.blocked)


def block_planned(ledger: Ledger, found: Reconciliation, *, now: datetime) -> list[Order]:
    """Block the orders that are planned and not sent yet of symbols that may not be traded."""
    planned = ledger.orders(states=[OrderState.PLANNED]) if found.blocked else []
    blocked = [
        move(order, OrderState.BLOCKED, code=BREAK, reason=found.blocked[order.symbol])
        for order in planned
        if order.symbol in found.blocked
    ]
    ledger.append(at=now, orders=blocked)
    return blocked


def last_reconciliation(ledger: Ledger) -> Reconciliation | None:
    """Return the newest reconciliation, whose breaks stand, or None before the first one."""
    return next(iter(ledger.reconciliations(1)), None)


def _look(ledger: Ledger, broker: Broker, since: date | None, clue: Clue | None) -> _Look:
    resting = {order.client_order_id: order for order in broker.open_orders()}
    account, orders = broker.account(), ledger.orders(states=OPEN)
    news = hear(ledger, broker, orders, since=since)
    late = missed_fills(ledger, broker, since)
    foreign = strangers_trades(ledger, broker, since)
    fills, entries = [*news.fills, *late.fills], [*news.entries, *foreign]
    book = replay(book_of(ledger), [*fills, *entries])
    held = {p.symbol: p.quantity for p in book.positions.values() if p.quantity}
    moved = {order.client_order_id: order for order in (*orders, *news.orders)}
    still = {name: order for name, order in moved.items() if order.state in OPEN}
    mine = ours(Account(cash=book.cash, positions=held), still)
    breaks = compare(mine, theirs(account, resting))
    if breaks and clue:
        symbols = held.keys() | account.positions.keys()
        breaks = compare(mine, theirs(account, resting), clue(sorted(symbols)))
    steps = [*news.orders, *late.orders]
    return _Look(steps, fills, entries, book, account, len(resting), breaks)


def _what(found: Break) -> tuple[Subject, str | None, str | None]:
    return found.subject, found.symbol, found.reference


def _rounding(look: _Look, now: datetime) -> list[CashEntry]:
    """Book what average prices leave below a cent, so that it never adds up to one."""
    difference = look.account.cash - look.book.cash
    if look.breaks or not difference or abs(difference) >= CENT:
        return []
    return [
        CashEntry(
            entry_id=f"rounding-{now:%Y%m%dT%H%M%S.%f}",
            kind=EntryKind.FEE,
            session=max((entry.session for entry in look.told), default=last_closed_session(now)),
            amount=difference,
            at=now,
        )
    ]


def _tell(found: Reconciliation) -> None:
    counts = {"cause": found.cause, "adopted": len(found.adopted), "held": len(found.held)}
    _log.info("books reconciled", extra=counts)
    for each in found.held:
        facts = {"subject": each.subject.value, "symbol": each.symbol, "kind": each.kind.value}
        _log.error("break held", extra={**facts, "why": each.sentence})
