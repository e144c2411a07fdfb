"""Adopt breaks by a person's word: append entries that make the books follow the broker's."""

import logging
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.execution.breaks import Break, BreakKind, Subject
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.bootstrap import Prices

_log = logging.getLogger(__name__)


def adopt(
    ledger: Ledger,
    breaks: Sequence[Break],
    *,
    session: date,
    prices: Prices,
    reason: str,
    now: datetime,
) -> list[CashEntry]:
    """Append an entry for each held break of shares or cash, and return them.

    Shares that a corporate action explains are a split; others came or went in kind at the newest
    price. Cash is a fee when it looks like one, else it was put in or taken out. Raises
    SettingsError without a reason, for a break of an order, which only the broker can end, and for
    shares without a price.
    """
    if not reason.strip():
        raise SettingsError('To adopt a break takes a reason: --reason "sold by phone".')
    if orders := [each for each in breaks if each.subject is Subject.ORDER]:
        raise SettingsError(
            f"Order {orders[0].reference} is not ours to book: cancel it at the broker."
        )
    shares = sorted({each.symbol for each in breaks if each.symbol})
    known = dict(prices(shares)) if shares else dict[str, Decimal]()
    entries = [
        _of_shares(each, known.get(each.symbol or ""), session=session, now=now)
        if each.symbol
        else _of_cash(each, session=session, now=now)
        for each in breaks
    ]
    ledger.append(at=now, entries=entries)
    for entry in entries:
        _log.warning("break adopted", extra={"entry": entry.entry_id, "why": reason})
    return entries


def _of_shares(found: Break, price: Decimal | None, *, session: date, now: datetime) -> CashEntry:
    is_split = found.kind is BreakKind.CORPORATE_ACTION and bool(found.ours)
    if price is None and not is_split:
        raise SettingsError(f"{found.symbol} has no price of late: expected one to book it at.")
    return CashEntry(
        entry_id=_name(found, now),
        kind=EntryKind.SPLIT if is_split else EntryKind.TRANSFER,
        session=session,
        amount=Decimal(0),
        symbol=found.symbol,
        quantity=found.difference,
        price=None if is_split else price,
        at=now,
    )


def _of_cash(found: Break, *, session: date, now: datetime) -> CashEntry:
    kind = EntryKind.DEPOSIT if found.difference > 0 else EntryKind.WITHDRAWAL
    return CashEntry(
        entry_id=_name(found, now),
        kind=EntryKind.FEE if found.kind is BreakKind.FEE else kind,
        session=session,
        amount=found.difference,
        at=now,
    )


def _name(found: Break, now: datetime) -> str:
    return f"adopted-{now:%Y%m%dT%H%M%S.%f}-{found.symbol or 'cash'}"
