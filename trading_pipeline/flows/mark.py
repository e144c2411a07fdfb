"""Value the book at the close of a session, and keep the result as a snapshot."""

import logging
from collections.abc import Mapping
from datetime import date, datetime

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.pnl import Mark, Pnl, mark

_log = logging.getLogger(__name__)


def value(
    ledger: Ledger, *, marks: Mapping[str, Mark], session: date, now: datetime, run_id: str
) -> Pnl:
    """Return the P&L of the book through `session` at `marks`, and append it as a snapshot.

    A snapshot equal to the session's last one is not appended again. Holdings without a mark are
    valued at cost and named in `Pnl.unpriced`.
    """
    pnl = mark(replay(Book(), ledger.entries(session)), marks, session)
    new = ledger.append_snapshot(pnl, run_id=run_id, at=now)
    facts = {"nav": str(pnl.nav), "unpriced": list(pnl.unpriced), "new": new}
    _log.info("book valued", extra=facts)
    return pnl
