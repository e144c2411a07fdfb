"""The books: P&L of small and large accounts, from a cold ledger, and a large reconciliation."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from trading_pipeline.adapters.ledger import Ledger, rows, tables
from trading_pipeline.adapters.ledger.engine import LedgerEngine
from trading_pipeline.core.accounting.attribution import replay_parts
from trading_pipeline.core.accounting.book import Book, replay
from trading_pipeline.core.accounting.entries import EntryKind
from trading_pipeline.core.accounting.pnl import Mark, Pnl, mark
from trading_pipeline.core.execution.account import Account, BrokerOrder
from trading_pipeline.core.execution.breaks import Reconciliation
from trading_pipeline.core.execution.order import OPEN, Fill, Order, OrderState, Side, move
from trading_pipeline.flows.books import book_of
from trading_pipeline.flows.reconcile import SCHEDULED, reconcile
from trading_pipeline_tests.benchmarks.harness import Figure, median, timed
from trading_pipeline_tests.fakes import NOW, SESSION, make_decision, make_entry, make_order

SMALL, LARGE, ENTRIES, BATCH = 100, 10_000, 1_000_000, 100_000
DAYS = 250
RECONCILED = 500
FIRST = date(2011, 6, 1)


def figures() -> list[Figure]:
    """P&L of 100 positions, of 10 000 from a cold ledger of 1 M entries, and a reconciliation."""
    book = replay(Book(), fills(SMALL, SMALL * 10))
    prices = marks(SMALL)
    with tempfile.TemporaryDirectory() as folder:
        cold, whole, note = _cold(Path(folder))
        reconciled = _reconciled(Path(folder))
    return [
        Figure(
            name="P&L, 100 positions", seconds=median(lambda: mark(book, prices, FIRST)), limit=0.01
        ),
        Figure(
            name="P&L, 10 000 positions, 1 M entries, cold ledger",
            seconds=cold,
            limit=2,
            ratio=whole / cold,
            ratio_to="the fold from zero, as a multiple",
            note=note,
        ),
        Figure(
            name="reconcile 500 orders, 500 positions",
            seconds=reconciled,
            limit=1,
            note="SQLite, the broker in memory",
        ),
    ]


def marks(count: int) -> dict[str, Mark]:
    """A close of each symbol."""
    return {
        name(number): Mark(price=Decimal(100 + number % 7), source="close")
        for number in range(count)
    }


def name(number: int) -> str:
    """The symbol of a number."""
    return f"S{number:05}"


def fills(symbols: int, count: int, *, first: int = 0, seed: int = 7) -> list[Fill]:
    """Random fills, spread over DAYS sessions in their order."""
    random, made = Random(seed + first), list[Fill]()
    for number in range(first, first + count):
        day = FIRST + timedelta(days=number * DAYS // max(ENTRIES, first + count))
        made.append(
            Fill(
                fill_id=f"f{number:08}",
                client_order_id="o",
                strategy=f"s{number % 2}",
                symbol=name(number % symbols),
                side=Side.BUY if random.random() < 0.55 else Side.SELL,
                quantity=Decimal(random.randint(1, 90)),
                price=Decimal(random.randint(500_000, 1_500_000)) / 10_000,
                commission=Decimal("1.00"),
                session=day,
                filled_at=datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC),
            )
        )
    return made


def _cold(folder: Path) -> tuple[float, float, str]:
    """Seconds from opening a ledger to its P&L with kept books, and by folding everything."""
    url = f"sqlite:///{folder / 'large.db'}"
    ledger = Ledger(url)
    ledger.create()
    order = make_order(client_order_id="o")
    ledger.record_decision(make_decision(), [order])
    engine, last = LedgerEngine(url), FIRST
    for first in range(0, ENTRIES, BATCH):
        batch = fills(LARGE, BATCH, first=first)
        last = max(last, *(fill.session for fill in batch))
        with engine.writing() as connection:
            rows.insert(connection, tables.fills, [rows.row_of(tables.fills, f) for f in batch])
    kept = last - timedelta(days=1)
    found = ledger.history(kept)
    books = replay_parts(found.books, found.entries)
    ledger.append_books(books, session=kept, counts=found.counts, at=NOW)
    del found, books
    closes = marks(LARGE)

    def cold() -> Pnl:
        opened = Ledger(url)
        pnl = mark(book_of(opened), closes, last)
        opened.close()
        return pnl

    whole: list[Pnl] = []
    seconds = timed(lambda: whole.append(mark(replay(Book(), ledger.entries()), closes, last)))
    same = whole == [cold()]
    after = len(ledger.history().entries)
    ledger.close()
    engine.close()
    note = f"kept books and {after:,} later entries; {'equal to' if same else 'NOT'} the whole fold"
    return (median(cold) if same else float("inf")), seconds, note


def _reconciled(folder: Path) -> float:
    """Seconds of a reconciliation in which half the orders have filled since, untold."""
    ledger = Ledger(f"sqlite:///{folder / 'reconciled.db'}")
    ledger.create()
    held = [
        make_entry(f"in-{i}", "0", kind=EntryKind.TRANSFER, symbol=name(i), quantity=Decimal(5))
        for i in range(RECONCILED)
    ]
    ledger.append_cash_entries([replace(entry, price=Decimal(100)) for entry in held])
    seconds = [_once(ledger, number) for number in range(4)]
    ledger.close()
    return sorted(seconds[1:])[1]


def _once(ledger: Ledger, number: int) -> float:
    session = SESSION + timedelta(days=number)
    orders = [make_order(name(i), session=session, sequence=i + 1) for i in range(RECONCILED)]
    ledger.record_decision(make_decision(session), orders)
    sent = [move(order, OrderState.SUBMITTING) for order in orders]
    taken = [move(each, OrderState.ACCEPTED, broker_order_id="b") for each in sent]
    ledger.append(at=NOW, orders=sent)
    ledger.append(at=NOW, orders=taken)
    broker = _Broker(ledger, ledger.orders(states=OPEN))
    found: list[Reconciliation] = []
    seconds = timed(lambda: found.append(reconcile(ledger, broker, cause=SCHEDULED, now=NOW)))
    right = (len(found[0].adopted), len(found[0].held)) == (RECONCILED // 2, 0)
    return seconds if right else float("inf")


class _Broker:
    """Answers from memory; half the orders have filled, and the account agrees."""

    def __init__(self, ledger: Ledger, orders: Sequence[Order]) -> None:
        self._fills = [_fill(order) for order in orders[-RECONCILED::2]]
        book = replay(book_of(ledger), self._fills)
        held = {p.symbol: p.quantity for p in book.positions.values() if p.quantity}
        self._account = Account(cash=book.cash, positions=held)
        done = {fill.client_order_id for fill in self._fills}
        self._orders = {
            o.client_order_id: _told(o, filled=o.client_order_id in done) for o in orders
        }

    def account(self) -> Account:
        return self._account

    def open_orders(self) -> list[BrokerOrder]:
        return [o for o in self._orders.values() if o.state is OrderState.ACCEPTED]

    def find_all(self, names: Sequence[str]) -> dict[str, BrokerOrder]:
        return {each: self._orders[each] for each in names if each in self._orders}

    def fills(self, names: Sequence[str]) -> list[Fill]:
        return [fill for fill in self._fills if fill.client_order_id in names]

    def trades(self, since: date | None = None) -> list[object]:
        return []

    def activities(self, since: date | None = None) -> list[object]:
        return []


def _fill(order: Order) -> Fill:
    return Fill(
        fill_id=f"f-{order.client_order_id}",
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        price=Decimal("101.5"),
        commission=Decimal(1),
        session=order.session + timedelta(days=1),
        filled_at=NOW,
    )


def _told(order: Order, *, filled: bool) -> BrokerOrder:
    told = BrokerOrder(
        client_order_id=order.client_order_id,
        broker_order_id="b",
        state=OrderState.ACCEPTED,
        body=(order.symbol, order.side, order.quantity),
    )
    if not filled:
        return told
    return replace(told, state=OrderState.FILLED, filled_quantity=order.quantity)
