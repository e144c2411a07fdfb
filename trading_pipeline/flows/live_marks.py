"""What the holdings are worth right now, from the stream's quotes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.pnl import Mark
from trading_pipeline.core.market.calendar import is_session, session_close, session_open
from trading_pipeline.core.market.quotes import Quote
from trading_pipeline.errors import TransientError
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.risk_monitor import Prices

_log = logging.getLogger(__name__)

QUOTE: Final = "quote"
"""The source of a live mark: half way between bid and ask."""


def is_market_open(now: datetime) -> bool:
    """Whether the exchange trades at `now` (aware UTC)."""
    day = now.date()
    return is_session(day) and session_open(day) <= now < session_close(day)


def live_prices(
    ledger: Ledger, latest: Callable[[Sequence[str]], Mapping[str, Quote]], *, now: datetime
) -> Prices | None:
    """Return the prices of all holdings at `now`, or None when there are no live ones.

    `latest` gives the last sound quote by symbol. Live are those of this session while the market
    is open; a holding without one keeps the price of the last snapshot. Quotes that cannot be read
    are none: what they would tell, the last snapshot tells later.
    """
    positions = book_of(ledger).positions.values()
    held = sorted(position.symbol for position in positions if position.quantity)
    if not held or not is_market_open(now):
        return None
    try:
        quotes = latest(held)
    except TransientError as error:
        _log.warning("quotes not read", extra={"why": str(error)})
        return None
    opened = session_open(now.date())
    live = {symbol: quote for symbol, quote in quotes.items() if quote.made_at >= opened}
    marks = {s: Mark(price=quote.mid, source=QUOTE) for s, quote in live.items() if quote.mid}
    if not marks:
        return None
    newest = max(live[symbol].made_at for symbol in marks)
    last = {
        position.symbol: position.mark for pnl in ledger.snapshots(1) for position in pnl.positions
    }
    kept = {symbol: mark for symbol, mark in last.items() if mark is not None}
    return Prices(marks=kept | marks, session=now.date(), made_at=newest)
