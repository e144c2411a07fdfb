"""Figures of the whole ledger that a database counts and adds up better than we could."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy import func, select

from trading_pipeline.adapters.ledger import tables as t
from trading_pipeline.adapters.ledger.engine import LedgerEngine
from trading_pipeline.core.execution.order import OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """How many runs have come to their end with a status, and the newest of them."""

    count: int
    session: date
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts since the ledger was made, and of the newest session that orders were decided on.

    `events` are order events by state, 0 of one that no order has come to; `orders` are that
    session's orders by their last state; `runs` are the ended runs by status; `halts` are changes
    of what trading may do, by state; `values` are session, NAV and cash put in of each session's
    newest snapshot, oldest first.
    """

    events: Mapping[str, int]
    orders: Mapping[str, int]
    fills: int
    commission: Decimal
    runs: Mapping[str, RunFigures]
    halts: Mapping[str, int]
    values: tuple[tuple[date, Decimal, Decimal], ...]


class LedgerFigures:
    """Reads the figures of the ledger at a URL; raises what the ledger itself raises."""

    def __init__(self, url: str) -> None:
        self._engine = LedgerEngine(url)

    def read(self, *, ended: str, sessions: int) -> Figures:
        """Return all figures as of one moment.

        `ended` is the phase of a run that has come to its end; `sessions` is how many values are
        wanted at most.
        """
        with self._engine.reading() as connection:
            fills, paid = connection.execute(_FILLS).one()
            return Figures(
                events=_counts(connection, _EVENTS),
                orders=_counts(connection, _NEWEST_ORDERS),
                fills=fills,
                commission=Decimal(str(paid or 0)),
                runs=_runs(connection, ended),
                halts=_counts(connection, _HALTS),
                values=_values(connection, sessions),
            )

    def close(self) -> None:
        """Give back the connections; the next call opens new ones."""
        self._engine.close()


def _counted(column: sa.Column[object]) -> sa.Select[object, int]:
    return select(column, func.count()).group_by(column)


_FILLS = select(func.count(), func.sum(sa.cast(t.fills.c.commission, sa.Numeric)))
_EVENTS = sa.union_all(
    # Each state by itself: an index counts what is equal twice as fast as it groups.
    *(
        select(sa.literal(state.value), func.count()).where(t.order_events.c.state == state)
        for state in OrderState
    )
)
_HALTS = _counted(t.halts.c.state)
_LATER = t.order_events.alias("later")
_NEWEST_ORDERS = (
    _counted(t.order_events.c.state)
    .join(t.orders, t.orders.c.client_order_id == t.order_events.c.client_order_id)
    .where(
        t.orders.c.session == select(func.max(t.orders.c.session)).scalar_subquery(),
        t.order_events.c.number
        == select(func.max(_LATER.c.number))
        .where(_LATER.c.client_order_id == t.orders.c.client_order_id)
        .scalar_subquery(),
    )
)


def _counts(connection: sa.Connection, counted: sa.Executable) -> dict[str, int]:
    return {str(word): count for word, count in connection.execute(counted)}


def _runs(connection: sa.Connection, ended: str) -> dict[str, RunFigures]:
    status = t.runs.c.detail["status"].as_string()
    newest = func.max(t.runs.c.session), func.max(t.runs.c.at, type_=t.runs.c.at.type)
    found = select(status, func.count(), *newest).where(t.runs.c.phase == ended).group_by(status)
    return {
        str(word): RunFigures(count=count, session=session, at=at)
        for word, count, session, at in connection.execute(found)
    }


def _values(connection: sa.Connection, sessions: int) -> tuple[tuple[date, Decimal, Decimal], ...]:
    newer = t.snapshots.alias("newer")
    last = select(func.max(newer.c.revision)).where(newer.c.session == t.snapshots.c.session)
    found = (
        select(t.snapshots.c.session, t.snapshots.c.nav, t.snapshots.c.cash_in)
        .where(t.snapshots.c.revision == last.scalar_subquery())
        .order_by(t.snapshots.c.session.desc())
        .limit(sessions)
    )
    return tuple(
        (row.session, row.nav, row.cash_in) for row in reversed(connection.execute(found).all())
    )
