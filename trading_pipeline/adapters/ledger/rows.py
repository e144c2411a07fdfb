"""How values go into the ledger: once each, and only by moves that the table of moves has."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import select

from trading_pipeline.adapters.ledger import tables as t
from trading_pipeline.core.accounting.entries import CashEntry
from trading_pipeline.core.accounting.pnl import Pnl, PositionPnl
from trading_pipeline.core.execution.order import MOVES, Cause, Fill, Order
from trading_pipeline.errors import IllegalTransitionError, TradingError

_T = TypeVar("_T", Pnl, PositionPnl)
_V = TypeVar("_V", Fill, CashEntry)
_K = TypeVar("_K")

BATCH: Final = 500
"""Ids asked for in one statement; databases limit how many a statement may hold."""

_HELD_AS: Final[Mapping[str, type[Fill] | type[CashEntry]]] = {
    "fills": Fill,
    "cash_entries": CashEntry,
}


def row_of(table: sa.Table, value: object, **more: object) -> dict[str, Any]:
    """Return the row of `value`: its fields by the table's column names, and `more`."""
    names = (column.name for column in table.columns if hasattr(value, column.name))
    return {name: getattr(value, name) for name in names} | more


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows, if any."""
    if rows:
        connection.execute(sa.insert(table), rows)


def batches(keys: Iterable[_K]) -> Iterator[list[_K]]:
    """Yield the keys, each once, as many at a time as a statement may hold."""
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), BATCH):
        yield wanted[start : start + BATCH]


def select_by(
    connection: sa.Connection, table: sa.Table, column: str, keys: Iterable[object]
) -> Iterator[sa.RowMapping]:
    """Yield the table's rows whose `column` is one of `keys`."""
    for batch in batches(keys):
        found = connection.execute(select(table).where(table.c[column].in_(batch)))
        yield from found.mappings()


def values_between(
    connection: sa.Connection,
    table: sa.Table,
    kind: type[_V],
    sessions: tuple[date | None, date | None],
) -> list[_V]:
    """Return the table's values of the sessions after the first one and up to the last.

    None leaves that side open.
    """
    after, through = sessions
    wanted = select(table)
    if after is not None:
        wanted = wanted.where(table.c.session > after)
    if through is not None:
        wanted = wanted.where(table.c.session <= through)
    names = table.columns.keys()
    return [kind(**dict(zip(names, row, strict=True))) for row in connection.execute(wanted)]


def insert_new(connection: sa.Connection, table: sa.Table, values: Sequence[_V]) -> list[_V]:
    """Insert the values whose id is not held yet and return them.

    Raises TradingError for an id that is held, or given twice, with another content.
    """
    (key,) = (column.name for column in table.primary_key)
    ids = [getattr(value, key) for value in values]
    held = {row[key]: _HELD_AS[table.name](**row) for row in select_by(connection, table, key, ids)}
    new: list[_V] = []
    for name, value in zip(ids, values, strict=True):
        if name not in held:
            new.append(value)
        if held.setdefault(name, value) != value:
            raise TradingError(f"{name} is held in {table.name} with another content.")
    insert(connection, table, [row_of(table, value) for value in new])
    return new


def insert_events(connection: sa.Connection, moved: Sequence[Order], at: datetime) -> None:
    """Insert one event for each of `moved`, in this order, after the last one of its order.

    Raises IllegalTransitionError for a move that the table does not have from the state in the
    ledger, and TradingError where the filled quantity is not the sum of the order's fills.
    """
    ids = [order.client_order_id for order in moved]
    found = [dict(row) for row in select_by(connection, t.order_events, "client_order_id", ids)]
    last = {row["client_order_id"]: row for row in sorted(found, key=lambda row: row["number"])}
    rows: list[dict[str, Any]] = []
    for order in moved:
        before = last.get(order.client_order_id)
        number = _number_after(before, order)
        row = row_of(t.order_events, order, number=number, at=at)
        last[order.client_order_id] = row
        rows.append(row)
    insert(connection, t.order_events, rows)
    _require_fills(connection, last)


def _number_after(before: Mapping[str, Any] | None, order: Order) -> int:
    if before is None:
        raise TradingError(f"Order {order.client_order_id} is not in the ledger: decide it first.")
    cause = MOVES.get((before["state"], order.state))
    gained = order.filled_quantity - before["filled_quantity"]
    if cause is None or (gained > 0) is not (cause is Cause.FILL) or gained < 0:
        raise IllegalTransitionError(
            f"Order {order.client_order_id} is {before['state']} with "
            f"{before['filled_quantity']} filled in the ledger: it cannot become {order.state} "
            f"with {order.filled_quantity}. Another process may have moved it."
        )
    return before["number"] + 1


def _require_fills(connection: sa.Connection, last: Mapping[str, Mapping[str, Any]]) -> None:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in select_by(connection, t.fills, "client_order_id", last):
        sums[row["client_order_id"]] += row["quantity"]
    for name, event in last.items():
        if sums[name] != event["filled_quantity"]:
            raise TradingError(
                f"Order {name} is {event['state']} with {event['filled_quantity']} filled, but "
                f"its fills add up to {sums[name]}."
            )


def newest_snapshots(
    connection: sa.Connection,
    *,
    session: date | None = None,
    before: date | None = None,
    count: int = 1,
) -> dict[tuple[date, int], Pnl]:
    """Return the newest revision of the last `count` sessions, oldest first.

    Of `session` only, or of sessions before `before`.

    The keys are (session, revision).
    """
    table = t.snapshots
    of = sa.true() if session is None else table.c.session == session
    until = sa.true() if before is None else table.c.session < before
    newest = (
        select(table.c.session, sa.func.max(table.c.revision).label("revision"))
        .where(of, until)
        .group_by(table.c.session)
        .order_by(table.c.session.desc())
        .limit(count)
        .subquery()
    )
    parts: defaultdict[tuple[date, int], list[PositionPnl]] = defaultdict(list)
    for row in connection.execute(_of(newest, t.snapshot_positions)).mappings():
        parts[row["session"], row["revision"]].append(_value(PositionPnl, row))
    return {
        (row["session"], row["revision"]): _value(
            Pnl, {**row, "positions": tuple(parts[row["session"], row["revision"]])}
        )
        for row in connection.execute(_of(newest, table)).mappings()
    }


def insert_snapshot(
    connection: sa.Connection, pnl: Pnl, *, revision: int, run_id: str, at: datetime
) -> None:
    """Insert the P&L as this revision of its session."""
    of: dict[str, Any] = {"session": pnl.session, "revision": revision}
    row = row_of(t.snapshots, pnl, run_id=run_id, at=at, revision=revision)
    insert(connection, t.snapshots, [row])
    rows = [row_of(t.snapshot_positions, position, **of) for position in pnl.positions]
    insert(connection, t.snapshot_positions, rows)


def _of(newest: sa.Subquery, table: sa.Table) -> sa.Select[Any]:
    same = [table.c[name] == newest.c[name] for name in ("session", "revision")]
    return select(table).join(newest, sa.and_(*same)).order_by(*table.primary_key)


def _value(kind: type[_T], row: Mapping[Any, Any]) -> _T:
    return kind(**{field.name: row[field.name] for field in fields(kind)})
