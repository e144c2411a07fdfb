"""What the broker tells beyond our open orders: fills told late, and trades of strangers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from trading_pipeline.adapters.ledger import Ledger
from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
from trading_pipeline.core.execution.account import Trade
from trading_pipeline.core.execution.breaks import Break, BreakKind, Resolution, Subject
from trading_pipeline.core.execution.order import Fill, Order, OrderState, record
from trading_pipeline.core.execution.reports import unbooked
from trading_pipeline.flows.order_updates import News
from trading_pipeline.flows.ports import Broker

LOOK_BACK: Final = timedelta(days=7)
"""How far before the last settlement trades are asked for, without a break that asks for more."""

_ENDED: Final = (OrderState.CANCELED, OrderState.EXPIRED)
_KINDS: Final = {
    EntryKind.SPLIT: BreakKind.CORPORATE_ACTION,
    EntryKind.DIVIDEND: BreakKind.CORPORATE_ACTION,
    EntryKind.SUCCESSION: BreakKind.CORPORATE_ACTION,
    EntryKind.FEE: BreakKind.FEE,
    EntryKind.BORROW: BreakKind.FEE,
    EntryKind.INTEREST: BreakKind.FEE,
    EntryKind.TRADE: BreakKind.MANUAL_TRADE,
}


def missed_fills(ledger: Ledger, broker: Broker, since: date | None) -> News:
    """Return fills of orders that we hold as ended: they crossed a cancel, or were told late."""
    executed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for trade in broker.trades(_asked(ledger, since)):
        executed[trade.client_order_id or ""] += trade.quantity
    ended = ledger.orders(client_order_ids=executed, states=_ENDED) if executed else []
    short = [o for o in ended if executed[o.client_order_id] > o.filled_quantity]
    told = broker.fills([order.client_order_id for order in short]) if short else []
    news = News([], [], [])
    for order in short:
        its = [fill for fill in told if fill.client_order_id == order.client_order_id]
        step = order
        for fill in unbooked(order, its):
            step = record(step, fill)
            news.orders.append(step)
            news.fills.append(fill)
    return news


def strangers_trades(ledger: Ledger, broker: Broker, since: date | None) -> list[CashEntry]:
    """Return entries for the trades of orders that we never sent and that are not booked yet."""
    trades, opening = broker.trades(_asked(ledger, since)), ledger.opening()
    names = {trade.client_order_id for trade in trades if trade.client_order_id}
    sent = {order.client_order_id for order in _orders(ledger, names)}
    foreign = [trade for trade in trades if trade.client_order_id not in sent]
    if opening:
        foreign = [
            trade
            for trade in foreign
            if trade.session >= opening.session and trade.trade_id not in opening.known
        ]
    entries = [_entry(trade) for trade in foreign]
    held = {entry.entry_id for entry in ledger.cash_entries([each.entry_id for each in entries])}
    return [entry for entry in entries if entry.entry_id not in held]


def adopted(fills: Iterable[Fill], entries: Iterable[CashEntry]) -> Iterator[Break]:
    """Yield what appending these facts makes good."""
    for fill in fills:
        what = f"a fill of our order {fill.client_order_id} at {fill.price:f} had not been booked."
        shares = (fill.symbol, fill.signed_quantity)
        yield _adopted(fill.fill_id, BreakKind.MISSED_FILL, shares, why=what)
    for entry in entries:
        kind = _KINDS.get(entry.kind, BreakKind.TRANSFER)
        shares = entry.quantity if entry.symbol else Decimal(0)
        symbol = entry.symbol if shares else None
        what = f"a {entry.kind.value} of {entry.session} had not been booked."
        yield _adopted(entry.entry_id, kind, (symbol, shares or entry.amount), why=what)


def _asked(ledger: Ledger, since: date | None) -> date | None:
    last = ledger.last_settlement()
    return since or (last - LOOK_BACK if last else None)


def _orders(ledger: Ledger, names: Iterable[str]) -> list[Order]:
    wanted = set(names)
    return ledger.orders(client_order_ids=wanted) if wanted else []


def _entry(trade: Trade) -> CashEntry:
    shares = trade.quantity * trade.side.sign
    return CashEntry(
        entry_id=f"trade-{trade.trade_id}",
        kind=EntryKind.TRADE,
        session=trade.session,
        amount=-shares * trade.price - trade.commission,
        symbol=trade.symbol,
        quantity=shares,
        price=trade.price,
        at=trade.at,
    )


def _adopted(
    reference: str, kind: BreakKind, moved: tuple[str | None, Decimal], *, why: str
) -> Break:
    symbol, amount = moved
    return Break(
        subject=Subject.POSITION if symbol else Subject.CASH,
        kind=kind,
        resolution=Resolution.ADOPTED,
        symbol=symbol,
        reference=reference,
        ours=Decimal(0),
        theirs=amount,
        explanation=why,
    )
