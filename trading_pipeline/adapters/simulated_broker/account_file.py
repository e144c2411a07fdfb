"""The account's file: how values become rows, and rows values."""

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

_NONE: Final = Decimal(0)


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


def insert_fill(account: sqlite3.Connection, fill: Fill) -> None:
    """Insert an execution; what the order has filled in all is its row's to say."""
    account.execute(
        "INSERT INTO fills (client_order_id, price, commission, session, filled_at, fill_id, "
        "quantity) VALUES (?,?,?,?,?,?,?)",
        (
            fill.client_order_id,
            f"{fill.price:f}",
            f"{fill.commission:f}",
            fill.session.isoformat(),
            fill.filled_at.isoformat(),
            fill.fill_id,
            f"{fill.quantity:f}",
        ),
    )


def order_of(row: sqlite3.Row) -> Order:
    """Return an order as it was sent, where it stands now."""
    return Order(
        client_order_id=row["client_order_id"],
        strategy=row["strategy"],
        session=date.fromisoformat(row["session"]),
        sequence=row["number"],
        symbol=row["symbol"],
        side=Side(row["side"]),
        quantity=Decimal(row["quantity"]),
        reference_price=_NONE,
        target_weight=0.0,
        order_type=OrderType(row["order_type"]),
        time_in_force=TimeInForce(row["time_in_force"]),
        limit_price=_decimal(row["limit_price"]),
        stop_price=_decimal(row["stop_price"]),
        state=OrderState(row["state"]),
        filled_quantity=Decimal(row["filled_quantity"]),
        average_fill_price=_decimal(row["average_fill_price"]),
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
    """Return the orders that may still fill, oldest first."""
    return [_order(row) for row in account.execute(_WAITING)]


def waiting_orders(account: sqlite3.Connection, before: date) -> list[Order]:
    """Return as they were sent the orders of sessions before that one that may still fill."""
    rows = account.execute(_WAITING).fetchall()
    return [order for order in map(order_of, rows) if order.session < before]


_WAITING: Final = (
    "SELECT * FROM orders WHERE state IN ('accepted', 'partially_filled') ORDER BY number"
)


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
SELECT fills.*, orders.strategy, orders.symbol, orders.side
FROM fills JOIN orders USING (client_order_id)
"""
_FILLS: Final = f"{_ALL_FILLS} WHERE client_order_id = ?"


def _fill(row: sqlite3.Row) -> Fill:
    return Fill(
        fill_id=row["fill_id"],
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
