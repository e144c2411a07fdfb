"""The account's file: its tables, how it is opened, and how rows become values."""

import sqlite3
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from trading_pipeline.core.accounting.book import CashEntry, EntryKind
from trading_pipeline.core.execution.account import BrokerOrder, Trade
from trading_pipeline.core.execution.order import (
    Fill,
    Order,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
)
from trading_pipeline.core.execution.terms import Terms
from trading_pipeline.core.market.calendar import FIRST_SESSION, session_open

BUSY_SECONDS: Final = 10.0
"""How long one process waits for another."""

_SCHEMA: Final = """
CREATE TABLE account (
    id INTEGER PRIMARY KEY CHECK (id = 1), cash TEXT NOT NULL, last_session TEXT
);
CREATE TABLE positions (
    symbol TEXT PRIMARY KEY, quantity TEXT NOT NULL, price TEXT NOT NULL
);
CREATE TABLE orders (
    number INTEGER PRIMARY KEY, client_order_id TEXT UNIQUE NOT NULL,
    broker_order_id TEXT NOT NULL, strategy TEXT NOT NULL, session TEXT NOT NULL,
    symbol TEXT NOT NULL, side TEXT NOT NULL, quantity TEXT NOT NULL, state TEXT NOT NULL,
    filled_quantity TEXT NOT NULL, average_fill_price TEXT, reason TEXT
);
CREATE INDEX open_orders ON orders (number) WHERE state = 'accepted';
CREATE TABLE fills (
    number INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL REFERENCES orders (client_order_id),
    price TEXT NOT NULL, commission TEXT NOT NULL, session TEXT NOT NULL, filled_at TEXT NOT NULL
);
CREATE INDEX fills_of_orders ON fills (client_order_id);
CREATE INDEX fills_of_sessions ON fills (session);
CREATE TABLE activities (
    number INTEGER PRIMARY KEY, entry_id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL,
    session TEXT NOT NULL, amount TEXT NOT NULL, symbol TEXT, quantity TEXT NOT NULL,
    at TEXT NOT NULL
);
"""

_TERMS: Final = (
    "order_type TEXT NOT NULL DEFAULT 'market'",
    "time_in_force TEXT NOT NULL DEFAULT 'day'",
    "limit_price TEXT",
    "stop_price TEXT",
)
"""Columns of orders that accounts of version 1 do not have."""

_NEW: Final = ("new_symbol", "new_quantity", "cost_share")
"""Columns of activities that accounts of versions 1 and 2 do not have."""

_VERSION: Final = 3


def open_account(path: str, opening_cash: Decimal) -> sqlite3.Connection:
    """Return a connection to an account, made and opened with a deposit if it is new.

    The deposit precedes every trade, so it is dated the first session of the calendar.
    """
    account = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    account.row_factory = sqlite3.Row
    account.execute("PRAGMA journal_mode = WAL")
    account.execute("PRAGMA synchronous = FULL")
    version = account.execute("PRAGMA user_version").fetchone()[0]
    if version == _VERSION:
        return account
    account.execute("BEGIN IMMEDIATE")
    if version == 0:
        _make(account)
    for column in _TERMS if version < 2 else ():
        account.execute(f"ALTER TABLE orders ADD COLUMN {column}")
    for column in _NEW:
        account.execute(f"ALTER TABLE activities ADD COLUMN {column} TEXT")
    account.execute(f"PRAGMA user_version = {_VERSION}")
    if version == 0:
        _open(account, opening_cash)
    account.execute("COMMIT")
    return account


def _make(account: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        account.execute(statement)


def _open(account: sqlite3.Connection, opening_cash: Decimal) -> None:
    account.execute("INSERT INTO account (cash) VALUES (?)", (f"{opening_cash:f}",))
    deposit = CashEntry(
        entry_id="sim-deposit",
        kind=EntryKind.DEPOSIT,
        session=FIRST_SESSION,
        amount=opening_cash,
        at=session_open(FIRST_SESSION),
    )
    insert_entry(account, deposit)


def insert_order(
    account: sqlite3.Connection, order: Order, state: OrderState, reason: str | None
) -> BrokerOrder:
    """Insert a new order and return it as the broker has it; its own id follows from ours."""
    made = BrokerOrder(
        client_order_id=order.client_order_id,
        broker_order_id=f"sim-{order.client_order_id}",
        state=state,
        reason=reason,
        body=(order.symbol, order.side, order.quantity),
    )
    account.execute(
        "INSERT INTO orders (client_order_id, broker_order_id, strategy, session, symbol, side, "
        "quantity, state, filled_quantity, reason, order_type, time_in_force, limit_price, "
        "stop_price) VALUES (?,?,?,?,?,?,?,?,'0',?,?,?,?,?)",
        (
            made.client_order_id,
            made.broker_order_id,
            order.strategy,
            order.session.isoformat(),
            order.symbol,
            order.side.value,
            f"{order.quantity:f}",
            made.state.value,
            made.reason,
            order.order_type.value,
            order.time_in_force.value,
            *(None if p is None else f"{p:f}" for p in (order.limit_price, order.stop_price)),
        ),
    )
    return made


def insert_entry(account: sqlite3.Connection, entry: CashEntry) -> None:
    """Insert what moved cash or shares without an order."""
    account.execute(
        "INSERT INTO activities (entry_id, kind, session, amount, symbol, quantity, at, "
        "new_symbol, new_quantity, cost_share) VALUES (?,?,?,?,?,?,?,?,?,?)",
        (
            entry.entry_id,
            entry.kind.value,
            entry.session.isoformat(),
            f"{entry.amount:f}",
            entry.symbol,
            f"{entry.quantity:f}",
            entry.at.isoformat(),
            entry.new_symbol,
            *(None if x is None else f"{x:f}" for x in (entry.new_quantity, entry.cost_share)),
        ),
    )


def find_order(account: sqlite3.Connection, client_order_id: str) -> BrokerOrder | None:
    """Return the order of this id, or None."""
    found = "SELECT * FROM orders WHERE client_order_id = ?"
    row = account.execute(found, (client_order_id,)).fetchone()
    return None if row is None else _order(row)


def _order(row: sqlite3.Row) -> BrokerOrder:
    return BrokerOrder(
        client_order_id=row["client_order_id"],
        broker_order_id=row["broker_order_id"],
        state=OrderState(row["state"]),
        filled_quantity=Decimal(row["filled_quantity"]),
        average_fill_price=_decimal(row["average_fill_price"]),
        reason=row["reason"],
        body=(row["symbol"], Side(row["side"]), Decimal(row["quantity"])),
    )


def terms_of(row: sqlite3.Row) -> Terms:
    """Return the terms on which an order trades."""
    return Terms(
        side=Side(row["side"]),
        order_type=OrderType(row["order_type"]),
        time_in_force=TimeInForce(row["time_in_force"]),
        limit_price=_decimal(row["limit_price"]),
        stop_price=_decimal(row["stop_price"]),
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def find_fills(account: sqlite3.Connection, client_order_id: str) -> list[tuple[int, Fill]]:
    """Return the order's fills, each with its place among all fills."""
    return [(row["number"], _fill(row)) for row in account.execute(_FILLS, (client_order_id,))]


def all_entries(account: sqlite3.Connection, since: date | None) -> list[CashEntry]:
    """Return every deposit, dividend and split in sessions from `since` on, oldest first."""
    found = "SELECT * FROM activities WHERE session >= ? ORDER BY number"
    return [_entry(row) for row in account.execute(found, (_text(since),))]


def all_trades(account: sqlite3.Connection, since: date | None) -> list[Trade]:
    """Return every fill in sessions from `since` on, oldest first."""
    found = f"{_ALL_FILLS} WHERE fills.session >= ? ORDER BY fills.number"
    return [_trade(_fill(row)) for row in account.execute(found, (_text(since),))]


def open_orders(account: sqlite3.Connection) -> list[BrokerOrder]:
    """Return the accepted orders, oldest first."""
    found = "SELECT * FROM orders WHERE state = 'accepted' ORDER BY number"
    return [_order(row) for row in account.execute(found)]


def _text(since: date | None) -> str:
    """The session as the file has it; before all sessions for None."""
    return since.isoformat() if since else ""


def _trade(fill: Fill) -> Trade:
    return Trade(
        trade_id=fill.fill_id,
        client_order_id=fill.client_order_id,
        symbol=fill.symbol,
        side=fill.side,
        quantity=fill.quantity,
        price=fill.price,
        commission=fill.commission,
        session=fill.session,
        at=fill.filled_at,
    )


_ALL_FILLS: Final = """
SELECT fills.*, orders.strategy, orders.symbol, orders.side, orders.quantity
FROM fills JOIN orders USING (client_order_id)
"""
_FILLS: Final = f"{_ALL_FILLS} WHERE client_order_id = ?"


def _fill(row: sqlite3.Row) -> Fill:
    return Fill(
        fill_id=f"sim-{row['client_order_id']}",
        client_order_id=row["client_order_id"],
        strategy=row["strategy"],
        symbol=row["symbol"],
        side=Side(row["side"]),
        quantity=Decimal(row["quantity"]),
        price=Decimal(row["price"]),
        commission=Decimal(row["commission"]),
        session=date.fromisoformat(row["session"]),
        filled_at=datetime.fromisoformat(row["filled_at"]),
    )


def _entry(row: sqlite3.Row) -> CashEntry:
    return CashEntry(
        entry_id=row["entry_id"],
        kind=EntryKind(row["kind"]),
        session=date.fromisoformat(row["session"]),
        amount=Decimal(row["amount"]),
        symbol=row["symbol"],
        quantity=Decimal(row["quantity"]),
        new_symbol=row["new_symbol"],
        new_quantity=_decimal(row["new_quantity"]),
        cost_share=_decimal(row["cost_share"]),
        at=datetime.fromisoformat(row["at"]),
    )
