"""The tables of an account's file, and how one is opened, made or brought up to date."""

import sqlite3
from decimal import Decimal
from typing import Final

from trading_pipeline.adapters.simulated_broker.account_file import insert_entry
from trading_pipeline.core.accounting.entries import CashEntry, EntryKind
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

_EACH_FILL: Final = """
ALTER TABLE fills ADD COLUMN fill_id TEXT;
ALTER TABLE fills ADD COLUMN quantity TEXT;
UPDATE fills SET fill_id = 'sim-' || client_order_id, quantity = (
    SELECT quantity FROM orders WHERE orders.client_order_id = fills.client_order_id
);
DROP INDEX open_orders;
CREATE INDEX open_orders ON orders (number) WHERE state IN ('accepted', 'partially_filled');
"""
"""What accounts of versions 1 to 3 do not have: orders that fill in several parts."""

_VERSION: Final = 4


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
        _do(account, _SCHEMA)
    for column in _TERMS if version < 2 else ():
        account.execute(f"ALTER TABLE orders ADD COLUMN {column}")
    for column in _NEW if version < 3 else ():
        account.execute(f"ALTER TABLE activities ADD COLUMN {column} TEXT")
    _do(account, _EACH_FILL)
    account.execute(f"PRAGMA user_version = {_VERSION}")
    if version == 0:
        _open(account, opening_cash)
    account.execute("COMMIT")
    return account


def _do(account: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
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
