"""Fold the ledger into books, and keep the result now and then so that no fold grows for ever."""

from datetime import date, datetime
from typing import Final

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.attribution import Books, replay_parts
from trading_pipeline.core.accounting.book import Book, replay

KEEP_EVERY: Final = 500
"""Books are kept after so many entries, or after as many as they have positions."""


def book_of(ledger: Ledger, through: date | None = None) -> Book:
    """Return the account's book after all entries of the sessions up to `through`, or all."""
    found = ledger.history(through)
    return replay(found.books.total, found.entries)


def books_of(ledger: Ledger, through: date | None = None) -> Books:
    """Return the account's book and each strategy's part of it."""
    found = ledger.history(through)
    return replay_parts(found.books, found.entries)


def keep(ledger: Ledger, session: date, *, now: datetime) -> bool:
    """Keep the books through `session` if enough has happened since they were kept before."""
    found = ledger.history(session)
    if len(found.entries) < max(KEEP_EVERY, len(found.books.total.positions)):
        return False
    books = replay_parts(found.books, found.entries)
    ledger.append_books(books, session=session, counts=found.counts, at=now)
    return True
