"""Value the book at the close of a session, and keep the result as a snapshot."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.attribution import Netting, netting
from trading_pipeline.core.accounting.journal import Journal, journal
from trading_pipeline.core.accounting.pnl import Change, Mark, Pnl, change, fall_back, mark
from trading_pipeline.flows.books import book_of, books_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """The account at a close: as a whole, by strategy, how it came there, and its accounts.

    `parts` are each strategy's own P&L, its NAV being that P&L alone; `change` is since the last
    session that was valued before; the journal's accounts add up to 0.
    """

    pnl: Pnl
    parts: Mapping[str, Pnl]
    netting: tuple[Netting, ...]
    change: Change
    journal: Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price of now, in dollars a share, its source, and when it was made (aware UTC)."""

    price: Decimal
    source: str
    at: datetime


def value(
    ledger: Ledger, *, marks: Mapping[str, Mark], session: date, now: datetime, run_id: str
) -> Pnl:
    """Return the P&L of the book through `session` at `marks`, and append it as a snapshot.

    A snapshot equal to the session's last one is not appended again. Holdings without a mark are
    valued at cost and named in `Pnl.unpriced`.
    """
    pnl = mark(book_of(ledger, session), marks, session)
    new = ledger.append_snapshot(pnl, run_id=run_id, at=now)
    facts = {"nav": str(pnl.nav), "unpriced": list(pnl.unpriced), "new": new}
    _log.info("book valued", extra=facts)
    return pnl


def accounts_of(ledger: Ledger, pnl: Pnl, marks: Mapping[str, Mark]) -> Accounts:
    """Return what stands behind the P&L of a session at the same `marks`."""
    session = pnl.session
    books, before = books_of(ledger, session), ledger.snapshot_before(session)
    since = before.session if before else None
    opening = book_of(ledger, since) if since else None
    told = ledger.entries(session, after=since)
    return Accounts(
        pnl=pnl,
        parts={name: mark(part, marks, session) for name, part in sorted(books.parts.items())},
        netting=tuple(netting(books)),
        change=change(before, pnl),
        journal=journal(opening, told),
    )


def value_now(
    ledger: Ledger,
    *,
    quotes: Mapping[str, Quote],
    closes: Mapping[str, Mark],
    now: datetime,
    patience: timedelta,
) -> Pnl:
    """Return the P&L of everything booked so far, at prices of now; nothing is written.

    A quote serves for as long as `patience` and no longer; without one the last close does, without
    that the cost: the source is named in every row.
    """
    live = {
        symbol: Mark(price=quote.price, source=quote.source)
        for symbol, quote in quotes.items()
        if now - quote.at <= patience
    }
    return mark(book_of(ledger), fall_back(live, closes), now.date())
