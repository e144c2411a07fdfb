"""Adopt breaks by a person's word: append entries that make the books follow the broker's."""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.execution.account import Succession
from trading_pipeline.core.execution.breaks import Break, BreakKind, Subject
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.reconcile import Clue

_log = logging.getLogger(__name__)

_PART: Final = Decimal("1e-9")


def adopt(
    ledger: Ledger,
    breaks: Sequence[Break],
    *,
    session: date,
    clue: Clue,
    reason: str,
    now: datetime,
) -> list[CashEntry]:
    """Append an entry for each held break of shares or cash, and return them.

    Shares that a succession explains move on at their cost, which a spin-off shares by what both
    are worth at the newest prices; those that another corporate action explains are a split; others
    came or went in kind at the newest price. Cash is a fee when it looks like one, else it was put
    in or taken out. Raises SettingsError without a reason, for a break of an order, which only the
    broker can end, and for shares without a price.
    """
    if not reason.strip():
        raise SettingsError('To adopt a break takes a reason: --reason "sold by phone".')
    if orders := [each for each in breaks if each.subject is Subject.ORDER]:
        raise SettingsError(
            f"Order {orders[0].reference} is not ours to book: cancel it at the broker."
        )
    held = {p.symbol for p in book_of(ledger).positions.values() if p.quantity}
    clues = clue(held.union(each.symbol for each in breaks if each.symbol))
    known = clues.prices
    moved = [
        entry
        for each in clues.successions
        if (entry := _of_succession(each, breaks, known, session=session, now=now))
    ]
    done = {name for entry in moved for name in (entry.symbol, entry.new_symbol)}
    entries = moved + [
        _of_shares(each, known.get(each.symbol or ""), session=session, now=now)
        if each.symbol
        else _of_cash(each, session=session, now=now)
        for each in breaks
        if each.symbol is None or each.symbol not in done
    ]
    ledger.append(at=now, entries=entries)
    for entry in entries:
        _log.warning("break adopted", extra={"entry": entry.entry_id, "why": reason})
    return entries


def _of_shares(found: Break, price: Decimal | None, *, session: date, now: datetime) -> CashEntry:
    is_split = found.kind is BreakKind.CORPORATE_ACTION and bool(found.ours)
    if not is_split:
        price = _price({} if price is None else {found.symbol or "": price}, found.symbol)
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


def _of_succession(
    each: Succession,
    breaks: Sequence[Break],
    prices: Mapping[str, Decimal],
    *,
    session: date,
    now: datetime,
) -> CashEntry | None:
    """Return what moves shares on as their differences say, or None where there is none of it."""
    found = {one.symbol: one for one in breaks if one.symbol}
    old, new = found.get(each.symbol), found.get(each.new_symbol or "")
    if (new if each.keeps else old) is None:
        return None
    share = Decimal(1)
    if each.keeps and new is not None:
        worth = each.new_shares * _price(prices, each.new_symbol)
        share = (worth / (worth + _price(prices, each.symbol))).quantize(_PART)
    return CashEntry(
        entry_id=f"adopted-{now:%Y%m%dT%H%M%S.%f}-{each.symbol}",
        kind=EntryKind.SUCCESSION,
        session=session,
        amount=Decimal(0),
        symbol=each.symbol,
        quantity=old.difference if old and not each.keeps else Decimal(0),
        new_symbol=each.new_symbol if new else None,
        new_quantity=new.difference if new else None,
        cost_share=share if new else None,
        at=now,
    )


def _price(prices: Mapping[str, Decimal], symbol: str | None) -> Decimal:
    if (price := prices.get(symbol or "")) is None:
        raise SettingsError(f"{symbol} has no price of late: expected one to book it at.")
    return price


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
