"""Open the books on an account that has a past: what it holds now is what was put in."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from trading_pipeline.adapters.ledger import Ledger, Opening
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.execution.account import Account
from trading_pipeline.errors import ReconciliationError, SettingsError, TradingError
from trading_pipeline.flows.ports import Broker

_log = logging.getLogger(__name__)

OPENING: Final = "opening"
"""What the ids of opening entries begin with."""

Prices = Callable[[Sequence[str]], Mapping[str, Decimal]]
"""Prices of symbols, in dollars a share, for those whose cost the broker does not tell."""


def bootstrap(
    ledger: Ledger, broker: Broker, *, session: date, prices: Prices, now: datetime
) -> list[CashEntry]:
    """Append the entries that open new books as of `session`, and return them.

    None are needed when what the broker tells of deposits and the like gives its account. Else the
    account is taken as it stands: its cash as a deposit, its positions as shares that came in kind
    at the broker's average price. What the broker has told by now is then part of the opening and
    is never booked again. Raises SettingsError for books that are not new, ReconciliationError
    where a position has no price.
    """
    if not ledger.is_new():
        raise SettingsError("The books are open already: they are reconciled, not opened again.")
    account, told, trades = broker.account(), broker.activities(), broker.trades()
    if not trades and _explains(told, account):
        return []
    entries = opening_entries(account, session=session, prices=prices, now=now)
    ids = [*((e.session, e.entry_id) for e in told), *((t.session, t.trade_id) for t in trades)]
    known = tuple(name for day, name in ids if day >= session)
    ledger.append_opening(Opening(session=session, at=now, known=known), entries)
    _log.info("books opened", extra={"cash": str(account.cash), "positions": len(entries)})
    return entries


def opening_entries(
    account: Account, *, session: date, prices: Prices, now: datetime
) -> list[CashEntry]:
    """Return the entries that give `account`; ReconciliationError where a price is missing."""
    unpriced = sorted(account.positions.keys() - account.average_prices.keys())
    known = {**(prices(unpriced) if unpriced else {}), **account.average_prices}
    if missing := [symbol for symbol in unpriced if symbol not in known]:
        raise ReconciliationError(
            f"The account holds {', '.join(missing)}, of which neither the broker tells what a "
            "share cost nor the vendor has a price: the books cannot be opened."
        )
    shares = [
        CashEntry(
            entry_id=f"{OPENING}-{symbol}",
            kind=EntryKind.TRANSFER,
            session=session,
            amount=Decimal(0),
            symbol=symbol,
            quantity=quantity,
            price=known[symbol],
            at=now,
        )
        for symbol, quantity in sorted(account.positions.items())
        if quantity
    ]
    if not account.cash:
        return shares
    kind = EntryKind.DEPOSIT if account.cash > 0 else EntryKind.WITHDRAWAL
    cash = CashEntry(
        entry_id=f"{OPENING}-cash", kind=kind, session=session, amount=account.cash, at=now
    )
    return [cash, *shares]


def _explains(told: Sequence[CashEntry], account: Account) -> bool:
    """Whether the activities alone lead to the account."""
    try:
        book = replay(Book(), told)
    except TradingError:  # a split or a trade of shares that it does not tell the origin of
        return False
    return not any(account.positions.values()) and book.cash == account.cash
